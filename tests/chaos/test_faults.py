"""A real runner under each of the faults, and well again after each; and told to stop in the middle of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos import health, in_turn
from tests.chaos.departures import MOMENTS, Moment, at_work
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.in_turn import AT_A_TIME, Trials
from tests.chaos.world import World
from tests.support import children_of, eventually, result_of

pytestmark = [pytest.mark.needs("proc"), pytest.mark.needs("landlock"), pytest.mark.asyncio(loop_scope="module")]

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


async def depart(moment: Moment) -> None:
    """Start a runner, bring the moment about, and see that it stops."""
    async with World() as world:
        await moment.prepare(world)
        await health.ends_well(world)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trials(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Trials, Trials]]:
    """Of all faults and of all moments, each under way or waiting for its turn."""
    turns = asyncio.Semaphore(AT_A_TIME)
    sufferings = in_turn.begin(FAULTS, suffer, test_a_runner_is_well_again_after.__name__, request, turns)
    departures = in_turn.begin(MOMENTS, depart, test_a_runner_stops.__name__, request, turns)
    yield sufferings, departures
    await in_turn.end(sufferings)
    await in_turn.end(departures)
    assert children_of(os.getpid()) == []


@pytest.mark.parametrize("fault", in_turn.parameters(FAULTS))
async def test_a_runner_is_well_again_after(fault: Fault, trials: tuple[Trials, Trials]) -> None:
    await trials[0][fault.name]


@pytest.mark.parametrize("moment", in_turn.parameters(MOMENTS))
async def test_a_runner_stops(moment: Moment, trials: tuple[Trials, Trials]) -> None:
    await trials[1][moment.name]


async def test_a_runner_that_is_killed_leaves_a_folder_and_the_next_one_removes_it() -> None:
    async with World() as world:
        await at_work(world)
        world.runner.zygotes()
        killed, [left] = world.runner, [*world.temporary.iterdir()]
        killed.signal(signal.SIGKILL)
        await eventually(lambda: not killed.remains(), "its processes end with it")
        assert left.exists()
        await world.start_runner()
        await health.works(world)
        assert not left.exists()
        await health.ends_well(world)
