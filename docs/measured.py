"""The parts of docs/performance.md that are made from measurements, which are committed as JSON below docs/measured/.

make bench JSON=docs/measured/figures.json
make bench JSON=docs/measured/figures-3.11.json N8N_SCRIPTS=none, with another Python and for each of them
make bench-growth JSON=docs/measured/growth.json
make bench-where JSON=docs/measured/where.json
make docs
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plot import svg

FOLDER = Path(__file__).with_name("measured")
PICTURES = "growth-{}.svg"

Rows = list[tuple[str, ...]]

OF_PYTHON = {
    "tiny-5": "tiny task, concurrency 5",
    "tiny-5-ratio": "… to bare forks of the same Python",
    "tiny-16": "tiny task, concurrency 16",
    "tiny-1-p50": "… at concurrency 1, from request to end, p50",
    "per-item": "per item, 1,000 items, concurrency 5",
    "1mb": "1 MB there and back, concurrency 5",
    "50mb": "50 MB there and back",
    "pandas": "import pandas and a tiny frame, p50",
    "start-result": "exec of `start` to the first result",
    "idle-memory": "idle memory of the tree, concurrency 5",
    "forks": "bare forks, one loop",
}
"""The figures that are compared between versions of Python, and how they are called there."""


def document(name: str) -> Any:
    """What was measured; nothing, if nobody has."""
    file = FOLDER / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def machine_of(measured: Mapping[str, Any]) -> str:
    """The sentence about what was measured, and where."""
    text = "{date}: {processor}, {cores} cores, kernel {kernel}, Python {python}, load before it {load}."
    return text.format_map(measured["machine"])


def figures() -> str:
    """The table of every figure."""
    measured = document("figures")
    rows: Rows = [("figure", "unit", "measured", "lowest to highest run", "not below", "to reach", "official runner")]
    for each in measured["figures"]:
        runs, better = each["runs"], "≥ " if each["better"] == "higher" else "≤ "
        spread = f"{number(min(runs))} to {number(max(runs))} ({len(runs)})"
        wanted = [("" if each[key] is None else better + number(each[key])) for key in ("floor", "target")]
        value = f"**{number(each['value'])}**" + ("" if each["verdict"] in {"", "reached"} else f" ({each['verdict']})")
        official = "" if each["official"] is None else number(each["official"])
        name = ("… " if each["what"].startswith(" ") else "") + each["what"].strip()
        rows.append((name, each["unit"], value, spread, *wanted, official))
    return f"{machine_of(measured)}\n\n{table(rows)}"


def pythons() -> str:
    """The table of what depends most on the version of Python, a column for each that was measured."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in FOLDER.glob("figures*.json")]
    found.sort(key=lambda measured: [int(part) for part in measured["machine"]["python"].split(".")])
    columns = [{each["name"]: each for each in measured["figures"]} for measured in found]
    rows: Rows = [("figure", "unit", *(f"Python {measured['machine']['python']}" for measured in found))]
    for name, what in OF_PYTHON.items():
        rows.append((what, columns[0][name]["unit"], *(number(figures[name]["value"]) for figures in columns)))
    return table(rows)


def where() -> str:
    """The table of where a task's time goes."""
    measured = document("where")
    costs: Mapping[str, Mapping[str, float]] = measured["costs"]
    rows: Rows = [("microseconds of processor time a task", *costs, "together")]
    for place in next(iter(costs.values())):
        parts = [of_process[place] for of_process in costs.values()]
        rows.append((place, *(f"{part:.0f}" for part in parts), f"{sum(parts):.0f}"))
    totals = [sum(of_process.values()) for of_process in costs.values()]
    rows.append(("**together**", *(f"**{total:.0f}**" for total in totals), f"**{sum(totals):.0f}**"))
    return f"{machine_of(measured)}\n\n{table(rows)}"


def growth() -> str:
    """The curves, each with its picture and its slope in words."""
    measured = document("growth")
    parts = [machine_of(measured)]
    for curve in measured["curves"]:
        picture = f"![{curve['what']}](pictures/{PICTURES.format(curve['name'])})"
        parts.append(f"**{curve['what'].capitalize()}.** {in_words(curve)}\n\n{picture}")
    return "\n\n".join(parts) + "\n"


def in_words(curve: Mapping[str, Any]) -> str:
    """How a curve begins, how it ends, and how steep its second half is, which is where a limit shows."""
    (first, low), (last, high) = curve["points"][0], curve["points"][-1]
    half = curve["points"][len(curve["points"]) // 2 - 1 :]
    power = statistics.linear_regression([math.log(x) for x, _ in half], [math.log(y) for _, y in half]).slope
    begin, end = (f"{number(y)} {curve['unit']} at {number(x)}" for x, y in ((first, low), (last, high)))
    return f"Over {curve['over']}: {begin}, {end}; {steepness(power)} from {number(half[0][0])} on (power {power:.2f})."


def steepness(power: float) -> str:
    """A power in words."""
    if abs(power) < 0.15:
        return "it stays about the same"
    if power < 0:
        return "it falls"
    if power < 0.85:
        return "it grows less than in proportion"
    return "it grows in proportion" if power <= 1.15 else "it grows more than in proportion"


def number(value: float) -> str:
    """A number with as many digits as can be meant, and commas."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.4f}"


def table(rows: Rows) -> str:
    """Rows as a Markdown table, the first being its head, numbers to the right."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "| --- |" + " ---: |" * (len(rows[0]) - 1), *body]) + "\n"


SECTIONS: dict[str, Callable[[], str]] = {"figures": figures, "pythons": pythons, "where": where, "growth": growth}
"""The parts of the page by name; each stands between two comments with it."""

SOURCES = {"pythons": "figures"}
"""What a part is made of, where that has another name."""


def performance(current: str) -> str:
    """The page with its measured parts as they should be; those that were never measured are left as they are."""
    for name, make in SECTIONS.items():
        begin, end = f"<!-- measured: {name} -->\n", f"<!-- end of {name} -->\n"
        before, opening, rest = current.partition(begin)
        _, closing, after = rest.partition(end)
        if not opening or not closing:
            raise SystemExit(f"docs/performance.md has lost the comments between which {name} stands")
        if document(SOURCES.get(name, name)) is not None:
            current = f"{before}{begin}\n{make()}\n{end}{after}"
    return current


def pictures() -> dict[str, str]:
    """The pictures of the curves, by the names of their files."""
    measured = document("growth") or {"curves": []}
    return {
        PICTURES.format(curve["name"]): svg(curve["what"], curve["over"], curve["unit"], curve["points"])
        for curve in measured["curves"]
    }
