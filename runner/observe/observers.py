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
from typing import TYPE_CHECKING, TypeVar

import attrs

from statemachine import Entry

if TYPE_CHECKING:  # made only when somebody observes
    from runner.observe.events import ConnectionFailure, OfferAccepted, TaskFinished, TaskStarted, TaskTurnedAway

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

    def connection_failed(self, kind: FailureKind, why: str, code: int | None) -> None:
        """Tell of a failure of the connection; see `ConnectionFailure`."""
        if self._observers:
            from runner.observe.events import ConnectionFailure

            self.tell(Observer.on_connection_failed, ConnectionFailure(kind, why, code))

    def offer_accepted(self, offer_id: str, waited: float) -> None:
        """Tell of an offer that was taken up; see `OfferAccepted`."""
        if self._observers:
            from runner.observe.events import OfferAccepted

            self.tell(Observer.on_offer_accepted, OfferAccepted(offer_id, waited))

    def task_rejected(self, task_id: str, reason: str) -> None:
        """Tell of a task that was turned away; see `TaskTurnedAway`."""
        if self._observers:
            from runner.observe.events import TaskTurnedAway

            self.tell(Observer.on_task_rejected, TaskTurnedAway(task_id, reason))

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
