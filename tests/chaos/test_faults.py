"""A real runner under each of the faults, and well again after each; several at a time, since most of it is waiting."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos import health
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.world import World
from tests.conftest import FEATURES
from tests.support import children_of, result_of

pytestmark = [pytest.mark.needs("proc"), pytest.mark.needs("landlock"), pytest.mark.asyncio(loop_scope="module")]

AT_A_TIME = 6
SLEEPER = "import time\ntime.sleep(1.5)\nreturn []"


async def suffer(fault: Fault) -> None:
    """Start a runner, give it tasks, do the harm, and see that all is well."""
    async with World(small_disk=fault.small_disk) as world:
        before = await health.warm_up(world)
        tasks = [await world.under_way(SLEEPER) for _ in range(world.concurrency - 1)]
        await fault.inflict(world)
        await health.works(world)
        for task in tasks:
            end = await task.end()
            assert end.how in fault.toll or result_of(end) == []
        await health.is_as_before(world, before)
        health.has_a_clean_record(world)
        await health.ends_well(world)


Sufferings = dict[str, asyncio.Task[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sufferings(request: pytest.FixtureRequest) -> AsyncIterator[Sufferings]:
    """All faults that are to be tested, each under way or waiting for its turn."""
    wanted = {item.name for item in request.session.items}
    turns = asyncio.Semaphore(AT_A_TIME)

    async def in_turn(fault: Fault) -> None:
        async with turns:
            await suffer(fault)

    tasks = {
        fault.name: asyncio.create_task(in_turn(fault), name=fault.name)
        for fault in FAULTS
        if f"{test_a_runner_is_well_again_after.__name__}[{fault.name}]" in wanted
        and all(FEATURES[feature][0]() for feature in fault.needs)
    }
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert children_of(os.getpid()) == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=[pytest.mark.needs(feature) for feature in fault.needs])
        for fault in FAULTS
    ],
)
async def test_a_runner_is_well_again_after(fault: Fault, sufferings: Sufferings) -> None:
    await sufferings[fault.name]
