"""The design by hand: the connection machine as a dict and two variables, to hold the real one against."""

from __future__ import annotations

from collections.abc import Mapping

from statemachine.connection import ConnectionEvent, ConnectionState
from statemachine.machine import Outcome

_S, _E = ConnectionState, ConnectionEvent

CONNECTION_MODEL: Mapping[tuple[ConnectionState, ConnectionEvent], ConnectionState] = {
    (_S.DISCONNECTED, _E.CONNECT): _S.CONNECTING,
    (_S.AUTH_FAILED, _E.CONNECT): _S.CONNECTING,
    (_S.CONNECTING, _E.ACCEPTED): _S.AUTHENTICATED,
    (_S.CONNECTING, _E.REFUSED): _S.AUTH_FAILED,
    (_S.CONNECTING, _E.UNREACHABLE): _S.BACKOFF,
    (_S.AUTHENTICATED, _E.REGISTERED): _S.LISTENING,
    (_S.AUTHENTICATED, _E.LOST): _S.BACKOFF,
    (_S.LISTENING, _E.LOST): _S.BACKOFF,
    (_S.LISTENING, _E.RENEW): _S.CONNECTING,
    (_S.BACKOFF, _E.RETRY): _S.CONNECTING,
    (_S.CONNECTING, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.AUTHENTICATED, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.LISTENING, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.BACKOFF, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.AUTH_FAILED, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.SHUTTING_DOWN, _E.LOST): _S.SHUTTING_DOWN,
    (_S.SHUTTING_DOWN, _E.CLOSED): _S.DISCONNECTED,
}
"""The table of the design; what is absent is ignored."""


class Model:
    """A machine that does what the design says, and nothing else."""

    def __init__(self) -> None:
        """A model of a machine that has done nothing."""
        self.state = _S.DISCONNECTED
        self.number = 0

    def fire(self, event: ConnectionEvent, number: int | None) -> Outcome:
        """Do what the machine should do, and say what it should say."""
        if event not in (_E.CONNECT, _E.SHUTDOWN) and number != self.number:
            return Outcome.STALE
        if (self.state, event) not in CONNECTION_MODEL:
            return Outcome.IGNORED
        self.state = CONNECTION_MODEL[self.state, event]
        self.number += self.state is _S.CONNECTING
        return Outcome.TAKEN
