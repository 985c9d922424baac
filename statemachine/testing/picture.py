"""What can be seen of a connection at one moment: sockets, timers, coroutines, and where `start()` stands."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import attrs


class Timer(Enum):
    """The timers that the connection table starts and stops."""

    REGISTRATION = "registration"
    RETRY = "retry"
    IDLE = "idle"
    AGE = "age"


class Role(Enum):
    """What a coroutine of a connection does."""

    RECEIVE = "receive"
    OFFER = "offer"
    TASK = "task"
    KILLED_TASK = "killed task"


class Start(Enum):
    """Where the latest `start()` stands: whether it has ended, and how."""

    NOT_CALLED = "not called"
    RUNNING = "running"
    REFUSED = "ended with the refusal"
    STOPPED = "ended, stopped"


class Coroutine(NamedTuple):
    """A living coroutine, and the number of the connection that it belongs to."""

    number: int
    role: Role


@attrs.frozen
class Picture:
    """The world at one moment. `opening` and `sockets` hold connection numbers."""

    opening: frozenset[int] = frozenset()
    sockets: frozenset[int] = frozenset()
    timers: frozenset[Timer] = frozenset()
    coroutines: frozenset[Coroutine] = frozenset()
    draining: bool = False
    start: Start = Start.NOT_CALLED

    @property
    def offering(self) -> bool:
        """Whether offers are being made."""
        return any(coroutine.role is Role.OFFER for coroutine in self.coroutines)

    @property
    def tasks(self) -> frozenset[Coroutine]:
        """The tasks in flight. One that is being killed is alive until it is gone, but in flight no more."""
        return frozenset(coroutine for coroutine in self.coroutines if coroutine.role is Role.TASK)

    @property
    def alive(self) -> list[str]:
        """Everything that is open, running or pending, in words."""
        return [
            *(f"the opening of socket {number}" for number in sorted(self.opening)),
            *(f"socket {number}" for number in sorted(self.sockets)),
            *sorted(f"the {timer.value} timer" for timer in self.timers),
            *sorted(f"the {role.value} coroutine of connection {number}" for number, role in self.coroutines),
            *(["a drain"] if self.draining else []),
        ]
