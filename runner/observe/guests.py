"""Who is connected to the status server: only so many, and each only for as long as it takes what it is sent.

How long a request may take to come is HTTP's affair, see `server.KEEP_ALIVE`. What is here holds whatever is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runner.clock import Alarm, Clock

MOST_CONNECTIONS = 128
"""How many connections there may be; with one more, the oldest gives way."""

READ_PATIENCE = 10.0
"""How long a guest may take to read what it was sent, in seconds. It is let go then: what it leaves unread fills
memory."""


class Guests:
    """The connections of a server; called for each, it makes the protocol that serves it."""

    def __init__(self, serve: Callable[[], asyncio.Protocol], clock: Clock) -> None:
        """Nobody yet. `serve` makes what speaks HTTP with a guest."""
        self._serve = serve
        self._clock = clock
        self._guests: dict[_Guest, None] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._guests)

    def __call__(self) -> asyncio.Protocol:
        """A protocol for a connection that is about to be made."""
        return _Guest(self._serve(), self._clock, self._came, self._went)

    def _came(self, guest: _Guest) -> None:
        """Take one more in. They may come in a burst, so it is now that they are counted, and not as they are made."""
        self._guests[guest] = None
        while len(self._guests) > MOST_CONNECTIONS:
            oldest = next(iter(self._guests))
            self._went(oldest)
            oldest.send_away()

    def _went(self, guest: _Guest) -> None:
        self._guests.pop(guest, None)


class _Guest(asyncio.Protocol):
    """One connection. Whatever happens on it is passed on to the protocol that serves it."""

    def __init__(
        self,
        served_by: asyncio.Protocol,
        clock: Clock,
        came: Callable[[_Guest], None],
        went: Callable[[_Guest], None],
    ) -> None:
        self._served_by = served_by
        self._came = came
        self._went = went
        self._transport: asyncio.Transport | None = None
        self._patience = Alarm(clock, self.send_away)

    def send_away(self) -> None:
        """End the connection at once; what has not been read is lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise AssertionError("it is a connection of TCP")
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # so that we are told whenever something is left unread
        self._served_by.connection_made(transport)
        self._came(self)

    def data_received(self, data: bytes) -> None:
        self._served_by.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served_by.eof_received()

    def pause_writing(self) -> None:
        self._patience.set(READ_PATIENCE)
        self._served_by.pause_writing()

    def resume_writing(self) -> None:
        self._patience.stop()
        self._served_by.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._patience.stop()
        self._went(self)
        self._served_by.connection_lost(error)
