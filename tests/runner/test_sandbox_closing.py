"""An executor that is being closed comes to its end, whoever loses patience meanwhile."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.sandbox import executor_with
from tests.support import children_of


@pytest.mark.needs("proc")
@pytest.mark.parametrize("moment", range(1, 60, 3))
async def test_cancelling_the_close_of_an_executor_leaves_nothing_behind(moment: int) -> None:
    executor = executor_with()
    await executor.start()
    closing = asyncio.create_task(executor.close())
    for _ in range(moment):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert children_of(os.getpid()) == []


@pytest.mark.needs("proc")
@pytest.mark.parametrize("moment", range(1, 60, 3))
async def test_cancelling_the_start_of_an_executor_leaves_nothing_behind(moment: int) -> None:
    executor = executor_with()
    starting = asyncio.create_task(executor.start())
    for _ in range(moment):
        await asyncio.sleep(0)
    starting.cancel()
    starting.cancel()
    await asyncio.wait([starting])
    await executor.close()
    assert children_of(os.getpid()) == []
