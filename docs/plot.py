"""Draws a curve as an SVG that is at home on light and dark pages, both axes in powers of ten."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 48
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 }
.grid { stroke: #d0d7de } .line { fill: none; stroke: #0969da; stroke-width: 2 } .point { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #c9d1d9 } .grid { stroke: #30363d } .line { stroke: #58a6ff } .point { fill: #58a6ff }
}"""
PREFIXES = {9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ"}

Points = Sequence[tuple[float, float]]


class Axis:
    """One axis: whole powers of ten that hold all values, along so many pixels."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        """An axis from the pixel `begin` to the pixel `end`."""
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self._begin, self._end = begin, end

    def __call__(self, value: float) -> float:
        """Where a value is, in pixels."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self._begin + share * (self._end - self._begin), 1)

    def powers(self) -> Iterator[int]:
        """The powers of ten, of which there are marks."""
        return iter(range(self.low, self.high + 1))


def label(power: int) -> str:
    """A power of ten for people: `10 k`, `100`, `1 m`."""
    prefix = max(each for each in PREFIXES if each <= power)
    return f"{10 ** (power - prefix)} {PREFIXES[prefix]}".strip()


def svg(title: str, over: str, unit: str, points: Points) -> str:
    """The picture of one curve.

    Parameters:
        over: what stands below, along the axis.
        unit: what stands beside the other one.
    """
    across = Axis([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up = Axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<text class="title" x="{LEFT}" y="20">{escape(title)}, {escape(unit)}</text>']
    for power in across.powers():
        x = across(10.0**power)
        parts.append(f'<path class="grid" d="M{x} {TOP}V{bottom}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{label(power)}</text>')
    for power in up.powers():
        y = up(10.0**power)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{right}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{label(power)}</text>')
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(over)}</text>')
    places = [(across(x), up(y)) for x, y in points]
    parts.append(f'<path class="line" d="M{"L".join(f"{x} {y}" for x, y in places)}"/>')
    parts += [f'<circle class="point" cx="{x}" cy="{y}" r="3.5"/>' for x, y in places]
    body = "\n".join(parts)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    return f"{head}\n<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n{body}\n</svg>\n"
