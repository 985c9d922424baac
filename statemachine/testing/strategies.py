"""What to fire: single events and whole runs, generated."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from statemachine.connection import UNNUMBERED, ConnectionEvent


class FiredEvent(NamedTuple):
    """An event to fire, and how stale it is.

    `age` is 0 for the current connection, n for the one n connections ago, -n for one that does not exist yet.
    """

    event: ConnectionEvent
    age: int

    def number(self, current: int) -> int | None:
        """The connection number to fire it with when `current` is the machine's; None if it speaks of none."""
        return None if self.event in UNNUMBERED else current - self.age


def fired_events(max_age: int = 3, max_lead: int = 0) -> st.SearchStrategy[FiredEvent]:
    """Single events, most of them of the current connection.

    Parameters:
        max_age: how many connections ago a stale event may come from.
        max_lead: how many connections ahead an event may claim to be, which no well-behaved performer does.
    """
    ages = st.one_of(st.just(0), st.integers(-max_lead, max_age))
    return st.sampled_from(ConnectionEvent).flatmap(
        lambda event: st.builds(FiredEvent, st.just(event), st.just(0) if event in UNNUMBERED else ages)
    )


def fired_sequences(max_size: int = 50, max_age: int = 3, max_lead: int = 0) -> st.SearchStrategy[list[FiredEvent]]:
    """Whole runs: up to `max_size` events, in any order."""
    return st.lists(fired_events(max_age, max_lead), max_size=max_size)
