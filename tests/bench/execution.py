"""How fast tasks are run, what they cost, and what is left behind: a table, with targets and the official runner.

    python -m tests.bench.execution [--quick] [--only NAME ...] [--json FILE]

The broker is in this process; the runner is another one, `python -m runner start`. A task that fails, or whose result
is wrong, ends everything: there are no figures of failing tasks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.bench import machine, startup, tree
from tests.bench.figures import report, table
from tests.bench.scenarios import FULL, QUICK, QUICK_SCENARIOS, SCENARIOS, Bench, Figures
from tests.bench.works import BenchFailed, CannotMeasure


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.execution", description="Measure the runner.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: for a look, not to be quoted")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="measure this alone; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run of every figure to a file")
    return parser.parse_args(arguments)


async def measure(bench: Bench, names: Sequence[str]) -> Figures:
    """All runs of all figures of these scenarios."""
    running = asyncio.current_task()
    assert running is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    measured: Figures = defaultdict(list)
    for name in names:
        began = time.perf_counter()
        print(f"{name} ... ", end="", file=sys.stderr, flush=True)
        try:
            figures = await SCENARIOS[name](bench)
        except CannotMeasure as why:
            print(f"left out: {why}", file=sys.stderr)
            continue
        for figure, runs in figures.items():
            measured[figure] += runs
        print(f"{time.perf_counter() - began:.1f} s", file=sys.stderr)
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 unless something could not be measured."""
    given = parse(arguments)
    if sys.platform != "linux":
        print("This bench reads /proc, which only Linux has.", file=sys.stderr)
        return 1
    tree.adopt_orphans()
    about = machine.description()
    print(machine.in_words(about))
    plan, names = (QUICK, QUICK_SCENARIOS) if given.quick else (FULL, tuple(SCENARIOS))
    try:
        with tree.Household(), machine.ForkLoops() as loops:
            bench = Bench(plan, loops)
            measured = asyncio.run(measure(bench, given.only or names))
    except BenchFailed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\ninterrupted", file=sys.stderr)
        return 130
    if given.quick:
        print("A quick look: not to be quoted.")
    print("Medians, or the worst where it says so; MB are millions of bytes, memory is PSS.\n")
    print(table(measured))
    if "start-result" in measured:
        print(f"\n{startup.where_imports_spend_their_time()}")
    if given.json:
        content = {"machine": about, "quick": given.quick, "figures": report(measured)}
        given.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
