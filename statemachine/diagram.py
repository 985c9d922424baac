"""Diagrams of a table: Mermaid, DOT, SVG and JSON, all from the same rows.

Everything but SVG is text made here, with nothing installed. SVG is drawn by Graphviz's `dot`.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from statemachine.machine import Table

AnyTable = Table[Any, Any, Any]

FORMATS = ("mermaid", "dot", "svg", "json")
"""The names that `render` takes."""


_BEGIN = '""'
"""The node from which the first arrow comes: no state has an empty name."""


class GraphvizMissing(RuntimeError):
    """Graphviz's `dot` is not on the path, or failed; the other formats need nothing installed."""


def render(table: AnyTable, form: str, current: Enum | None = None) -> str:
    """The diagram of `table` in one of `FORMATS`, with the state `current` marked.

    Raises:
        GraphvizMissing: for `svg`, when Graphviz cannot be used.
        ValueError: the format is unknown.
    """
    renderers = {"mermaid": to_mermaid, "dot": to_dot, "svg": to_svg, "json": to_json}
    if form not in renderers:
        raise ValueError(f"unknown diagram format {form!r}: it is one of {', '.join(FORMATS)}")
    return renderers[form](table, current)


def _edges(table: AnyTable) -> dict[tuple[str, str], list[str]]:
    """The arrows with their events, those between the same two states as one."""
    edges: dict[tuple[str, str], list[str]] = {}
    for source, row in table.arrows():
        edges.setdefault((source.value, row.target.value), []).append(row.event.value)
    return edges


def to_mermaid(table: AnyTable, current: Enum | None = None) -> str:
    """A Mermaid `stateDiagram-v2`, which GitHub and most editors draw as they are."""
    lines = ["stateDiagram-v2", f"    [*] --> {table.initial.value}"]
    lines += [f"    {source} --> {target}: {', '.join(events)}" for (source, target), events in _edges(table).items()]
    lines += [f"    {row.state.value} --> [*]" for row in table.states if not row.leads_to]
    if current is not None:
        lines += ["    classDef current stroke-width:4px,font-weight:bold", f"    class {current.value} current"]
    return "\n".join(lines) + "\n"


def to_dot(table: AnyTable, current: Enum | None = None) -> str:
    """A Graphviz digraph; the meaning of each state is its tooltip."""
    lines = [
        f"digraph {_quoted(table.name)} {{",
        "    rankdir=TB;",
        '    node [shape=box, style="rounded", fontname="sans-serif", fontsize=12];',
        '    edge [fontname="sans-serif", fontsize=10];',
        f"    {_BEGIN} [shape=point, width=0.12];",
    ]
    for row in table.states:
        marks = ", penwidth=3" if row.state is current else ""
        marks += ", peripheries=2" if not row.leads_to else ""
        lines.append(f"    {_quoted(row.state.value)} [tooltip={_quoted(row.meaning)}{marks}];")
    lines.append(f"    {_BEGIN} -> {_quoted(table.initial.value)};")
    for (source, target), events in _edges(table).items():
        lines.append(f"    {_quoted(source)} -> {_quoted(target)} [label={_quoted(', '.join(events))}];")
    lines.append("}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A string as DOT and JSON both write it."""
    return json.dumps(text, ensure_ascii=False)


def to_svg(table: AnyTable, current: Enum | None = None) -> str:
    """An SVG picture, drawn by Graphviz's `dot`.

    Raises:
        GraphvizMissing: `dot` is not on the path, or failed.
    """
    import subprocess  # here, because nobody else pays for it

    try:
        drawn = subprocess.run(
            ["dot", "-Tsvg"],
            input=to_dot(table, current),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            timeout=60,
        )
    except FileNotFoundError as error:
        raise GraphvizMissing(
            "SVG needs Graphviz, and its command `dot` was not found: install the package `graphviz`, "
            "or choose mermaid, dot or json, which need nothing"
        ) from error
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or error
        raise GraphvizMissing(
            f"Graphviz's `dot` could not draw the diagram ({said}): choose mermaid, dot or json, which do not need it"
        ) from error
    return drawn.stdout


def to_json(table: AnyTable, current: Enum | None = None) -> str:
    """The whole table as JSON: states, events, effects and transitions with their meanings."""
    document = {
        "name": table.name,
        "meaning": table.meaning,
        "initial": table.initial.value,
        "current": current.value if current is not None else None,
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
