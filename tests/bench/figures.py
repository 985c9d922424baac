"""The table of figures: what is measured, what is to be reached, and what the official runner reaches."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

import attrs


class Better(Enum):
    """Which figures are the better ones, and so how a target is to be met."""

    HIGHER = ">="
    LOWER = "<="


HIGHER, LOWER = Better.HIGHER, Better.LOWER


@attrs.frozen
class Figure:
    """A row of the table. Without a target it is there to be looked at."""

    name: str
    what: str
    unit: str
    better: Better
    floor: float | None = None
    """What was reached once, and is not to be lost again."""
    target: float | None = None
    """What is to be reached."""
    official: float | None = None
    """What n8n's own Python runner reaches on this kind of machine."""
    summary: Callable[[Sequence[float]], float] = statistics.median

    def verdict(self, value: float) -> str:
        """What a value is worth; nothing where nothing is asked for."""
        if self.floor is not None and not self._is_as_good(value, self.floor):
            return "BELOW THE FLOOR"
        if self.target is None:
            return "" if self.floor is None else "reached"
        return "reached" if self._is_as_good(value, self.target) else "missed"

    def _is_as_good(self, value: float, wanted: float) -> bool:
        return value >= wanted if self.better is HIGHER else value <= wanted


FIGURES = (
    Figure("tiny-1", "tiny task, concurrency 1", "tasks/s", HIGHER),
    Figure("tiny-1-ratio", "  to bare forks", "ratio", HIGHER),
    Figure("tiny-1-p50", "  from request to end, p50", "ms", LOWER, 2.5, 1.8, 113),
    Figure("tiny-1-p99", "  from request to end, p99", "ms", LOWER, None, 4, 154),
    Figure("tiny-1-broker", "  the bench's own broker is busy", "%", LOWER),
    Figure("tiny-5", "tiny task, concurrency 5", "tasks/s", HIGHER, 500, None, 10),
    Figure("tiny-5-ratio", "  to bare forks", "ratio", HIGHER, 0.3, 0.75),
    Figure("tiny-5-broker", "  the bench's own broker is busy", "%", LOWER),
    Figure("tiny-16", "tiny task, concurrency 16", "tasks/s", HIGHER, None, None, 18),
    Figure("tiny-16-ratio", "  to bare forks", "ratio", HIGHER, None, 0.9),
    Figure("tiny-16-broker", "  the bench's own broker is busy", "%", LOWER),
    Figure("per-item", "per item, 1,000 items, concurrency 5", "tasks/s", HIGHER, None, 350, 9),
    Figure("1mb", "1 MB there and back, concurrency 5", "tasks/s", HIGHER, None, 90, 7),
    Figure("50mb", "50 MB there and back", "s", LOWER, 2, 1.2, 9.5),
    Figure("50mb-broker", "  the bench's own broker in it, CPU", "s", LOWER),
    Figure("50mb-memory", "  peak memory of the runner's tree, worst", "MB", LOWER, 600, 450, 2700, max),
    Figure("50mb-wide-memory", "  the same with an emoji an item, worst", "MB", LOWER, summary=max),
    Figure("prints", "50 prints, concurrency 5", "tasks/s", HIGHER),
    Figure("pandas", "import pandas and a tiny frame, p50", "ms", LOWER, 20, 10, 800),
    Figure("sleeps", "16 sleeps of 1 s, concurrency 16", "tasks/s", HIGHER, 15, 15.8, 4.9),
    Figure("start-registered", "exec of `start` to registered", "s", LOWER),
    Figure("start-result", "exec of `start` to the first result", "s", LOWER, 0.3, 0.25, 0.3),
    Figure("start-imports", "  an interpreter that imports the dependencies", "s", LOWER),
    Figure("start-bare", "  a bare interpreter", "s", LOWER),
    Figure("idle-memory", "idle memory of the tree, concurrency 5", "MB", LOWER, None, 60, 46),
    Figure("idle-cpu", "CPU time of the idle tree, scaled to 60 s", "s", LOWER, None, 0.02),
    Figure("idle-wakes", "wake-ups of the idle tree", "/s", LOWER, None, None, 4),
    Figure("left-sigterm", "processes left 1 s after SIGTERM, worst", "", LOWER, 0, 0, summary=max),
    Figure("left-sigkill", "processes left 1 s after SIGKILL, worst", "", LOWER, 0, 0, summary=max),
    Figure("n8n-1", "real n8n, webhook to answer, 1 client", "/s", HIGHER, None, None, 7.6),
    Figure("n8n-1-ratio", "  to a Set node in place of the Code node", "ratio", HIGHER, None, 0.85),
    Figure("n8n-10", "real n8n, webhook to answer, 10 clients", "/s", HIGHER, None, None, 11.6),
    Figure("n8n-10-ratio", "  to a Set node in place of the Code node", "ratio", HIGHER, None, 0.85),
    Figure("forks", "bare forks, one loop", "forks/s", HIGHER),
    Figure("forks-pair", "bare forks, two loops side by side", "forks/s", HIGHER),
)

HEAD = ("figure", "unit", "measured", "min .. max (runs)", "floor", "target", "official", "verdict")

Row = tuple[str, str, str, str, str, str, str, str]

Runs = Mapping[str, Sequence[float]]
"""What was measured: for the name of a figure, the value of each run."""


def table(measured: Runs) -> str:
    """The rows of what was measured, for people."""
    rows: list[Row] = [HEAD]
    rows += [_row(figure, measured[figure.name]) for figure in FIGURES if measured.get(figure.name)]
    return in_columns(rows, left=2)


def in_columns(rows: Sequence[Sequence[str]], left: int) -> str:
    """Rows as lines of text, the first `left` columns to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(figure: Figure, runs: Sequence[float]) -> Row:
    value = figure.summary(runs)
    spread = f"{number(min(runs))} .. {number(max(runs))} ({len(runs)})"
    wanted = "" if figure.target is None else f"{figure.better.value} {number(figure.target)}"
    floor, official = _if_any(figure.floor), _if_any(figure.official)
    return figure.what, figure.unit, number(value), spread, floor, wanted, official, figure.verdict(value)


def _if_any(value: float | None) -> str:
    return "" if value is None else number(value)


def number(value: float) -> str:
    """A number with as many digits as can be meant."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def report(measured: Runs) -> list[dict[str, object]]:
    """The same, for programs."""
    return [
        {
            "name": figure.name,
            "what": figure.what,
            "unit": figure.unit,
            "value": figure.summary(runs),
            "runs": list(runs),
            "better": figure.better.name.lower(),
            "floor": figure.floor,
            "target": figure.target,
            "official": figure.official,
            "verdict": figure.verdict(figure.summary(runs)),
        }
        for figure in FIGURES
        if (runs := measured.get(figure.name))
    ]
