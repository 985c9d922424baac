"""A TCP proxy between a runner and its broker that can do what networks do: break off, go silent, dawdle, garble."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import Enum
from typing import Self

import attrs

CHUNK = 64 * 1024
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends RST."""

UPGRADE = b"GET "
"""How the request for a WebSocket begins; the one before it, for a token, is a POST."""


class Way(Enum):
    """One direction through the proxy."""

    TO_BROKER = "to the broker"
    TO_RUNNER = "to the runner"


BOTH = frozenset(Way)


@attrs.define
class Weather:
    """What is done to everything that passes.

    Parameters:
        delay: how long each piece is held, in seconds.
        cut: how long each piece is held after its first half, in seconds; None leaves pieces whole.
        answer: what is said to a request that begins with `answered`, in place of the broker.
    """

    delay: float = 0.0
    cut: float | None = None
    answer: bytes | None = None
    answered: bytes = UPGRADE


class Pair:
    """One connection of the runner, and the one to the broker that stands for it."""

    def __init__(self, runner: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self._writers = {Way.TO_RUNNER: runner, Way.TO_BROKER: broker}

    def write(self, way: Way, data: bytes) -> None:
        self._writers[way].write(data)

    async def drain(self, way: Way) -> None:
        await self._writers[way].drain()

    def close(self) -> None:
        """End both sides with FIN."""
        for writer in self._writers.values():
            writer.close()

    def reset(self) -> None:
        """End both sides with RST, whatever is still under way."""
        for writer in self._writers.values():
            connection = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # gone already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            writer.transport.abort()

    async def closed(self) -> None:
        for writer in self._writers.values():
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Proxy:
    """Listens on a port of its own; used as a context manager. The broker may come and go behind it."""

    def __init__(self, host: str, port: int) -> None:
        """A proxy in front of a broker, which is not listening yet."""
        self.weather = Weather()
        self.answers = 0
        """How many requests were answered here."""
        self.arrivals = 0
        """How many connections of the runner there were."""
        self._broker = (host, port)
        self._pairs: set[Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = {way: asyncio.Event() for way in Way}
        self._something_happened = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._port = 0
        self.lift()

    @property
    def uri(self) -> str:
        """Where it is, as N8N_RUNNERS_TASK_BROKER_URI."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pairs)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.lift()
        self.reset()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    # What can be done to the connections that there are

    def reset(self) -> None:
        """RST on both sides of each connection."""
        for pair in tuple(self._pairs):
            pair.reset()

    def close(self) -> None:
        """FIN on both sides of each connection."""
        for pair in tuple(self._pairs):
            pair.close()

    def inject(self, way: Way, data: bytes) -> None:
        """Say something in the name of the other side."""
        for pair in tuple(self._pairs):
            pair.write(way, data)

    # What can be done to all that passes

    def stall(self, ways: frozenset[Way] = BOTH) -> None:
        """Forward nothing any more, without a word; take no more than what is under way."""
        for way in ways:
            self._open[way].clear()

    def lift(self) -> None:
        """Forward again, at first what was held; fair weather."""
        self.weather = Weather()
        for event in self._open.values():
            event.set()

    async def answered(self, count: int = 1) -> None:
        """Wait until so many more requests have been answered here."""
        goal = self.answers + count
        async with self._something_happened:
            await self._something_happened.wait_for(lambda: self.answers >= goal)

    async def arrived(self, count: int = 1) -> None:
        """Wait until so many more connections have come in."""
        goal = self.arrivals + count
        async with self._something_happened:
            await self._something_happened.wait_for(lambda: self.arrivals >= goal)

    async def _tell(self) -> None:
        async with self._something_happened:
            self._something_happened.notify_all()

    # Connections

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.arrivals += 1
        await self._tell()
        try:
            back, forth = await asyncio.open_connection(*self._broker)
        except OSError:  # nobody there: as if the runner had been refused
            writer.transport.abort()
            return
        await self._carry(Pair(writer, forth), reader, back)

    async def _carry(self, pair: Pair, reader: asyncio.StreamReader, back: asyncio.StreamReader) -> None:
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(Way.TO_BROKER, reader, pair))
                group.create_task(self._pump(Way.TO_RUNNER, back, pair))
        finally:
            self._pairs.discard(pair)
            pair.close()
            await pair.closed()

    async def _pump(self, way: Way, reader: asyncio.StreamReader, pair: Pair) -> None:
        """Carry what comes one way; when it ends, so does the whole connection."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._open[way].wait()
                if way is Way.TO_BROKER and self.weather.answer is not None and data.startswith(self.weather.answered):
                    await self._answer(pair, self.weather.answer)
                    return
                await self._forward(way, data, pair)
        await self._open[way].wait()  # neither does the end of a connection pass
        pair.close()

    async def _forward(self, way: Way, data: bytes, pair: Pair) -> None:
        weather = self.weather
        if weather.delay:
            await asyncio.sleep(weather.delay)
        if weather.cut is not None and len(data) > 1:
            half = len(data) // 2
            pair.write(way, data[:half])
            await pair.drain(way)
            await asyncio.sleep(weather.cut)
            data = data[half:]
        pair.write(way, data)
        await pair.drain(way)

    async def _answer(self, pair: Pair, answer: bytes) -> None:
        pair.write(Way.TO_RUNNER, answer)
        self.answers += 1
        pair.close()
        await self._tell()


def http_answer(status: int) -> bytes:
    """An answer of a broker, or of whatever stands in front of one."""
    return f"HTTP/1.1 {status} Because\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
