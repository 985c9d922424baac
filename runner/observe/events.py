"""What observers are told, as data. Imported when somebody observes: each of these classes takes a while to make."""

from __future__ import annotations

import attrs

from runner.observe.observers import FailureKind, TaskIdentity, TaskOutcome


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
