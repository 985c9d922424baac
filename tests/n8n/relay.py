"""A relay between a runner and a broker, whose connections can be cut as a network cuts them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PONG = 0x8A
"""The first byte of a WebSocket's pong."""


class Relay:
    """Passes bytes on, both ways, on a port of its own."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.pongs: list[float] = []
        """When the runner answered a ping of the broker."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def cut(self) -> None:
        """End every connection, without a word of WebSocket's own."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        both = {writer, there_writer}
        self._writers |= both
        try:
            await asyncio.gather(self._pass_on(reader, there_writer, self._note), self._pass_on(there_reader, writer))
        except ConnectionError:
            pass  # it has been cut
        finally:
            self._writers -= both
            for each in both:
                each.close()

    def _note(self, sent: bytes) -> None:
        if sent[0] == PONG:
            self.pongs.append(time.monotonic())

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None] | None = None
    ) -> None:
        while received := await reader.read(65536):
            if note is not None:
                note(received)
            writer.write(received)
            await writer.drain()
        writer.close()
