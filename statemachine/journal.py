"""The last transitions, bounded: what happened to a connection, for people and for tests.

The journal keeps what was fired, also what was ignored or stale, because that is what explains a surprise. It has no
clock of its own: it is given one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from statemachine.machine import Outcome, Step

DEFAULT_LIMIT = 256
"""Entries that a journal keeps unless told otherwise: hours of a quiet connection, minutes of a bad one."""


@attrs.frozen
class Entry:
    """One fired event.

    `time` is what the journal's clock said (seconds); `number` is the connection that the event spoke of.
    """

    time: float
    event: str
    source: str
    target: str
    why: str
    outcome: Outcome
    number: int

    @property
    def ignored(self) -> bool:
        """Whether the event changed nothing, because the table does not list it or because it came too late."""
        return self.outcome is not Outcome.TAKEN

    def as_dict(self) -> dict[str, Any]:
        """The entry as plain values, ready for JSON."""
        return {**attrs.asdict(self), "outcome": self.outcome.value, "ignored": self.ignored}


class Journal:
    """A bounded record of steps. The oldest entry goes first; the counts of outcomes are kept for ever."""

    def __init__(self, clock: Callable[[], float], limit: int = DEFAULT_LIMIT) -> None:
        """A journal that asks `clock` for the time (seconds) and keeps the last `limit` entries."""
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._counts: Counter[Outcome] = Counter()

    def record(self, step: Step[Any, Any, Any], number: int = 0) -> Entry:
        """Write a step down, with the number of the connection that its event spoke of."""
        entry = Entry(
            time=self._clock(),
            event=step.event.value,
            source=step.before.value,
            target=step.after.value,
            why=step.why,
            outcome=step.outcome,
            number=number,
        )
        self._entries.append(entry)
        self._counts[step.outcome] += 1
        return entry

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is still kept, oldest first."""
        return tuple(self._entries)

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many events were taken, ignored and stale since the beginning."""
        return dict(self._counts)

    def path(self) -> tuple[str, ...]:
        """The states that the kept entries went through, first to last."""
        taken = [entry for entry in self._entries if not entry.ignored]
        if not taken:
            return ()
        moves = [entry.target for entry in taken if entry.source != entry.target]
        return (taken[0].source, *moves)
