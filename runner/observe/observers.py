"""What a runner tells those who watch it: a small typed interface, and the one place that calls it.

    class Progress(Observer):
        def on_task_finished(self, task: TaskFinished) -> None:
            print(task.task.node_name, task.outcome.value, task.duration)

    runner.observe(Progress())

Observers are called on the event loop, in between two steps of the runner: they have to return at once. What they raise
is logged and counted, and harms nothing. Nothing is made for an observer that is not there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import attrs

from statemachine import Entry

log = logging.getLogger(__name__)

T = TypeVar("T")


class TaskOutcome(Enum):
    """How a task ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    LOST = "lost"


class FailureKind(Enum):
    """In which way a connection failed."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    LOST = "lost"


@attrs.frozen
class TaskIdentity:
    """Which task it is: the broker's name for it, and where in n8n it comes from, `unknown` where that is not told."""

    task_id: str
    node_id: str = "unknown"
    node_name: str = "unknown"
    workflow_id: str = "unknown"
    workflow_name: str = "unknown"


@attrs.frozen
class TaskStarted:
    """The settings of a task have come, and it is run.

    Parameters:
        waited: from its accept to now, in seconds.
        settings_bytes: the size of what the broker sent along, items included.
    """

    task: TaskIdentity
    waited: float
    settings_bytes: int


@attrs.frozen
class TaskFinished:
    """A task has ended, and its slot is free.

    Parameters:
        waited: from its accept to its start, in seconds; to its end, if it was never started.
        duration: from its start to its end, in seconds; 0 if it was never started.
        settings_bytes: the size of what the broker sent along.
        result_bytes: the size of its result; 0 without one.
        error: why there is no result, in one line that may quote the code's data; empty with a result.
        line: the line of the code that failed, where that is known.
    """

    task: TaskIdentity
    outcome: TaskOutcome
    waited: float
    duration: float
    settings_bytes: int
    result_bytes: int
    error: str = ""
    line: int | None = None


@attrs.frozen
class TaskTurnedAway:
    """A task was rejected; the broker asks another runner. `reason` is the text that the broker was told."""

    task_id: str
    reason: str


@attrs.frozen
class OfferAccepted:
    """The broker has matched an offer with a task. `waited` is how long the offer had been open, in seconds."""

    offer_id: str
    waited: float


@attrs.frozen
class ConnectionFailure:
    """A connection did not come about, or broke.

    Parameters:
        why: one line for people, without secrets.
        code: the HTTP status of the answer, or the close code of the WebSocket, where there was one.
    """

    kind: FailureKind
    why: str
    code: int | None = None


@attrs.frozen
class RunningTask:
    """A task that holds a slot at this moment.

    Parameters:
        state: where it stands in its lifecycle.
        age: since its accept, in seconds.
    """

    task: TaskIdentity
    state: str
    age: float
    settings_bytes: int


class Observer:
    """Watches a runner: inherit from it, and override what you want to hear of."""

    def on_transition(self, entry: Entry) -> None:
        """The connection has moved to another state; its effects are about to be performed."""

    def on_connection_failed(self, failure: ConnectionFailure) -> None:
        """An attempt to connect has failed, or a connection was lost."""

    def on_offer_accepted(self, offer: OfferAccepted) -> None:
        """An offer was taken up while it was good."""

    def on_task_rejected(self, task: TaskTurnedAway) -> None:
        """A task was turned away."""

    def on_task_started(self, task: TaskStarted) -> None:
        """A task is run from now on."""

    def on_task_finished(self, task: TaskFinished) -> None:
        """A task has ended, however it did. Called once for each that was accepted, started or not."""

    def on_stall(self, seconds: float) -> None:
        """The event loop stood still for so long, where it is watched."""


class Observers:
    """Those who watch one runner. False as long as there are none."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        """Nobody watches yet; `on_failure` is called for every exception of an observer."""
        self._observers: tuple[Observer, ...] = ()
        self._on_failure = on_failure
        self._failed: set[tuple[int, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Observer) -> Callable[[], None]:
        """Have `observer` hear of everything from now on, until the function that this returns is called."""
        self._observers = (*self._observers, observer)

        def remove() -> None:
            self._observers = tuple(each for each in self._observers if each is not observer)

        return remove

    def tell(self, method: Callable[[Observer, T], None], event: T) -> None:
        """Call a method of every observer, such as `Observer.on_stall`, with what happened."""
        for observer in self._observers:
            try:
                getattr(observer, method.__name__)(event)
            except Exception as error:  # noqa: BLE001 - it is not ours, and must not become ours
                self._on_failure()
                self._complain(observer, method.__name__, error)

    def _complain(self, observer: Observer, method: str, error: Exception) -> None:
        """Log a failure of an observer with its traceback: the first of each method, or they would flood the log."""
        if (id(observer), method) not in self._failed:
            self._failed.add((id(observer), method))
            who = type(observer).__name__
            log.error("%s.%s raised an exception; further ones are only counted", who, method, exc_info=error)
