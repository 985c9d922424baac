"""What a runner and a Dask worker say to each other on one line. Both sides import this.

A line is a connection of Dask's own kind. A message is a kind, some fields, and a document, which may be large: then it
comes in pieces, so that no size holds up an event loop.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any, Protocol

import attrs

PIECE = 1024**2
"""How much of a document is sent at a time, in bytes."""


class Kind(StrEnum):
    """The kinds of messages."""

    READY = "ready"  # a worker's first word: it takes tasks on this line
    NOT_READY = "not ready"  # or why it does not
    TASK = "task"
    CANCEL = "cancel"
    ANSWER = "answer"
    REFUSAL = "refusal"
    PRINT = "print"
    QUESTION = "question"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MORE = "more"  # a piece of the document of the next message


class Comm(Protocol):
    """What is used of Dask's connections."""

    async def read(self) -> Any:
        """The next message. Raises OSError when there will be none."""

    async def write(self, msg: Any) -> Any:
        """Send a message. Raises OSError when the connection is gone."""

    def abort(self) -> None:
        """Close it at once."""


@attrs.frozen
class Message:
    """Something that was said."""

    kind: Kind
    fields: tuple[Any, ...] = ()
    document: bytes = b""


class BadTalk(ValueError):
    """The other side does not keep to the protocol."""


class Talk:
    """One side of a line."""

    def __init__(self, comm: Comm, limit: int) -> None:
        """A side that takes documents of at most `limit` bytes."""
        self._comm = comm
        self._limit = limit
        self._outbox: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def say(self, kind: Kind, *fields: Any, document: bytes = b"") -> None:
        """Send a message after those before it. Returns at once; what cannot be sent is lost with the line."""
        cut = max(0, len(document) - 1) // PIECE * PIECE
        for start in range(0, cut, PIECE):
            self._outbox.put_nowait((Kind.MORE.value, document[start : start + PIECE]))
        self._outbox.put_nowait((kind.value, *fields, document[cut:]))

    async def send(self) -> None:
        """Write what was said, until the line is gone."""
        try:
            while True:
                await self._comm.write(await self._outbox.get())
        except OSError:
            return  # whoever listens hears of it as well

    async def hear(self) -> Message:
        """The next message.

        Raises:
            OSError: the line is gone.
            BadTalk: what came is no message, or is too long.
        """
        document = bytearray()
        while True:
            heard = await self._comm.read()
            if not isinstance(heard, tuple) or len(heard) < 2 or not isinstance(heard[-1], bytes):
                raise BadTalk("what came is no message")
            document += heard[-1]
            if len(document) > self._limit:
                raise BadTalk(f"a document has more than {self._limit} bytes")
            if heard[0] != Kind.MORE:
                try:
                    return Message(Kind(heard[0]), tuple(heard[1:-1]), bytes(document))
                except ValueError as error:
                    raise BadTalk("the kind of a message is not known") from error
