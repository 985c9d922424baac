"""The thin typed layer over `transitions`: tables as data, `fire()`, effects and observers.

Theory of operation
-------------------
Two rules hold this package together.

1. *Every rule of a lifecycle is a row of a table.* A `Table` names the states, the events, the effects and the
   transitions, each with its meaning in one line. Diagrams, documentation and tests are made from the same rows.
2. *Nothing here does anything.* Firing an event moves a state and returns a `Step`: what happened, and which effects
   the caller now has to perform, in order. There is no socket, no clock and no coroutine in this package.

The engine is a synchronous `transitions.Machine` that nobody outside this module sees. One engine serves all
lifecycles of a table: it is built without a model, and moves a small subject that it is handed. The engine's entry,
exit and before-transition callbacks do one thing: they write down the effects that a row declares. So what it makes of
an event depends on the state and on nothing else: it is asked once for each pair of them, and its answer is kept, as a
runner fires the same few events thousands of times a second.

Effects have two moments, and the difference is a promise to the performer:

- `Step.leaving`: what leaving the old state asks for, then what the transition itself asks for. It is performed
  *before* anyone is told that the new state was reached, so nothing of a connection is alive when `backoff` is
  announced.
- `Step.entering`: what the new state asks for, performed after.

A row whose target is one of its sources is *internal* for that source: the state is neither left nor entered again,
only the row's own effects are issued.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
from transitions import EventData, MachineError
from transitions import Machine as _Engine
from transitions import State as _EngineState

from statemachine.diagram import DrawableMachine, to_dot, to_json, to_mermaid, to_svg

if TYPE_CHECKING:  # a journal records the steps of this module
    from statemachine.journal import Entry, Journal

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)
F = TypeVar("F", bound=Enum)


class Outcome(Enum):
    """What became of a fired event."""

    TAKEN = "taken"
    IGNORED = "ignored"
    STALE = "stale"


@attrs.frozen
class StateRow(Generic[S, F]):
    """One state: its meaning, what entering and leaving it asks for, and where it may lead.

    `leads_to` repeats what the transitions say, on purpose: a reader sees every exit of a state in one place, dead
    ends included, and a test fails when the two differ.
    """

    state: S
    meaning: str
    leads_to: tuple[S, ...]
    entering: tuple[F, ...] = ()
    leaving: tuple[F, ...] = ()


@attrs.frozen
class EventRow(Generic[E]):
    """One event and its meaning."""

    event: E
    meaning: str


@attrs.frozen
class EffectRow(Generic[F]):
    """One effect and what its performer has to do."""

    effect: F
    meaning: str


@attrs.frozen
class TransitionRow(Generic[S, E, F]):
    """In any of `sources`, `event` leads to `target`; `effects` are performed on the way."""

    sources: tuple[S, ...]
    event: E
    target: S
    meaning: str
    effects: tuple[F, ...] = ()


@attrs.frozen(eq=False)
class Table(Generic[S, E, F]):
    """A lifecycle as data. Identity is what counts: two tables are equal only if they are the same."""

    name: str
    meaning: str
    initial: S
    states: tuple[StateRow[S, F], ...]
    events: tuple[EventRow[E], ...]
    effects: tuple[EffectRow[F], ...]
    transitions: tuple[TransitionRow[S, E, F], ...]

    def arrows(self) -> Iterator[tuple[S, TransitionRow[S, E, F]]]:
        """Every single arrow of the diagram: a source with its row, in the order of the table."""
        for row in self.transitions:
            for source in row.sources:
                yield source, row

    def to_mermaid(self, current: S | None = None, path: Iterable[Entry] = ()) -> str:
        """The table as a Mermaid diagram; see `statemachine.to_mermaid`."""
        return to_mermaid(self, current, path)

    def to_dot(self, current: S | None = None, path: Iterable[Entry] = ()) -> str:
        """The table as a Graphviz digraph; see `statemachine.to_dot`."""
        return to_dot(self, current, path)

    def to_svg(self, current: S | None = None, path: Iterable[Entry] = ()) -> str:
        """The table as an SVG picture; see `statemachine.to_svg`."""
        return to_svg(self, current, path)

    def to_json(self, current: S | None = None, path: Iterable[Entry] = ()) -> str:
        """The table as JSON; see `statemachine.to_json`."""
        return to_json(self, current, path)


@attrs.frozen
class Step(Generic[S, E, F]):
    """What firing one event did, and what is to be performed now."""

    event: E
    before: S
    after: S
    outcome: Outcome
    why: str = ""
    leaving: tuple[F, ...] = ()
    entering: tuple[F, ...] = ()

    @property
    def effects(self) -> tuple[F, ...]:
        """All effects in the order in which they are to be performed."""
        return self.leaving + self.entering


@attrs.define(eq=False)
class _Subject:
    """What the engine moves: the state, and a note of the effects that its callbacks issued."""

    state: Any
    leaving: list[Any] = attrs.Factory(list)
    crossing: list[Any] = attrs.Factory(list)
    entering: list[Any] = attrs.Factory(list)


def _issue(moment: str, effects: tuple[Any, ...]) -> Callable[[EventData], None]:
    """An engine callback that writes `effects` down for `moment`."""

    def issue(event_data: EventData) -> None:
        getattr(event_data.model, moment).extend(effects)

    return issue


class _QuietState(_EngineState):
    """An engine state that does not log each of its callbacks at INFO, as the engine's own does."""

    def enter(self, event_data: EventData) -> None:
        """Call the entry callbacks."""
        event_data.machine.callbacks(self.on_enter, event_data)

    def exit(self, event_data: EventData) -> None:
        """Call the exit callbacks."""
        event_data.machine.callbacks(self.on_exit, event_data)


class _QuietEngine(_Engine):
    """The same for the callbacks of transitions. The journal and the driver tell what happened, once."""

    def callbacks(self, funcs: Iterable[Any], event_data: EventData) -> None:
        """Call `funcs` in order."""
        for func in funcs:
            self.callback(func, event_data)


@functools.cache
def _engine(table: Table[Any, Any, Any]) -> _Engine:
    """The one engine of a table, shared by all its lifecycles."""
    engine = _QuietEngine(
        model=None,
        states=[
            _QuietState(
                row.state,
                on_enter=_issue("entering", row.entering),
                on_exit=_issue("leaving", row.leaving),
            )
            for row in table.states
        ],
        initial=table.initial,
        auto_transitions=False,
        send_event=True,
    )
    for source, row in table.arrows():
        internal = row.target is source
        engine.add_transition(
            row.event.name,
            source,
            None if internal else row.target,
            before=_issue("crossing", row.effects),
        )
    return engine


@functools.cache
def _step(table: Table[Any, Any, Any], before: Enum, event: Enum) -> Step[Any, Any, Any]:
    """What the engine of a table makes of an event in a state. It is always the same, but for why it was fired."""
    subject = _Subject(before)
    try:
        _engine(table).events[event.name].trigger(subject)
    except MachineError:
        return Step(event, before, before, Outcome.IGNORED)
    leaving, entering = (*subject.leaving, *subject.crossing), tuple(subject.entering)
    return Step(event, before, subject.state, Outcome.TAKEN, "", leaving, entering)


class Lifecycle(DrawableMachine, Generic[S, E, F]):
    """One run through a table. Its state is moved by `fire()` and by nothing else."""

    __slots__ = ("_state", "journal", "table")

    def __init__(self, table: Table[S, E, F], journal: Journal | None = None) -> None:
        """A lifecycle at rest in the table's initial state, which writes every fired event into `journal`, if given."""
        self.table = table
        self.journal = journal
        self._state = table.initial

    @property
    def state(self) -> S:
        """The state that the last step led to."""
        return self._state

    def fire(self, event: E, why: str = "") -> Step[S, E, F]:
        """Fire one event.

        An event that the table does not list for the current state is no error: the step says `Outcome.IGNORED`,
        nothing moved and there is nothing to perform.

        Parameters:
            event: the event.
            why: one line for people, kept in the step and in the journal. Never a secret.
        """
        step = self._step(event, why)
        if self.journal is not None:
            self.journal.record(step)
        return step

    def _step(self, event: E, why: str) -> Step[S, E, F]:
        step = _step(self.table, self._state, event)
        self._state = step.after
        return attrs.evolve(step, why=why) if why else step

    def _drawn(self, current: bool, path: bool) -> tuple[Table[S, E, F], S | None, tuple[Entry, ...]]:
        if path and self.journal is None:
            raise ValueError("the path is that of a journal, and this machine keeps none: it has to be made with one")
        return self.table, self.state if current else None, self.journal.entries if path and self.journal else ()
