"""Trials that are mostly waiting, several of them at a time; each is a test of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from tests.conftest import FEATURES

AT_A_TIME = 6
"""How many runners there are at a time: each takes half a second of a processor to start."""

Case = TypeVar("Case")
Trials = dict[str, asyncio.Task[None]]


def parameters(cases: Sequence[Case]) -> list[object]:
    """Cases for `parametrize`, each with its name and with what the machine has to have for it."""
    return [
        pytest.param(case, id=str(case), marks=[pytest.mark.needs(feature) for feature in _needs(case)])
        for case in cases
    ]


def begin(
    cases: Sequence[Case],
    trial: Callable[[Case], Awaitable[None]],
    test: str,
    request: pytest.FixtureRequest,
    turns: asyncio.Semaphore,
) -> Trials:
    """Begin a trial of each case that is tested, by the test of this name, in this session."""
    wanted = {item.name for item in request.session.items}

    async def in_turn(case: Case) -> None:
        async with turns:
            await trial(case)

    return {
        str(case): asyncio.create_task(in_turn(case), name=str(case))
        for case in cases
        if f"{test}[{case}]" in wanted and all(FEATURES[feature][0]() for feature in _needs(case))
    }


async def end(trials: Trials) -> None:
    """End those that are still under way."""
    for task in trials.values():
        task.cancel()
    await asyncio.gather(*trials.values(), return_exceptions=True)


def _needs(case: object) -> tuple[str, ...]:
    return getattr(case, "needs", ())
