"""The table of figures: what is measured, what is to be reached, and what the official runner reaches."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

import attrs


class Better(Enum):
    """Which figures are the better ones, and so how a target is to be met."""

    HIGHER = ">="
    LOWER = "<"


HIGHER, LOWER = Better.HIGHER, Better.LOWER


@attrs.frozen
class Figure:
    """A row of the table. Without a target it is there to be looked at."""

    name: str
    what: str
    unit: str
    better: Better
    target: float | None = None
    official: float | None = None
    summary: Callable[[Sequence[float]], float] = statistics.median

    def is_met(self, value: float) -> bool:
        """Whether a value reaches the target, if there is one."""
        if self.target is None:
            return True
        return value >= self.target if self.better is HIGHER else value < self.target


FIGURES = (
    Figure("tiny-1", "tiny task, concurrency 1", "tasks/s", HIGHER),
    Figure("tiny-1-ratio", "  to bare forks", "ratio", HIGHER),
    Figure("tiny-1-p50", "  from request to end, p50", "ms", LOWER, 2.5, 113),
    Figure("tiny-1-p99", "  from request to end, p99", "ms", LOWER, None, 154),
    Figure("tiny-1-broker", "  the bench's own broker is busy", "%", LOWER),
    Figure("tiny-5", "tiny task, concurrency 5", "tasks/s", HIGHER, 500, 10),
    Figure("tiny-5-ratio", "  to bare forks", "ratio", HIGHER, 0.6),
    Figure("tiny-5-broker", "  the bench's own broker is busy", "%", LOWER),
    Figure("tiny-16", "tiny task, concurrency 16", "tasks/s", HIGHER, None, 18),
    Figure("tiny-16-ratio", "  to bare forks", "ratio", HIGHER),
    Figure("tiny-16-broker", "  the bench's own broker is busy", "%", LOWER),
    Figure("per-item", "per item, 1,000 items, concurrency 5", "tasks/s", HIGHER, None, 9),
    Figure("1mb", "1 MB there and back, concurrency 5", "tasks/s", HIGHER, None, 7),
    Figure("50mb", "50 MB there and back", "s", LOWER, 2, 9.5),
    Figure("50mb-broker", "  the bench's own broker in it, CPU", "s", LOWER),
    Figure("50mb-memory", "  peak memory of the runner's tree, worst", "MB", LOWER, 600, 2700, max),
    Figure("50mb-wide-memory", "  the same with an emoji an item, worst", "MB", LOWER, summary=max),
    Figure("prints", "50 prints, concurrency 5", "tasks/s", HIGHER),
    Figure("pandas", "import pandas and a tiny frame, p50", "ms", LOWER, 20, 800),
    Figure("sleeps", "16 sleeps of 1 s, concurrency 16", "tasks/s", HIGHER, 15, 4.9),
    Figure("idle-memory", "idle memory of the tree, concurrency 5", "MB", LOWER),
    Figure("idle-cpu", "CPU time of the tree in 5 s idle", "s", LOWER),
    Figure("left-sigterm", "processes left 1 s after SIGTERM, worst", "", LOWER, 1, summary=max),
    Figure("left-sigkill", "processes left 1 s after SIGKILL, worst", "", LOWER, 1, summary=max),
    Figure("forks", "bare forks, one loop", "forks/s", HIGHER),
    Figure("forks-pair", "bare forks, two loops side by side", "forks/s", HIGHER),
)

Row = tuple[str, str, str, str, str, str, str]

Runs = Mapping[str, Sequence[float]]
"""What was measured: for the name of a figure, the value of each run."""


def table(measured: Runs) -> str:
    """The rows of what was measured, for people."""
    rows: list[Row] = [("figure", "unit", "measured", "min .. max (runs)", "target", "official", "verdict")]
    rows += [_row(figure, measured[figure.name]) for figure in FIGURES if measured.get(figure.name)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(figure: Figure, runs: Sequence[float]) -> Row:
    value = figure.summary(runs)
    target = "" if figure.target is None else f"{figure.better.value} {number(figure.target)}"
    verdict = "" if figure.target is None else "reached" if figure.is_met(value) else "MISSED"
    spread = f"{number(min(runs))} .. {number(max(runs))} ({len(runs)})"
    official = "" if figure.official is None else number(figure.official)
    return figure.what, figure.unit, number(value), spread, target, official, verdict


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
            "what": figure.what.strip(),
            "unit": figure.unit,
            "value": figure.summary(runs),
            "runs": list(runs),
            "better": figure.better.name.lower(),
            "target": figure.target,
            "official": figure.official,
            "met": None if figure.target is None else figure.is_met(figure.summary(runs)),
        }
        for figure in FIGURES
        if (runs := measured.get(figure.name))
    ]
