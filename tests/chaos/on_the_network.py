"""What networks and brokers do to a runner. Each returns as soon as it is over."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

from tests.chaos.proxy import BOTH, Way, http_answer
from tests.chaos.world import HEARTBEAT, World
from tests.support import result_of

Inflict = Callable[[World], Awaitable[None]]

LOST = "Disconnected from broker"
FAILED = "Failed to connect to broker"
MISUNDERSTOOD = "Ignored a malformed message"

TEXT, BINARY = 1, 2
NONSENSE = (
    (TEXT, b"not JSON"),
    (TEXT, b""),
    (TEXT, b"[1, 2]"),
    (TEXT, b'{"type": 5}'),
    (TEXT, b'{"type": "broker:taskcancel"}'),
    (TEXT, b'{"type": "broker:taskofferaccept", "taskId": [], "offerId": {}}'),
    (TEXT, b"[" * 20_000),
    (BINARY, b"\x00\x01\x02"),
)
"""Frames that are whole, with something in them that a broker does not say."""

LATE = (
    (TEXT, b'{"type": "broker:tasksettings", "taskId": "nobody\'s", "settings": {}}'),
    (TEXT, b'{"type": "broker:taskcancel", "taskId": "nobody\'s", "reason": "late"}'),
    (TEXT, b'{"type": "broker:something-new", "taskId": "nobody\'s"}'),
)
"""Frames that a runner understands and that change nothing."""


def _frame(kind: int, payload: bytes) -> bytes:
    """A frame as a server sends it, without a mask."""
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))
    return bytes([0x80 | kind]) + length + payload


async def reset(world: World) -> None:
    mark = world.runner.log.mark()
    world.proxy.reset()
    await world.runner.log.says(LOST, mark)


async def close(world: World) -> None:
    mark = world.runner.log.mark()
    world.proxy.close()
    await world.runner.log.says(LOST, mark)


def silence(ways: frozenset[Way] = BOTH) -> Inflict:
    """A half-open connection, until the runner has noticed."""

    async def inflict(world: World) -> None:
        mark = world.runner.log.mark()
        world.proxy.stall(ways)
        await world.runner.log.says(LOST, mark)
        world.proxy.lift()

    return inflict


async def hiccup(world: World) -> None:
    world.proxy.stall()
    await asyncio.sleep(HEARTBEAT / 4)
    world.proxy.lift()


async def _go_there_and_back(world: World) -> None:
    """Some tasks, small and larger, that have to arrive as they were sent."""
    items = [{"json": {"n": number, "text": "naïve " * 50}} for number in range(300)]
    tasks = [world.request("return _items", given) for given in ([], items, items[:1])]
    assert [result_of(await task.end()) for task in tasks] == [[], items, items[:1]]


async def cut(world: World) -> None:
    world.proxy.weather.cut = 0.02
    await _go_there_and_back(world)
    world.proxy.lift()


async def delay(world: World) -> None:
    world.proxy.weather.delay = HEARTBEAT / 10
    await _go_there_and_back(world)
    world.proxy.lift()


def answer(with_this: bytes, to: bytes = b"") -> Inflict:
    """The connection is lost, and the next attempt answered by somebody else; requests that begin with `to`."""

    async def inflict(world: World) -> None:
        mark = world.runner.log.mark()
        world.proxy.weather.answer, world.proxy.weather.answered = with_this, to
        world.proxy.reset()
        await world.runner.log.says(FAILED, mark)
        world.proxy.lift()

    return inflict


async def no_answer(world: World) -> None:
    """The connection is lost, and the next attempt heard by nobody: as a firewall has it that drops all it gets."""
    mark = world.runner.log.mark()
    world.proxy.reset()
    world.proxy.stall()
    await world.runner.log.says(FAILED, mark)
    world.proxy.lift()


def status(number: int, to: bytes) -> Inflict:
    return answer(http_answer(number), to)


def garble(way: Way) -> Inflict:
    """Something that is no frame, in the middle of the connection."""

    async def inflict(world: World) -> None:
        mark = world.runner.log.mark()
        world.proxy.inject(way, b"\xff" * 64)
        await world.runner.log.says(LOST, mark)

    return inflict


async def nonsense(world: World) -> None:
    log = world.runner.log
    mark = log.mark()
    for kind, payload in (*LATE, *NONSENSE):
        world.proxy.inject(Way.TO_RUNNER, _frame(kind, payload))
    await log.says(MISUNDERSTOOD, mark, times=len(NONSENSE))
    assert log.since(mark, LOST) == []


async def restart_of_the_broker(world: World) -> None:
    await world.lose_broker(LOST)
    await world.broker.__aenter__()


async def absence_of_the_broker(world: World) -> None:
    await world.lose_broker(FAILED)
    await world.broker.__aenter__()
