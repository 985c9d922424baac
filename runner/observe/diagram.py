"""The connection as a picture, drawn from its table: for the page, which lights the current state and the last arrow.

Where things are is data too. Boxes stand on a grid; lines run along lanes between them, like those of a metro map, so
that lines that lead to the same place may share a lane. What the table has and the map has not is drawn straight from
box to box, and a test says that it wants a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from html import escape
from typing import Any

import attrs

from statemachine import ConnectionState, Table

WIDTH, HEIGHT = 470, 556
BOX_WIDTH, BOX_HEIGHT = 112, 46
CORNER = 9
"""The radius of the bends of lines."""

Point = tuple[float, float]

_S = ConnectionState

PLACES: Mapping[Enum, Point] = {
    _S.DISCONNECTED: (228, 30),
    _S.CONNECTING: (228, 138),
    _S.AUTH_FAILED: (64, 258),
    _S.AUTHENTICATED: (228, 258),
    _S.BACKOFF: (392, 258),
    _S.LISTENING: (228, 378),
    _S.SHUTTING_DOWN: (228, 498),
}
"""The middle of the box of each state."""


@attrs.frozen
class Route:
    """The way of one arrow.

    Parameters:
        points: its corners, from the edge of one box to that of another.
        label: where its name is written; None where the name of another arrow on the same lane says it.
        anchor: which part of the name is there: `start`, `middle` or `end`.
    """

    points: tuple[Point, ...]
    label: Point | None
    anchor: str = "start"


ROUTES: Mapping[tuple[Enum, Enum], Route] = {
    (_S.DISCONNECTED, _S.CONNECTING): Route(((228, 53), (228, 115)), (235, 89)),
    (_S.AUTH_FAILED, _S.CONNECTING): Route(((70, 235), (70, 138), (172, 138)), (112, 154), "middle"),
    (_S.CONNECTING, _S.AUTH_FAILED): Route(((172, 126), (46, 126), (46, 235)), (112, 119), "middle"),
    (_S.CONNECTING, _S.AUTHENTICATED): Route(((228, 161), (228, 235)), (221, 203), "end"),
    (_S.CONNECTING, _S.BACKOFF): Route(((284, 126), (410, 126), (410, 235)), (346, 119), "middle"),
    (_S.BACKOFF, _S.CONNECTING): Route(((386, 235), (386, 138), (284, 138)), (346, 154), "middle"),
    (_S.AUTHENTICATED, _S.LISTENING): Route(((228, 281), (228, 355)), (221, 323), "end"),
    (_S.AUTHENTICATED, _S.BACKOFF): Route(((284, 258), (336, 258)), (323, 251), "middle"),
    (_S.LISTENING, _S.BACKOFF): Route(((284, 385), (392, 385), (392, 281)), (385, 337), "end"),
    (_S.LISTENING, _S.CONNECTING): Route(((284, 370), (310, 370), (310, 150), (284, 150)), (303, 203), "end"),
    (_S.LISTENING, _S.SHUTTING_DOWN): Route(((228, 401), (228, 475)), (235, 443)),
    (_S.CONNECTING, _S.SHUTTING_DOWN): Route(((172, 150), (146, 150), (146, 490), (172, 490)), None),
    (_S.AUTHENTICATED, _S.SHUTTING_DOWN): Route(((172, 258), (146, 258), (146, 490), (172, 490)), (139, 378), "end"),
    (_S.AUTH_FAILED, _S.SHUTTING_DOWN): Route(((58, 281), (58, 490), (172, 490)), (65, 443)),
    (_S.BACKOFF, _S.SHUTTING_DOWN): Route(((416, 281), (416, 498), (284, 498)), (409, 443), "end"),
    (_S.SHUTTING_DOWN, _S.DISCONNECTED): Route(
        ((250, 521), (250, 542), (460, 542), (460, 30), (284, 30)), (372, 23), "middle"
    ),
    (_S.SHUTTING_DOWN, _S.SHUTTING_DOWN): Route(
        ((206, 521), (206, 542), (146, 542), (146, 508), (172, 508)), (139, 530), "end"
    ),
}


def drawn(table: Table[Any, Any, Any]) -> str:
    """The table as an SVG element without a style of its own: the page has one for its classes."""
    arrows: dict[tuple[Enum, Enum], list[Enum]] = {}
    for source, row in table.arrows():
        arrows.setdefault((source, row.target), []).append(row.event)
    lines = [
        f'<svg class="diagram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="diagram-title">',
        f'<title id="diagram-title">{escape(table.meaning)} Its states, and what leads from one to another.</title>',
        f"<defs>{_tip('tip', 8)}{_tip('tip-last', 12)}</defs>",
        *(line for ends, events in arrows.items() for line in _arrow(*ends, events)),
        *(_box(row.state, row.meaning) for row in table.states),
        "</svg>",
    ]
    return "\n".join(lines)


def _tip(name: str, size: int) -> str:
    """The tip of an arrow."""
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" '
        f'markerWidth="{size}" markerHeight="{size}" orient="auto">'
        f'<path class="{name}" d="M0,0.5 L7.5,4 L0,7.5 z"/></marker>'
    )


def _arrow(source: Enum, target: Enum, events: list[Enum]) -> Iterator[str]:
    """One arrow with its name."""
    route = ROUTES.get((source, target)) or _straight(source, target)
    names = ", ".join(event.value for event in events)
    yield (
        f'<g class="arrow" data-source="{source.value}" data-target="{target.value}">'
        f"<title>{source.value}: {names} → {target.value}</title>"
        f'<path d="{_path(route.points)}"/>'
    )
    if route.label is not None:
        x, y = route.label
        yield f'<text x="{x}" y="{y}" text-anchor="{route.anchor}">{names}</text>'
    yield "</g>"


def _straight(source: Enum, target: Enum) -> Route:
    """The way of an arrow that the map does not have."""
    begin, end = (PLACES.get(state, (WIDTH / 2, HEIGHT / 2)) for state in (source, target))
    return Route((begin, end), ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2))


def _path(points: tuple[Point, ...]) -> str:
    """The data of a path along these points, its bends rounded."""
    parts = [f"M{points[0][0]:g},{points[0][1]:g}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(corner, before), _towards(corner, after)
        parts.append(f"L{near[0]:g},{near[1]:g} Q{corner[0]:g},{corner[1]:g} {far[0]:g},{far[1]:g}")
    return " ".join([*parts, f"L{points[-1][0]:g},{points[-1][1]:g}"])


def _towards(corner: Point, other: Point) -> Point:
    """The point where the bend at a corner begins or ends."""
    length = abs(other[0] - corner[0]) + abs(other[1] - corner[1])
    part = min(CORNER, length / 2) / length
    return corner[0] + (other[0] - corner[0]) * part, corner[1] + (other[1] - corner[1]) * part


def _box(state: Enum, meaning: str) -> str:
    """One state."""
    x, y = PLACES.get(state, (WIDTH / 2, HEIGHT / 2))
    name = state.value.replace("_", " ")
    return (
        f'<g class="state" data-state="{state.value}"><title>{escape(meaning)}</title>'
        f'<rect x="{x - BOX_WIDTH / 2:g}" y="{y - BOX_HEIGHT / 2:g}" '
        f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="11"/>'
        f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle">{name}</text></g>'
    )
