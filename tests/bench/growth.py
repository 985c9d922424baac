"""How cost grows: with concurrency, with the bytes of a task, with its items.

    python -m tests.bench.growth [--quick] [--json FILE]

Each curve comes with its slope: cost grows with the power so and so of what it is drawn over. 1 is in proportion, 0 is
not at all. What is drawn is the median of some runs, since the worst tells more of the machine than of the runner.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import attrs

from tests.bench import machine, tree, works
from tests.bench.figures import number
from tests.bench.rig import LIMITS, Flow, Runner
from tests.bench.scenarios import percentile
from tests.bench.works import MEGABYTE, BenchFailed

CONCURRENCY = (1, 2, 4, 8, 16, 32, 64)
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 200_000_000)
QUICK_SIZES = SIZES[:-2]
ITEMS = (1, 10, 100, 1_000, 10_000, 100_000)
RUNS = 3
ONE_RUN_FROM = 50_000_000
"""What is at least as large is run once, in bytes."""

LEAST_MEMORY = 0.1
"""What is less cannot be told from noise, in MB."""

PATIENCE = 300
"""How long a task may take, in seconds."""

SECONDS = 1.0
MEMORY = "4096"
"""How much a task may take, in MiB: 200 MB of items are some gigabytes of Python objects."""


@attrs.define
class Curve:
    """One line of a plot."""

    name: str
    what: str
    unit: str
    over: str
    """What it is drawn over, with the unit."""
    points: list[tuple[float, float]] = attrs.field(factory=list)

    def slope(self, since: float = 0.0) -> float:
        """The power of `over` that it grows with, from some value on: the straight line through its logarithms."""
        points = [(math.log(x), math.log(y)) for x, y in self.points if x >= since and y > 0]
        return statistics.linear_regression(*zip(*points, strict=True)).slope if len(points) > 1 else 0.0


Curves = AsyncIterator[Curve]


async def over_concurrency(_: bool) -> Curves:
    """Tiny tasks."""
    rate = Curve("rate", "tiny tasks a second", "tasks/s", "tasks at a time")
    middle = Curve("latency", "from request to end, p50", "ms", "tasks at a time")
    worst = Curve("latency-p99", "from request to end, p99", "ms", "tasks at a time")
    for concurrency in CONCURRENCY:
        async with Runner(concurrency) as runner:
            await runner.flow(works.tiny(), concurrency, SECONDS / 2)
            flows = [await runner.flow(works.tiny(), concurrency, SECONDS) for _ in range(RUNS)]
        rate.points.append((concurrency, statistics.median(flow.rate for flow in flows)))
        for curve, percent in ((middle, 50), (worst, 99)):
            values = (percentile(flow.latencies, percent) * 1000 for flow in flows)
            curve.points.append((concurrency, statistics.median(values)))
    for curve in (rate, middle, worst):
        yield curve


async def over_bytes(is_quick: bool) -> Curves:
    """Items that go there and back."""
    seconds = Curve("bytes-time", "there and back", "s", "bytes of items")
    memory = Curve("bytes-memory", "peak memory of the tree above that of the idle one", "MB", "bytes of items")
    limits = attrs.evolve(LIMITS, task_timeout=PATIENCE)
    variables = {"TASK_MEMORY_LIMIT": MEMORY, "MAX_PAYLOAD": str(1024**3), "TASK_TIMEOUT": str(PATIENCE)}
    async with Runner(1, limits=limits, **variables) as runner:
        await runner.flow(works.tiny(), 1, SECONDS / 2)
        idle = tree.memory_of(runner.living())
        for size in QUICK_SIZES if is_quick else SIZES:
            work = works.there_and_back(size)
            flows = [await _settled(runner, work) for _ in range(RUNS if size < ONE_RUN_FROM else 1)]
            seconds.points.append((size, statistics.median(statistics.median(flow.latencies) for flow in flows)))
            with tree.PeakMemory(runner.living) as watch:
                await runner.flow(work, 1, 0.1)
            memory.points.append((size, max((watch.peak - idle) / MEGABYTE, LEAST_MEMORY)))
    for curve in (seconds, memory):
        yield curve


async def over_items(_: bool) -> Curves:
    """Code that is run for each item."""
    curve = Curve("items-time", "code that is run for each item", "s", "items")
    async with Runner(1) as runner:
        await runner.flow(works.tiny(), 1, SECONDS / 2)
        for count in ITEMS:
            flows = [await _settled(runner, works.each_of(count)) for _ in range(RUNS)]
            curve.points.append((count, statistics.median(statistics.median(flow.latencies) for flow in flows)))
    yield curve


async def _settled(runner: Runner, work: works.Work) -> Flow:
    return await runner.flow(work, 1, SECONDS / 3)


MEASURES: tuple[Callable[[bool], Curves], ...] = (over_concurrency, over_bytes, over_items)


async def all_curves(is_quick: bool) -> list[Curve]:
    """Every curve, one after the other."""
    return [curve for measure in MEASURES async for curve in measure(is_quick)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 unless something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description="Measure how cost grows.")
    parser.add_argument("--quick", action="store_true", help="nothing above 10 MB")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the curves to a file")
    given = parser.parse_args(arguments)
    tree.adopt_orphans()
    about = machine.description()
    print(machine.in_words(about))
    try:
        with tree.Household():
            curves = asyncio.run(all_curves(given.quick))
    except BenchFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    for curve in curves:
        points = "  ".join(f"{number(x)}: {number(y)}" for x, y in curve.points)
        print(f"{curve.what} ({curve.unit}) over {curve.over}, power {curve.slope():.2f}: {points}")
    if given.json:
        content = {"machine": about, "curves": [attrs.asdict(curve) for curve in curves]}
        given.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
