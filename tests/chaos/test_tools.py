"""The tools of the chaos do what they say: a proxy that does no harm, and checks that find nothing, prove nothing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.health import Reading, differences
from tests.chaos.process import Log
from tests.chaos.proxy import Proxy, Way, http_answer

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@attrs.define
class Line:
    """A connection through a proxy: both ends, and what is between them."""

    proxy: Proxy
    runner: Ends
    broker: Ends

    async def heard(self, count: int) -> bytes:
        """What comes to the broker."""
        async with asyncio.timeout(5):
            return await self.broker[0].readexactly(count)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    accepted: asyncio.Future[Ends] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda *ends: accepted.set_result(ends), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    async with server, Proxy(host, port) as proxy:
        reader, writer = await asyncio.open_connection(host, int(proxy.uri.rpartition(":")[2]))
        broker = await accepted
        yield Line(proxy, (reader, writer), broker)
        for end in (writer, broker[1]):
            end.transport.abort()


async def test_it_carries_both_ways(line: Line) -> None:
    line.runner[1].write(b"question")
    assert await line.heard(8) == b"question"
    line.broker[1].write(b"answer")
    assert await line.runner[0].readexactly(6) == b"answer"


async def test_a_reset_is_a_reset_on_both_sides_and_a_close_is_not(line: Line) -> None:
    line.proxy.reset()
    for reader, _ in (line.runner, line.broker):
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_a_close_is_an_end_on_both_sides(line: Line) -> None:
    line.proxy.close()
    for reader, _ in (line.runner, line.broker):
        assert await reader.read(1) == b""


async def test_what_is_stalled_comes_when_it_is_lifted(line: Line) -> None:
    line.proxy.stall(frozenset({Way.TO_BROKER}))
    line.runner[1].write(b"question")
    line.broker[1].write(b"answer")
    assert await line.runner[0].readexactly(6) == b"answer"  # the other way is open
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(line.broker[0].read(1), 0.1)
    line.proxy.lift()
    assert await line.heard(8) == b"question"


async def test_the_end_of_a_connection_does_not_pass_a_stall(line: Line) -> None:
    line.proxy.stall()
    line.broker[1].transport.abort()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(line.runner[0].read(1), 0.1)
    line.proxy.lift()
    assert await line.runner[0].read(1) == b""


async def test_a_cut_piece_comes_in_two(line: Line) -> None:
    line.proxy.weather.cut = 0.05
    line.runner[1].write(b"question")
    assert await line.broker[0].read(100) == b"ques"
    assert await line.broker[0].read(100) == b"tion"


async def test_a_delay_is_one(line: Line) -> None:
    line.proxy.weather.delay = 0.1
    began = time.monotonic()
    line.runner[1].write(b"question")
    assert await line.heard(8) == b"question"
    assert time.monotonic() - began >= 0.1


async def test_an_answer_takes_the_place_of_the_brokers(line: Line) -> None:
    line.proxy.weather.answer = http_answer(503)
    line.runner[1].write(b"POST / HTTP/1.1\r\n\r\n")  # not what is answered
    assert await line.heard(19) == b"POST / HTTP/1.1\r\n\r\n"
    line.runner[1].write(b"GET / HTTP/1.1\r\n\r\n")
    assert (await line.runner[0].read()).startswith(b"HTTP/1.1 503 ")
    assert await line.broker[0].read() == b""
    assert line.proxy.answers == 1


READING = Reading(Counter(socket=3, pipe=2), (7,), 9, 2, 5, 1, 6, 50_000_000)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"zygotes": (8,)}, []),
        ({"memory": 60_000_000}, []),
        ({"task_folders": 7, "zygote_descriptors": 10}, []),
        ({"threads": 1}, []),
        ({"descriptors": Counter(socket=4, pipe=2)}, ["descriptors: (Counter({'socket': 1}), Counter())"]),
        ({"descriptors": Counter(socket=3, pipe=1)}, ["descriptors: (Counter(), Counter({'pipe': 1}))"]),
        ({"zygotes": ()}, ["zygotes: -1"]),
        ({"zygotes": (7, 8)}, ["zygotes: 1"]),
        ({"zygote_descriptors": 11}, ["descriptors of the zygote: 1"]),
        ({"threads": 3}, ["threads: 1"]),
        ({"processes": 4}, ["processes: -1"]),
        ({"folders": 2}, ["folders: 1"]),
        ({"task_folders": 8}, ["folders of tasks: 1"]),
        ({"memory": 70_000_000}, ["memory: 7417088"]),
    ],
)
def test_what_is_not_as_it_was_is_found(changes: dict[str, Any], found: list[str]) -> None:
    assert differences(READING, attrs.evolve(READING, **changes), spare=1) == found


async def test_troubles_are_found_in_a_log_with_what_follows_them() -> None:
    log, stream = Log(), asyncio.StreamReader()
    stream.feed_data(b"fine\nTraceback (most recent call last):\n  a line\nValueError\n")
    stream.feed_eof()
    await log.keep(stream)
    assert log.troubles() == ["Traceback (most recent call last):\n  a line\nValueError"]
    assert log.since(1, "fine") == []


def test_the_faults_have_names_of_their_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
