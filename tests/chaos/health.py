"""What has to hold when a fault is over, whatever it was; stated once, for the tests and for the soak.

- A task gives its result within the time that a retry and a connect take.
- Descriptors, threads, processes, memory and temporary folders are back to where they were.
- The broker has recorded no violation, and the log shows no exception.
- On SIGTERM the runner exits with 0 and nothing is left, neither processes nor folders.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from pathlib import Path

import attrs

from runner.connection.retry import RETRY_DELAY
from runner.execution.sandbox.folders import PREFIX
from tests.bench.tree import memory_of
from tests.chaos.world import World
from tests.support import result_of

CONNECT_TIME = 3.0
"""What connecting, and the first task, may take on a busy machine, in seconds."""

SETTLING = 8.0
"""How long it may take until all is back where it was, in seconds."""

INTERVAL = 0.05
MEMORY_MARGIN = 12 * 1024**2
"""How much more memory than before counts as the same, in bytes: allocators keep some of what they had."""

WARM_UPS = 4
"""How often each slot is used before the first reading, so that everything is there that is made at first use."""


@attrs.frozen
class Reading:
    """What a runner holds at a moment."""

    descriptors: Counter[str]
    """Of the runner, by what they are."""
    zygotes: tuple[int, ...]
    zygote_descriptors: int
    threads: int
    processes: int
    folders: int
    task_folders: int
    memory: int


def read(world: World) -> Reading:
    """What the runner of a world holds now."""
    runner = world.runner
    zygotes, tree = runner.zygotes(), runner.tree()
    folders = [*world.temporary.glob(f"{PREFIX}*")]
    return Reading(
        descriptors=Counter(_kinds(runner.pid)),
        zygotes=tuple(zygotes),
        zygote_descriptors=sum(len(_kinds(zygote)) for zygote in zygotes),
        threads=_threads(runner.pid),
        processes=len(tree),
        folders=len(folders),
        task_folders=sum(1 for folder in folders for _ in folder.glob("tasks/*")),
        memory=memory_of([runner.pid, *(process.pid for process in tree)]),
    )


def _kinds(pid: int) -> list[str]:
    """What the descriptors of a process are: `socket`, `pipe`, or the path of a file."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed in the meantime
            found.append(str(entry.readlink()).partition(":[")[0])
    return found


def _threads(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/task").iterdir()])


def differences(before: Reading, now: Reading, spare: int, margin: int = MEMORY_MARGIN) -> list[str]:
    """What is not as it was.

    Parameters:
        spare: how many more folders of tasks there may be: the zygote keeps as many as it ever needed at a time, each
            with a descriptor.
        margin: how much more memory there may be, in bytes.
    """
    rules = (
        ("descriptors", (now.descriptors - before.descriptors, before.descriptors - now.descriptors), 0),
        ("zygotes", len(now.zygotes) - 1, 0),
        ("descriptors of the zygote", max(0, now.zygote_descriptors - before.zygote_descriptors - spare), 0),
        ("threads", max(0, now.threads - before.threads), 0),
        ("processes", now.processes - before.processes, 0),
        ("folders", now.folders - before.folders, 0),
        ("folders of tasks", max(0, now.task_folders - before.task_folders - spare), 0),
        ("memory", max(0, now.memory - before.memory - margin), 0),
    )
    return [f"{name}: {found}" for name, found, right in rules if found not in (right, (Counter(), Counter()))]


async def warm_up(world: World) -> Reading:
    """Use everything once, and say what the runner holds then, when it has come to rest."""
    for _ in range(WARM_UPS):
        tasks = [world.request("return _items") for _ in range(2 * world.concurrency)]
        for task in tasks:
            result_of(await task.end())
    return await at_rest(world)


async def at_rest(world: World) -> Reading:
    """What the runner holds when nothing changes any more."""
    deadline = time.monotonic() + SETTLING
    before = read(world)
    while True:
        await asyncio.sleep(2 * INTERVAL)
        now = read(world)
        if not differences(before, now, 0) and not differences(now, before, 0):
            return now
        if time.monotonic() > deadline:
            raise AssertionError(f"the runner does not come to rest: {before}, then {now}")
        before = now


async def works(world: World) -> float:
    """A task gives its result in time. Returns how long that took, in seconds."""
    allowed = RETRY_DELAY + CONNECT_TIME
    began = time.monotonic()
    try:
        end = await world.tiny(allowed)
    except TimeoutError:
        raise AssertionError(f"no task is done within {allowed:g} s of the end of the fault") from None
    assert result_of(end) == [{"json": {"ok": True}}]
    return time.monotonic() - began


async def is_as_before(world: World, before: Reading, margin: int = MEMORY_MARGIN) -> Reading:
    """All that the runner holds is back to where it was, or will be in a moment."""
    deadline = time.monotonic() + SETTLING
    while found := differences(before, now := read(world), 2 * world.concurrency + 2, margin):
        if time.monotonic() > deadline:
            raise AssertionError(f"this is not as it was before: {'; '.join(found)}\nbefore: {before}\nnow: {now}")
        await asyncio.sleep(INTERVAL)
    return now


def has_a_clean_record(world: World) -> None:
    """Neither the broker nor the log has anything to complain of."""
    violations, troubles = world.broker.violations, world.runner.log.troubles()
    assert violations == [], violations
    assert troubles == [], "\n".join(troubles)


async def ends_well(world: World) -> None:
    """The runner stops when it is told to, and leaves nothing."""
    world.runner.zygotes()
    world.runner.signal(signal.SIGTERM)
    assert await world.runner.ended() == 0, world.runner.log.lines[-20:]
    processes, folders = world.runner.remains(), [*world.temporary.glob(f"{PREFIX}*")]
    assert processes == [], processes
    assert folders == [], folders
    has_a_clean_record(world)
