"""The broker's way to one runner: a WebSocket of aiohttp's, written together, and watched as n8n does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import WSMsgType, web

from runner.broker.limits import UNRESPONSIVE
from runner.clock import Alarm, SystemClock

CLOSE_TIMEOUT = 1.0
"""How long a runner may take to answer our close, in seconds."""

WRITTEN_TOGETHER = 64 * 1024
"""Up to how many bytes frames are put together to be written: with more of them, copying costs more than a call."""

PING = b"\x89\x00"


class WebSocketPeer:
    """The way to one runner, in the order in which things were sent.

    What is sent in one turn of the event loop is written by one call of the kernel: on one machine, that call does the
    receiver's part as well and wakes it up, which costs more than all else that is done for a small frame.
    """

    def __init__(
        self, response: web.WebSocketResponse, transport: asyncio.WriteTransport, heartbeat_interval: float
    ) -> None:
        """A way over an accepted WebSocket, aiohttp's `response`, and the `transport` that it is on.

        Parameters:
            heartbeat_interval: how often it is pinged, in seconds. It is hung up on when no pong came since the last.
        """
        self._socket = response
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []
        self._writing: asyncio.Handle | None = None
        self._goodbye: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        self._interval = heartbeat_interval
        self._answered = True
        self._heartbeat = Alarm(SystemClock(), self._beat)  # whoever turns a clock does not turn that of the network
        self._heartbeat.set(heartbeat_interval)

    def send(self, frame: bytes) -> None:
        """Send a text frame after those before it."""
        self._unsent.append(_text_header(len(frame)))
        self._unsent.append(frame)
        if self._writing is None:
            self._writing = self._loop.call_soon(self._write)

    def close(self, code: int, why: str) -> None:
        """Close after what was sent before."""
        if not self._goodbye.done():
            self._write()
            self._goodbye.set_result((code, why))

    def forget(self) -> None:
        """The connection is gone: let go of what is left of it here."""
        self._heartbeat.stop()

    async def closed(self) -> None:
        """Close when `close()` was called, and wait a moment for the runner's answer."""
        code, why = await self._goodbye
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                await self._socket.close(code=code, message=why.encode())
        except TimeoutError:
            self._transport.abort()  # it reads nothing: what is unsent would be waited for without end

    async def read(self, receive: Callable[[bytes], None]) -> None:
        """Hand each text frame to `receive`, and an empty one for what is no text, until the connection is over."""
        with contextlib.suppress(ConnectionError):  # of answers to pings
            while True:
                message = await self._socket.receive()
                if message.type is WSMsgType.TEXT:
                    receive(message.data)
                    self._put_off()
                elif message.type is WSMsgType.PONG:
                    self._answered = True
                elif message.type is WSMsgType.PING:
                    await self._socket.pong(message.data)
                elif message.type is WSMsgType.BINARY:
                    receive(b"")
                else:
                    return

    def _put_off(self) -> None:
        """Write later, as those whom a message has woken up may send something too, and have their turn first."""
        if self._writing is not None:
            self._writing.cancel()
        self._writing = self._loop.call_soon(self._write)

    def _write(self) -> None:
        """Write what is sent, unless the connection is closed or gone."""
        self._writing = None
        unsent, self._unsent = self._unsent, []
        if not unsent or self._is_over:
            return
        if sum(map(len, unsent)) <= WRITTEN_TOGETHER:
            self._transport.write(b"".join(unsent))
        else:
            for part in unsent:
                self._transport.write(part)

    def _beat(self) -> None:
        if not self._answered:
            self.close(UNRESPONSIVE, "it has not answered a ping")
        elif not self._is_over:
            self._answered = False
            self._transport.write(PING)
            self._heartbeat.set(self._interval)

    @property
    def _is_over(self) -> bool:
        """Whether nothing can be written any more."""
        return self._goodbye.done() or self._socket.closed or self._transport.is_closing()


def _text_header(size: int) -> bytes:
    """What stands before a text of so many bytes in a WebSocket: a frame that is a whole message, without a mask."""
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big")
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
