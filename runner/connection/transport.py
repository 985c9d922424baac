"""How a connection to a task broker is made and used: all that its effects know of it.

`runner.connection.websocket` does this with aiohttp. Whoever brings another way, such as a tunnel or a simulated
network, gives a `Transport` to `TaskRunner`.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol


class SignOfLife(Enum):
    """What is heard of a peer that has nothing to say."""

    HEARTBEAT = "a ping, or a pong"


class Socket(Protocol):
    """One open connection. It is read by one coroutine and written by one other."""

    async def receive(self) -> bytes | SignOfLife | None:
        """The next text frame; None for one that is not text.

        A sign of life tells that the peer is there though it says nothing. Without one in two heartbeat intervals, a
        runner with nothing to do does not call itself ready.

        Raises:
            ConnectionLost: there will be no more frames.
        """

    async def send(self, frame: bytes) -> None:
        """Send one text frame, and wait while too much is under way.

        Raises:
            ConnectionLost: the frame was not sent.
        """

    async def close(self) -> None:
        """Close politely, in bounded time, and let go of everything."""

    async def drop(self) -> None:
        """Let go of everything at once, whatever is still unsent. Harmless when it has been let go of."""


class Transport(Protocol):
    """Opens connections to one task broker, one at a time."""

    async def open(self, runner_id: str) -> Socket:
        """Open a connection for the runner with this id, in bounded time. A cancelled attempt leaves nothing behind.

        Raises:
            Refused: the broker refused the credential: another attempt with the same one is pointless.
            Unreachable: no connection came about this time.
        """
