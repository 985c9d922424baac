"""A lint of the tables: what the engine would accept in silence is refused here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs
import pytest

from statemachine import (
    CONNECTION,
    TASK,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionState,
    EffectRow,
    EventRow,
    StateRow,
    Table,
    TaskEffect,
    TaskEvent,
    TaskState,
    TransitionRow,
)

AnyTable = Table[Any, Any, Any]
AnyState = StateRow[Any, Any]
AnyRow = TransitionRow[Any, Any, Any]


@attrs.frozen
class Declared:
    """A table, with what it has to be made of."""

    table: AnyTable
    states: type[Enum]
    events: type[Enum]
    effects: type[Enum]
    dead_ends: frozenset[Enum]


Lint = Callable[[Declared], list[str]]


def duplicate_arrows(declared: Declared) -> list[str]:
    arrows = Counter((source, row.event) for source, row in declared.table.arrows())
    return [f"{source} has {count} rows for {event}" for (source, event), count in arrows.items() if count > 1]


def rows_that_differ_from_the_enums(declared: Declared) -> list[str]:
    table = declared.table
    rows = (
        (declared.states, [row.state for row in table.states]),
        (declared.events, [row.event for row in table.events]),
        (declared.effects, [row.effect for row in table.effects]),
    )
    return [
        f"{member} has {count} rows"
        for members, found in rows
        for member in {*members, *found}
        if (count := found.count(member)) != 1 or member not in set(members)
    ]


def unknown_names(declared: Declared) -> list[str]:
    table = declared.table
    states = {table.initial}
    states |= {state for row in table.states for state in row.leads_to}
    states |= {state for source, row in table.arrows() for state in (source, row.target)}
    unknown = states - set(declared.states)
    unknown |= {row.event for row in table.transitions} - set(declared.events)
    unknown |= set(effects_in_use(table)) - set(declared.effects)
    return [f"{member} is unknown" for member in unknown]


def effects_in_use(table: AnyTable) -> list[Enum]:
    on_states = [effect for row in table.states for effect in (*row.entering, *row.leaving)]
    return on_states + [effect for row in table.transitions for effect in row.effects]


def unused_names(declared: Declared) -> list[str]:
    events = set(declared.events) - {row.event for row in declared.table.transitions}
    effects = set(declared.effects) - set(effects_in_use(declared.table))
    return [f"{member} is never used" for member in (*events, *effects)]


def unreachable_states(declared: Declared) -> list[str]:
    reached, fresh = set(), {declared.table.initial}
    while fresh:
        reached |= fresh
        fresh = {row.target for source, row in declared.table.arrows() if source in fresh} - reached
    return [f"{state} cannot be reached" for state in set(declared.states) - reached]


def exits_that_differ(declared: Declared) -> list[str]:
    """`leads_to` against the arrows. An arrow to itself is no exit."""
    problems = []
    for row in declared.table.states:
        exits = {each.target for source, each in declared.table.arrows() if source is row.state} - {row.state}
        if exits != set(row.leads_to) or len(row.leads_to) != len(exits):
            problems.append(f"{row.state} declares {row.leads_to} and leads to {exits}")
    return problems


def dead_ends_that_differ(declared: Declared) -> list[str]:
    left = {source for source, row in declared.table.arrows() if row.target is not source}
    return [f"{state}: dead end or not?" for state in (set(declared.states) - left) ^ declared.dead_ends]


def poor_meanings(declared: Declared) -> list[str]:
    table = declared.table
    rows: tuple[Any, ...] = (table, *table.states, *table.events, *table.effects, *table.transitions)
    return [f"{row} has no meaning in one line" for row in rows if not is_one_line(row.meaning)]


def is_one_line(text: str) -> bool:
    return bool(text) and text == text.strip() and len(text.splitlines()) == 1


LINTS: tuple[Lint, ...] = (
    duplicate_arrows,
    rows_that_differ_from_the_enums,
    unknown_names,
    unused_names,
    unreachable_states,
    exits_that_differ,
    dead_ends_that_differ,
    poor_meanings,
)

OURS = (
    Declared(CONNECTION, ConnectionState, ConnectionEvent, ConnectionEffect, frozenset()),
    Declared(TASK, TaskState, TaskEvent, TaskEffect, frozenset({TaskState.FINISHED})),
)


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.__name__)
@pytest.mark.parametrize("declared", OURS, ids=lambda declared: declared.table.name)
def test_the_tables_have_no_faults(declared: Declared, lint: Lint) -> None:
    assert lint(declared) == []


class Lamp(Enum):
    OFF = "off"
    ON = "on"
    BROKEN = "broken"


class Press(Enum):
    SWITCH = "switch"
    HIT = "hit"


class Glow(Enum):
    SHINE = "shine"
    FADE = "fade"
    RATTLE = "rattle"


class Foreign(Enum):
    THING = "thing"


OFF: AnyState = StateRow(Lamp.OFF, "Dark.", leads_to=(Lamp.ON,))
ON: AnyState = StateRow(
    Lamp.ON, "Bright.", leads_to=(Lamp.OFF, Lamp.BROKEN), entering=(Glow.SHINE,), leaving=(Glow.FADE,)
)
BROKEN: AnyState = StateRow(Lamp.BROKEN, "Dark for good.", leads_to=())
SWITCH_ON: AnyRow = TransitionRow((Lamp.OFF,), Press.SWITCH, Lamp.ON, "switched on")
SWITCH_OFF: AnyRow = TransitionRow((Lamp.ON,), Press.SWITCH, Lamp.OFF, "switched off")
HIT: AnyRow = TransitionRow((Lamp.ON,), Press.HIT, Lamp.BROKEN, "hit too hard", effects=(Glow.RATTLE,))
SWITCH = EventRow(Press.SWITCH, "Somebody uses the switch.")
EVENTS = (SWITCH, EventRow(Press.HIT, "Somebody hits it."))
EFFECTS = (EffectRow(Glow.SHINE, "Shine."), EffectRow(Glow.FADE, "Fade."), EffectRow(Glow.RATTLE, "Rattle."))

LAMP: AnyTable = Table(
    name="lamp",
    meaning="A lamp.",
    initial=Lamp.OFF,
    states=(OFF, ON, BROKEN),
    events=EVENTS,
    effects=EFFECTS,
    transitions=(SWITCH_ON, SWITCH_OFF, HIT),
)


def lamp(**changes: Any) -> Declared:
    """The lamp, with parts of its table replaced."""
    return Declared(attrs.evolve(LAMP, **changes), Lamp, Press, Glow, frozenset({Lamp.BROKEN}))


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.__name__)
def test_a_sound_lamp_passes_every_lint(lint: Lint) -> None:
    assert lint(lamp()) == []


BROKEN_LAMPS: tuple[tuple[str, Lint, Declared], ...] = (
    ("a row twice", duplicate_arrows, lamp(transitions=(SWITCH_ON, SWITCH_ON, SWITCH_OFF, HIT))),
    (
        "two targets for one event",
        duplicate_arrows,
        lamp(transitions=(SWITCH_ON, SWITCH_OFF, HIT, attrs.evolve(SWITCH_ON, target=Lamp.BROKEN))),
    ),
    ("a source twice in one row", duplicate_arrows, lamp(transitions=(attrs.evolve(HIT, sources=(Lamp.ON, Lamp.ON)),))),
    ("a state without a row", rows_that_differ_from_the_enums, lamp(states=(OFF, ON))),
    ("a state with two rows", rows_that_differ_from_the_enums, lamp(states=(OFF, ON, BROKEN, BROKEN))),
    ("an event without a row", rows_that_differ_from_the_enums, lamp(events=(SWITCH,))),
    ("an effect without a row", rows_that_differ_from_the_enums, lamp(effects=EFFECTS[1:])),
    (
        "an effect row of another enum",
        rows_that_differ_from_the_enums,
        lamp(effects=(*EFFECTS, EffectRow(Foreign.THING, "?"))),
    ),
    ("a foreign initial state", unknown_names, lamp(initial=Foreign.THING)),
    ("a foreign exit", unknown_names, lamp(states=(attrs.evolve(OFF, leads_to=(Foreign.THING,)), ON, BROKEN))),
    ("a foreign source", unknown_names, lamp(transitions=(attrs.evolve(HIT, sources=(Foreign.THING,)),))),
    ("a foreign target", unknown_names, lamp(transitions=(attrs.evolve(HIT, target=Foreign.THING),))),
    ("a foreign event", unknown_names, lamp(transitions=(attrs.evolve(HIT, event=Foreign.THING),))),
    ("a foreign effect", unknown_names, lamp(transitions=(attrs.evolve(HIT, effects=(Foreign.THING,)),))),
    ("an event that nothing waits for", unused_names, lamp(transitions=(SWITCH_ON, SWITCH_OFF))),
    ("an effect that nothing issues", unused_names, lamp(states=(OFF, attrs.evolve(ON, leaving=()), BROKEN))),
    ("a state that nothing leads to", unreachable_states, lamp(transitions=(SWITCH_ON, SWITCH_OFF))),
    (
        "states that lead only to each other",
        unreachable_states,
        lamp(transitions=(SWITCH_OFF, HIT)),
    ),
    ("an exit that is not declared", exits_that_differ, lamp(states=(attrs.evolve(OFF, leads_to=()), ON, BROKEN))),
    ("a declared exit that is not there", exits_that_differ, lamp(transitions=(SWITCH_ON, SWITCH_OFF))),
    (
        "an exit declared twice",
        exits_that_differ,
        lamp(states=(attrs.evolve(OFF, leads_to=(Lamp.ON, Lamp.ON)), ON, BROKEN)),
    ),
    ("a dead end that is not declared", dead_ends_that_differ, lamp(transitions=(SWITCH_ON,))),
    (
        "an arrow to itself as the only exit",
        dead_ends_that_differ,
        lamp(transitions=(attrs.evolve(SWITCH_ON, target=Lamp.OFF), SWITCH_OFF, HIT)),
    ),
    (
        "a declared dead end with an exit",
        dead_ends_that_differ,
        lamp(transitions=(SWITCH_ON, SWITCH_OFF, HIT, attrs.evolve(HIT, sources=(Lamp.BROKEN,), target=Lamp.OFF))),
    ),
    ("no meaning", poor_meanings, lamp(meaning="")),
    ("a blank meaning", poor_meanings, lamp(events=(attrs.evolve(SWITCH, meaning="  "),))),
    ("a meaning of two lines", poor_meanings, lamp(states=(attrs.evolve(OFF, meaning="Dark.\nCold."),))),
)


@pytest.mark.parametrize(
    ("lint", "declared"),
    [pytest.param(lint, declared, id=fault) for fault, lint, declared in BROKEN_LAMPS],
)
def test_the_lint_rejects_a_lamp_with_this_fault(lint: Lint, declared: Declared) -> None:
    assert lint(declared) != []


def test_every_lint_was_seen_to_reject_something() -> None:
    assert {lint for _, lint, _ in BROKEN_LAMPS} == set(LINTS)
