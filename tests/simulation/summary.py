"""What a number of simulations have seen, as tables: proof that everything that can be injected was injected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Self

from runner import Count
from runner.broker import TaskEnd
from statemachine import ConnectionState
from tests.simulation.plan import Trouble
from tests.simulation.run import Report

NOT_HERE = frozenset({Count.LOOP_STALLS, Count.OBSERVERS_FAILED})
"""What is counted and cannot happen in a simulation: there is no real time, and nobody but the simulation watches."""


class Summary:
    """The sums over some reports."""

    def __init__(self) -> None:
        self.runs = 0
        self.seconds = 0.0
        self.seen: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()

    def add(self, report: Report) -> None:
        """Add one report."""
        self.runs += 1
        self.seconds += report.seconds
        self.seen += report.story.seen
        self.states += report.states
        self.ends += report.ends
        self.counters += report.counters

    def __iadd__(self, other: Summary) -> Self:
        self.runs += other.runs
        self.seconds += other.seconds
        for name in ("seen", "states", "ends", "counters"):
            getattr(self, name).update(getattr(other, name))
        return self

    @property
    def hours(self) -> float:
        """Simulated hours."""
        return self.seconds / 3600

    def missing(self) -> list[str]:
        """What should have happened somewhere, and has not."""
        return [
            *(trouble.name for trouble in Trouble if not self.seen[trouble.name]),
            *(state.value for state in ConnectionState if not self.states[state.value]),
            *(end.name for end in TaskEnd if not self.ends[end.name]),
            *(count.name for count in Count if count not in NOT_HERE and not self.counters[count.name]),
        ]

    def __str__(self) -> str:
        return "\n\n".join(
            [
                f"{self.runs} seeds, {self.hours:,.1f} simulated hours",
                table("what was done to it", ((each.value, self.seen[each.name]) for each in Trouble)),
                table("states reached", ((each.value, self.states[each.value]) for each in ConnectionState)),
                table("tasks, as their requesters saw them end", ((e.value, self.ends[e.name]) for e in TaskEnd)),
                table("what the runners counted", ((each.value, self.counters[each.name]) for each in Count)),
            ]
        )


def table(title: str, rows: Iterable[tuple[str, int]]) -> str:
    """Rows of a name and a number, below a title."""
    return "\n".join([title, *(f"{number:>12,}  {name}" for name, number in rows)])
