"""What happened to a runner, as numbers: histograms since the beginning, and the last minutes in small slices."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence

import attrs

from runner.clock import Clock
from runner.observe.events import ConnectionFailure, OfferAccepted, TaskFinished, TaskStarted, TaskTurnedAway
from runner.observe.observers import FailureKind, Observer, TaskOutcome
from statemachine import Entry

SLICE = 5.0
"""How much time a slice of the last minutes covers, in seconds."""

SLICES = 120
"""How many slices are kept: ten minutes."""

LAST_FAILURES = 20
"""How many failures are kept."""

NAME_LIMIT = 120
"""How much of a name that somebody has given is kept, in characters."""

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds for what should be over at once, in seconds."""

LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Bounds for what may take as long as a task, in seconds."""

CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1011, 1012, 1013})
STATUSES = frozenset({400, 401, 403, 404, 429, 500, 502, 503, 504})
"""The codes that are told apart; a broker may send any, and each makes a time series."""


class Histogram:
    """How often a value was at most each of some bounds, and what all values come to."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Nothing yet; `bounds` are ascending."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values there have been."""
        return sum(self.counts)

    def quantile(self, part: float) -> float | None:
        """About the value that `part` of all are below, from within its bounds; None without values."""
        wanted, below = part * self.count, 0
        if not wanted:
            return None
        edges = (0.0, *self.bounds, self.bounds[-1])
        for index, count in enumerate(self.counts):
            if count and below + count >= wanted:
                low, high = edges[index], edges[index + 1]
                return low + (high - low) * (wanted - below) / count
            below += count
        return self.bounds[-1]


@attrs.define
class Slice:
    """What happened within one slice of time."""

    began: float
    done: int = 0
    failed: int = 0
    latency: Histogram = attrs.Factory(lambda: Histogram(LONG))


@attrs.frozen
class Failure:
    """A task that ended without a result. What its code said is left out: it may quote the items."""

    time: float
    task: str
    node: str
    workflow: str
    outcome: str
    line: int | None


def reason_of(failure: ConnectionFailure) -> str:
    """Why a connection failed, as one of few words."""
    if failure.kind is FailureKind.LOST:
        return f"closed_{failure.code}" if failure.code in CLOSE_CODES else "lost"
    return f"http_{failure.code}" if failure.code in STATUSES else failure.kind.value


class History(Observer):
    """Remembers what it is told, in bounded memory."""

    def __init__(self, clock: Clock) -> None:
        """An empty history, which begins now."""
        self._clock = clock
        self.began = clock.wall()
        self.transitions: Counter[tuple[str, ...]] = Counter()
        self.connection_failures: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self.outcomes: Counter[TaskOutcome] = Counter()
        self.offer_wait = Histogram(LONG)
        self.start_delay = Histogram(SHORT)
        self.run_time = Histogram(LONG)
        self.settings_bytes = 0
        self.result_bytes = 0
        self.stall_seconds = 0.0
        self.failures: deque[Failure] = deque(maxlen=LAST_FAILURES)
        self._slices: deque[Slice] = deque(maxlen=SLICES)

    def slices(self) -> list[Slice]:
        """The last minutes, oldest first, those in which nothing happened included."""
        latest = self._slice_of_now()
        kept = {slice_.began: slice_ for slice_ in self._slices}
        times = [latest - SLICE * back for back in range(SLICES - 1, -1, -1)]
        return [kept.get(began) or Slice(began) for began in times]

    def _slice_of_now(self) -> float:
        return self._clock.wall() // SLICE * SLICE

    def _current(self) -> Slice:
        now = self._slice_of_now()
        if not self._slices or self._slices[-1].began != now:
            self._slices.append(Slice(now))
        return self._slices[-1]

    def on_transition(self, entry: Entry) -> None:
        """Count it."""
        self.transitions[entry.source, entry.event, entry.target] += 1

    def on_connection_failed(self, failure: ConnectionFailure) -> None:
        """Count it by its reason."""
        self.connection_failures[reason_of(failure)] += 1

    def on_offer_accepted(self, offer: OfferAccepted) -> None:
        """Note how long the offer was open."""
        self.offer_wait.add(offer.waited)

    def on_task_rejected(self, task: TaskTurnedAway) -> None:
        """Count it by its reason, of which there are as many as the protocol has."""
        self.rejections[task.reason] += 1

    def on_task_started(self, task: TaskStarted) -> None:
        """Note how long it waited."""
        self.start_delay.add(task.waited)
        self.settings_bytes += task.settings_bytes

    def on_task_finished(self, task: TaskFinished) -> None:
        """Note how it ended."""
        self.outcomes[task.outcome] += 1
        if task.duration:
            self.run_time.add(task.duration)
        self.result_bytes += task.result_bytes
        current = self._current()
        current.latency.add(task.waited + task.duration)
        if task.outcome is TaskOutcome.DONE:
            current.done += 1
            return
        current.failed += 1
        who = task.task
        self.failures.append(
            Failure(
                self._clock.wall(),
                who.task_id[:NAME_LIMIT],
                who.node_name[:NAME_LIMIT],
                who.workflow_name[:NAME_LIMIT],
                task.outcome.value,
                task.line,
            )
        )

    def on_stall(self, seconds: float) -> None:
        """Add it up."""
        self.stall_seconds += seconds
