"""One connection while it lives: its socket, its coroutines, and the one writer of all that is sent on it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from runner.clock import Clock
from runner.connection.failures import ConnectionLost
from runner.connection.transport import SignOfLife, Socket
from runner.observe.counters import Count, Counters
from runner.protocol.codec import encode
from runner.protocol.messages import RunnerMessage
from runner.scope import OnCrash, Scope


class Link:
    """One open connection. Everything that belongs to it ends with it.

    Whoever sends on a link that is gone does not hear of it: the message is dropped and counted.
    """

    def __init__(self, number: int, socket: Socket, clock: Clock, counters: Counters, on_crash: OnCrash) -> None:
        """A link over an open socket, for the connection with this number."""
        self.number = number
        self.heard_at = clock.now()
        """When there was a sign of life of the peer for the last time."""
        self._clock = clock
        self._socket = socket
        self._counters = counters
        self._scope = Scope(on_crash)
        self._unsent: deque[bytes] = deque()
        self._something_unsent = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._alive = True

    def start(self, on_frame: Callable[[bytes | None], None], on_lost: Callable[[ConnectionLost], None]) -> None:
        """Start to read and to write.

        Parameters:
            on_frame: called with each frame; with None for one that is not text.
            on_lost: called once, when the connection has ended without our asking.
        """
        self._scope.spawn(self._read(on_frame, on_lost), f"reader of connection {self.number}")
        self._scope.spawn(self._write(on_lost), f"writer of connection {self.number}")

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], name: str, on_end: Callable[[], None] | None = None
    ) -> asyncio.Task[None]:
        """Start a coroutine that ends with this connection at the latest; `on_end` is called when it has."""
        return self._scope.spawn(coroutine, name, on_end)

    def send(self, message: RunnerMessage) -> None:
        """Send a message after all those before it; drop it if the connection is gone."""
        if not self._alive:
            self._counters.add(Count.SENDS_DROPPED)
            return
        frame = encode(message)
        if not self._unsent:
            self._all_sent.clear()
            self._something_unsent.set()
        self._unsent.append(frame)

    @property
    def has_unsent(self) -> bool:
        """Whether there is something that has not been sent yet."""
        return not self._all_sent.is_set()

    async def flushed(self) -> None:
        """Wait until everything has been sent, or dropped."""
        await self._all_sent.wait()

    async def close(self, flush_timeout: float) -> None:
        """Send what is unsent within `flush_timeout` seconds, close politely, and end every coroutine."""
        try:
            async with asyncio.timeout(flush_timeout):
                await self.flushed()
        except TimeoutError:
            pass  # the broker takes nothing any more: what is left is counted below
        self._die()
        await self._socket.close()
        await self._scope.cancel()

    async def cancel(self) -> None:
        """Cancel every coroutine, wait until the last has ended, and let go of the socket."""
        self._die()
        try:
            await self._scope.cancel()
        finally:
            await self._socket.drop()

    def _die(self) -> None:
        """From here on everything sent is dropped."""
        self._alive = False
        self._counters.add(Count.SENDS_DROPPED, len(self._unsent))
        self._unsent.clear()
        self._all_sent.set()

    def _lose(self, lost: ConnectionLost, on_lost: Callable[[ConnectionLost], None]) -> None:
        """Hear of the end of the connection, from the reader or the writer, whichever comes first."""
        if self._alive:
            self._die()
            on_lost(lost)

    async def _read(self, on_frame: Callable[[bytes | None], None], on_lost: Callable[[ConnectionLost], None]) -> None:
        try:
            while True:
                self._hear(await self._socket.receive(), on_frame)
        except ConnectionLost as lost:
            self._lose(lost, on_lost)

    def _hear(self, heard: bytes | SignOfLife | None, on_frame: Callable[[bytes | None], None]) -> None:
        """Take what has come. The reader itself keeps nothing of it, as a frame may be large and the next one far."""
        self.heard_at = self._clock.now()
        if not isinstance(heard, SignOfLife):
            on_frame(heard)

    async def _write(self, on_lost: Callable[[ConnectionLost], None]) -> None:
        try:
            while True:
                await self._something_unsent.wait()
                self._something_unsent.clear()
                while self._unsent:
                    await self._socket.send(self._unsent.popleft())
                self._all_sent.set()
        except ConnectionLost as lost:
            self._lose(lost, on_lost)
