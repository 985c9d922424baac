"""Compares what a task costs with what it cost when the baseline was written: a change that loses is seen.

    python -m tests.bench.check [--renew]

The baseline is per version of Python, as these differ in what they cost. It is renewed when a change has made
something cheaper, or is worth what it costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import budget, machine, tree
from tests.bench.budget import BUDGETS, Costs
from tests.bench.figures import in_columns, number
from tests.bench.works import BenchFailed

BASELINE = Path(__file__).with_name("baseline.json")
VERSION = ".".join(platform.python_version_tuple()[:2])


def baseline() -> Costs:
    """What was measured when it was written, with this version of Python; nothing if it never was."""
    costs: dict[str, float] = json.loads(BASELINE.read_text(encoding="utf-8")).get(VERSION, {})
    return costs


def compared(before: Costs, now: Costs) -> tuple[str, list[str]]:
    """A table of what has become of the costs, and what has become worse, in words."""
    rows: list[Sequence[str]] = [("budget", "baseline", "now", "change", "noise", "")]
    lost = []
    for each in BUDGETS:
        if each.name not in now:
            continue
        was, cost = before.get(each.name), now[each.name]
        if was is None:
            rows.append((each.what, "", number(cost), "", f"{each.noise:.1%}", "not in the baseline"))
            continue
        verdict = "LOST" if each.is_lost(was, cost) else "better" if each.is_won(was, cost) else ""
        if each.is_lost(was, cost):
            lost.append(f"{each.what.strip()}: {number(cost)}, and it was {number(was)}")
        change = f"{cost / was - 1:+.0%}" if was else ""
        rows.append((each.what, number(was), number(cost), change, f"{each.noise:.1%}", verdict))
    return in_columns(rows, left=1), lost


def renew(now: Costs) -> None:
    """Make these costs the baseline of this version of Python."""
    every = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    every[VERSION] = {name: round(cost, 4) for name, cost in now.items()}
    BASELINE.write_text(json.dumps(dict(sorted(every.items())), indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and compare; 1 if something has become worse than noise can make it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.check", description="Compare with the baseline.")
    parser.add_argument("--renew", action="store_true", help="write what is measured as the new baseline")
    given = parser.parse_args(arguments)
    if shutil.which("strace") is None:
        print("strace is needed to count system calls: install it, as with `apt-get install strace`.", file=sys.stderr)
        return 1
    tree.adopt_orphans()
    print(machine.in_words(machine.description()))
    try:
        with tree.Household(), machine.ForkLoops() as loops:
            now = asyncio.run(budget.all_of_them(loops))
    except BenchFailed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    if given.renew:
        renew(now)
    table, lost = compared(baseline(), now)
    print(table)
    for loss in lost:
        print(f"Worse than the baseline: {loss}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
