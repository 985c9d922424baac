"""What happens to processes, and what a machine runs out of. Each returns as soon as it is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from runner.broker import EndOfTask, TaskEnd
from runner.observe.outlet import MOST_HELD
from tests.chaos.on_the_network import FAILED, LOST
from tests.chaos.process import REPLACED
from tests.chaos.world import World
from tests.support import eventually, result_of

DAY = 86_400.0
UNANSWERING = "does not answer any more"
NOT_STARTED = "cannot be started"
FAILURES = ("No process could be started for the task", "No space left on device", "ended at once")
"""What a task is told when the machine has nothing left for it."""

WRITING = "open(os.environ['TMPDIR'] + '/large', 'wb').write(bytes(2**20))\nreturn []"
HOG = "taken = []\nwhile True:\n    taken.append(bytearray(2**20))"
CHATTER = "for n in range(1000): print('x' * 1000)\nreturn []"
CHATTER_SIZE = 1000 * 1000
LEFT_OUT = "lines of this log were left out"
PAUSE = 1.0


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def death_of_the_zygote(world: World) -> None:
    mark = world.runner.log.mark()
    _kill(world.runner.zygotes())
    await world.runner.log.says(REPLACED, mark)


async def deaths_of_zygotes(world: World) -> None:
    """One after the other, each as soon as it is there."""
    killed: set[int] = set()
    for _ in range(3):
        await eventually(partial(_fresh_zygotes, world, killed))
        mark = world.runner.log.mark()
        fresh = _fresh_zygotes(world, killed)
        killed |= fresh
        _kill(fresh)
        await world.runner.log.says(REPLACED, mark)


def _fresh_zygotes(world: World, killed: set[int]) -> set[int]:
    """Those that have not been killed: one that was may still be there for a moment."""
    return {*world.runner.zygotes()} - killed


async def deaths_of_workers(world: World) -> None:
    workers = world.runner.workers()
    _kill(world.random.sample(workers, len(workers) // 2))


async def deaths_of_waiting_workers(world: World) -> None:
    busy = world.busy()
    _kill(pid for pid in world.runner.workers() if pid not in busy)


async def a_stopped_runner(world: World) -> None:
    """Until the broker has given it up."""
    mark = world.runner.log.mark()
    world.runner.signal(signal.SIGSTOP)
    try:
        await eventually(lambda: not world.broker.rules.runner_ids, "the broker misses the runner's pongs")
    finally:
        world.runner.signal(signal.SIGCONT)
    await world.runner.log.says(LOST, mark)


async def an_unread_log(world: World) -> None:
    """With more to be written than is kept for it. The runner goes on, and says afterwards what it has left out."""
    mark = world.runner.log.mark()
    world.runner.log.neglect()
    try:
        for _ in range(MOST_HELD // CHATTER_SIZE + 2):
            assert result_of(await world.request(CHATTER).end()) == []
    finally:
        world.runner.log.catch_up()
    await world.runner.log.says(LEFT_OUT, mark)


async def a_stopped_zygote(world: World) -> None:
    """For a second, with more tasks than there are workers."""
    [zygote] = world.runner.zygotes()
    os.kill(zygote, signal.SIGSTOP)
    try:
        tasks = [world.request("return []") for _ in range(3 * world.concurrency)]
        await asyncio.sleep(PAUSE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(zygote, signal.SIGCONT)
    for task in tasks:
        assert result_of(await task.end()) == []


async def a_zygote_stopped_for_good(world: World) -> None:
    """With tasks that only it can end; the connection is lost too, so that they have to be ended."""
    [zygote] = world.runner.zygotes()
    tasks = [await world.under_way("import time\ntime.sleep(1000)")]
    mark = world.runner.log.mark()
    os.kill(zygote, signal.SIGSTOP)
    world.proxy.reset()
    await world.runner.log.says(UNANSWERING, mark)
    for task in tasks:
        assert (await task.end()).how is TaskEnd.RUNNER_LOST


async def steps_of_the_clock(world: World) -> None:
    mark = world.runner.log.mark()
    for step in (DAY, -DAY, 0.0):
        world.step_clock(step)
        assert result_of(await world.request("return []").end()) == []
    days = {line.split()[0] for line in world.runner.log.since(mark, "Accepted task")}
    assert len(days) >= 3, f"the steps did not take place: {days}"
    assert world.runner.log.since(mark, LOST) == []


async def _do_without(world: World) -> list[EndOfTask]:
    """More tasks than there are workers: each has a result, or says what is lacking."""
    tasks = [world.request("import os\n" + WRITING) for _ in range(4 * world.concurrency)]
    ends = [await task.end() for task in tasks]
    messages = [end.error["message"] for end in ends if end.error is not None and end.how is TaskEnd.ERROR]
    assert [message for message in messages if not any(known in message for known in FAILURES)] == []
    return ends


async def no_descriptors(world: World) -> None:
    limits = world.runner.limit_descriptors()
    try:
        ends = await _do_without(world)
    finally:
        world.runner.lift_descriptors(limits)
    assert TaskEnd.ERROR in {end.how for end in ends}


async def no_descriptors_to_connect(world: World) -> None:
    mark = world.runner.log.mark()
    limits = world.runner.limit_descriptors()
    try:
        world.proxy.reset()
        await world.runner.log.says(FAILED, mark)
    finally:
        world.runner.lift_descriptors(limits)


async def no_descriptors_for_a_zygote(world: World) -> None:
    mark = world.runner.log.mark()
    limits = world.runner.limit_descriptors()
    try:
        _kill(world.runner.zygotes())
        await world.runner.log.says(NOT_STARTED, mark)
    finally:
        world.runner.lift_descriptors(limits)


async def full_disk(world: World) -> None:
    filler = world.temporary / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)) == 4096:
                pass
        ends = await _do_without(world)
    finally:
        filler.unlink()
    assert TaskEnd.ERROR in {end.how for end in ends}


async def no_more_files(world: World) -> None:
    """Not even folders can be made; the zygote has to be replaced meanwhile."""
    folder = world.temporary / "filler"
    folder.mkdir()
    mark = world.runner.log.mark()
    try:
        with contextlib.suppress(OSError):
            for number in range(10_000):
                Path(folder, str(number)).touch()
        await _do_without(world)
        _kill(world.runner.zygotes())
        await world.runner.log.says(NOT_STARTED, mark)
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


async def hogs(world: World) -> None:
    """Tasks that take all the memory that each of them may have, as many at a time as there can be."""
    tasks = [world.request(HOG) for _ in range(2 * world.concurrency)]
    for task in tasks:
        end = await task.end()
        assert end.how is not TaskEnd.ERROR or "Out of memory" in str(end.error), end
