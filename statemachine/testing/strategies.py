"""What to fire: single events and whole runs, generated."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from statemachine.connection import UNNUMBERED, ConnectionEvent
from statemachine.machine import Table

E = TypeVar("E", bound=Enum)


class FiredEvent(NamedTuple):
    """An event of a connection to fire, and how stale it is.

    `age` is 0 for the current connection, n for the one n connections ago, -n for one that does not exist yet.
    """

    event: ConnectionEvent
    age: int

    def number(self, current: int) -> int | None:
        """The connection number to fire it with when `current` is the machine's; None if it speaks of none."""
        return None if self.event in UNNUMBERED else current - self.age


def any_sequences(table: Table[Any, E, Any], max_size: int = 50) -> st.SearchStrategy[list[E]]:
    """Runs of up to `max_size` events of a table, in any order, whether the state lists them or not."""
    return st.lists(st.sampled_from([row.event for row in table.events]), max_size=max_size)


@st.composite
def legal_sequences(draw: st.DrawFn, table: Table[Any, E, Any], max_size: int = 50) -> list[E]:
    """Runs of up to `max_size` events of a table, each of which its state lists: a walk along the arrows.

    A walk ends early where a state has no exits.
    """
    exits: dict[Enum, list[tuple[E, Enum]]] = {row.state: [] for row in table.states}
    for source, row in table.arrows():
        exits[source].append((row.event, row.target))
    state: Enum = table.initial
    events: list[E] = []
    for _ in range(draw(st.integers(0, max_size))):
        if not exits[state]:
            break
        event, state = draw(st.sampled_from(exits[state]))
        events.append(event)
    return events


def fired_events(max_age: int = 3, max_lead: int = 0) -> st.SearchStrategy[FiredEvent]:
    """Single events of a connection, most of them of the current one, some stale.

    Parameters:
        max_age: how many connections ago a stale event may come from.
        max_lead: how many connections ahead an event may claim to be, which no well-behaved performer does.
    """
    ages = st.one_of(st.just(0), st.integers(-max_lead, max_age))
    return st.sampled_from(ConnectionEvent).flatmap(
        lambda event: st.builds(FiredEvent, st.just(event), st.just(0) if event in UNNUMBERED else ages)
    )


def fired_sequences(max_size: int = 50, max_age: int = 3, max_lead: int = 0) -> st.SearchStrategy[list[FiredEvent]]:
    """Runs of up to `max_size` events of a connection, in any order, some stale."""
    return st.lists(fired_events(max_age, max_lead), max_size=max_size)
