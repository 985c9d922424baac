"""Diagrams of a table: Mermaid, DOT, SVG and JSON, all from the same rows.

Everything but SVG is text made here, with nothing installed. SVG is drawn by Graphviz's `dot`.

A table and a machine that follows one draw themselves: `table.to_mermaid()`, `machine.to_svg(current=True)`. What they
call are the functions here. Two things can be marked: the `current` state, and a `path`, the entries of a journal. The
states that a path has been in and the arrows that it took stand out, and an event says how often it was taken.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:  # tables and machines draw themselves with this module
    from statemachine.journal import Entry
    from statemachine.machine import Table

    AnyTable = Table[Any, Any, Any]
    Path = Iterable[Entry]

FORMATS = ("mermaid", "dot", "svg", "json")
"""The names that `render` takes."""

_BEGIN = '""'
"""The node from which the first arrow comes: no state has an empty name."""

_GREEN = "#2e7d32"
"""The colour of what a path has touched: it shows on white and on black."""


class GraphvizMissing(RuntimeError):
    """Graphviz's `dot` is not there, or failed; the other formats need nothing installed. `reason` says which."""

    def __init__(self, reason: str, advice: str) -> None:
        """An error with its reason, and advice for whoever reads it."""
        self.reason = reason
        super().__init__(f"{reason}: {advice}")


class DrawableMachine:
    """A machine that can be drawn: its table, with its state and the path of its journal marked on request."""

    __slots__ = ()

    def to_mermaid(self, *, current: bool = False, path: bool = False) -> str:
        """The machine as a Mermaid diagram; see `statemachine.to_mermaid`."""
        return to_mermaid(*self._drawn(current, path))

    def to_dot(self, *, current: bool = False, path: bool = False) -> str:
        """The machine as a Graphviz digraph; see `statemachine.to_dot`."""
        return to_dot(*self._drawn(current, path))

    def to_svg(self, *, current: bool = False, path: bool = False) -> str:
        """The machine as an SVG picture; see `statemachine.to_svg`."""
        return to_svg(*self._drawn(current, path))

    def to_json(self, *, current: bool = False, path: bool = False) -> str:
        """The machine as JSON; see `statemachine.to_json`."""
        return to_json(*self._drawn(current, path))

    def _drawn(self, current: bool, path: bool) -> tuple[AnyTable, Enum | None, Path]:
        """What is drawn: the table, the state if it is to be marked, and the entries of the path if it is."""
        raise NotImplementedError


def render(table: AnyTable, form: str, current: Enum | None = None, path: Path = ()) -> str:
    """The diagram of `table` in one of `FORMATS`, with the state `current` and the `path` of a journal marked.

    Raises:
        GraphvizMissing: for `svg`, when Graphviz cannot be used.
        ValueError: the format is unknown, or the state or the path is none of this table.
    """
    renderers = {"mermaid": to_mermaid, "dot": to_dot, "svg": to_svg, "json": to_json}
    if form not in renderers:
        raise ValueError(f"unknown diagram format {form!r}: it is one of {', '.join(FORMATS)}")
    return renderers[form](table, current, path)


@attrs.frozen
class _Drawing:
    """What all text forms draw: the arrows, those between the same two states as one, and what is marked."""

    edges: dict[tuple[str, str], list[str]]
    current: str | None
    taken: Counter[tuple[str, str, str]]
    """How often the path took each arrow: source, event, target."""
    visited: frozenset[str]

    @classmethod
    def of(cls, table: AnyTable, current: Enum | None, path: Path) -> _Drawing:
        if current is not None and current not in {row.state for row in table.states}:
            raise ValueError(f"the table {table.name!r} has no state {current}")
        edges: dict[tuple[str, str], list[str]] = {}
        for source, row in table.arrows():
            edges.setdefault((source.value, row.target.value), []).append(row.event.value)
        taken = Counter((entry.source, entry.event, entry.target) for entry in path if not entry.ignored)
        for source, event, target in taken:
            if event not in edges.get((source, target), ()):
                raise ValueError(f"the path goes by {event!r} from {source!r} to {target!r}: {table.name!r} does not")
        visited = frozenset(state for source, _, target in taken for state in (source, target))
        return cls(edges, None if current is None else current.value, taken, visited)

    def label(self, source: str, target: str) -> str:
        """The events of an arrow, with how often the path took each."""
        counted = ((event, self.taken[source, event, target]) for event in self.edges[source, target])
        return ", ".join(f"{event} ×{times}" if times else event for event, times in counted)

    def is_taken(self, source: str, target: str) -> bool:
        """Whether the path took any event of an arrow."""
        return any(self.taken[source, event, target] for event in self.edges[source, target])


def to_mermaid(table: AnyTable, current: Enum | None = None, path: Path = ()) -> str:
    """A Mermaid `stateDiagram-v2`, which GitHub and most editors draw as they are.

    Parameters:
        current: a state to be marked.
        path: the entries of a journal, whose states and arrows are marked. Mermaid cannot colour an arrow of such a
            diagram: there the numbers say which were taken.

    Raises:
        ValueError: the state or the path is none of this table.
    """
    drawing = _Drawing.of(table, current, path)
    lines = ["stateDiagram-v2", f"    [*] --> {table.initial.value}"]
    lines += [f"    {source} --> {target}: {drawing.label(source, target)}" for source, target in drawing.edges]
    lines += [f"    {row.state.value} --> [*]" for row in table.states if not row.leads_to]
    if drawing.visited:
        lines += [f"    classDef visited stroke:{_GREEN}", f"    class {','.join(sorted(drawing.visited))} visited"]
    if drawing.current is not None:
        lines += ["    classDef current stroke-width:4px,font-weight:bold", f"    class {drawing.current} current"]
    return "\n".join(lines) + "\n"


def to_dot(table: AnyTable, current: Enum | None = None, path: Path = ()) -> str:
    """A Graphviz digraph; the meaning of each state is its tooltip.

    Parameters:
        current: a state to be marked.
        path: the entries of a journal, whose states and arrows are marked.

    Raises:
        ValueError: the state or the path is none of this table.
    """
    drawing = _Drawing.of(table, current, path)
    lines = [
        f"digraph {_quoted(table.name)} {{",
        "    rankdir=TB;",
        '    node [shape=box, style="rounded", fontname="sans-serif", fontsize=12];',
        '    edge [fontname="sans-serif", fontsize=10];',
        f"    {_BEGIN} [shape=point, width=0.12];",
    ]
    for row in table.states:
        marks = ", penwidth=3" if row.state.value == drawing.current else ""
        marks += ", peripheries=2" if not row.leads_to else ""
        marks += f', color="{_GREEN}"' if row.state.value in drawing.visited else ""
        lines.append(f"    {_quoted(row.state.value)} [tooltip={_quoted(row.meaning)}{marks}];")
    lines.append(f"    {_BEGIN} -> {_quoted(table.initial.value)};")
    for source, target in drawing.edges:
        marks = f', color="{_GREEN}", fontcolor="{_GREEN}"' if drawing.is_taken(source, target) else ""
        label = _quoted(drawing.label(source, target))
        lines.append(f"    {_quoted(source)} -> {_quoted(target)} [label={label}{marks}];")
    lines.append("}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A string as DOT and JSON both write it."""
    return json.dumps(text, ensure_ascii=False)


def to_svg(table: AnyTable, current: Enum | None = None, path: Path = ()) -> str:
    """An SVG picture, drawn by Graphviz's `dot` from what `to_dot` says.

    Raises:
        GraphvizMissing: `dot` is not on the path, or failed.
        ValueError: the state or the path is none of this table.
    """
    import subprocess  # here, because nobody else pays for it

    try:
        drawn = subprocess.run(
            ["dot", "-Tsvg"],
            input=to_dot(table, current, path),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            timeout=60,
        )
    except FileNotFoundError as error:
        raise GraphvizMissing(
            "SVG needs Graphviz, and its command `dot` was not found",
            "install the package `graphviz`, or choose mermaid, dot or json, which need nothing",
        ) from error
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or error
        raise GraphvizMissing(
            f"Graphviz's `dot` could not draw the diagram ({said})",
            "choose mermaid, dot or json, which do not need it",
        ) from error
    return drawn.stdout


def to_json(table: AnyTable, current: Enum | None = None, path: Path = ()) -> str:
    """The whole table as JSON: states, events, effects and transitions with their meanings.

    Parameters:
        current: a state, which becomes `current`.
        path: the entries of a journal; those that moved the machine, or were taken without, become `path`.

    Raises:
        ValueError: the state or the path is none of this table.
    """
    entries = tuple(path)
    document = {
        "name": table.name,
        "meaning": table.meaning,
        "initial": table.initial.value,
        "current": _Drawing.of(table, current, entries).current,
        "path": [
            {"from": entry.source, "event": entry.event, "to": entry.target, "time": entry.time, "why": entry.why}
            for entry in entries
            if not entry.ignored
        ],
        "states": [
            {
                "name": row.state.value,
                "meaning": row.meaning,
                "entering": _values(row.entering),
                "leaving": _values(row.leaving),
                "leads_to": _values(row.leads_to),
            }
            for row in table.states
        ],
        "events": [{"name": row.event.value, "meaning": row.meaning} for row in table.events],
        "effects": [{"name": row.effect.value, "meaning": row.meaning} for row in table.effects],
        "transitions": [
            {
                "from": _values(row.sources),
                "event": row.event.value,
                "to": row.target.value,
                "meaning": row.meaning,
                "effects": _values(row.effects),
            }
            for row in table.transitions
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _values(members: tuple[Any, ...]) -> list[str]:
    """The values of enum members."""
    return [member.value for member in members]
