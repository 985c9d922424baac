"""What is measured: each scenario starts a runner, has tasks run, and returns the runs of its figures."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import attrs

from tests.bench import startup, tree, works
from tests.bench.machine import ForkLoops
from tests.bench.rig import Flow, Runner
from tests.bench.works import MEGABYTE, Work

Figures = dict[str, list[float]]
"""For the name of a figure, the value of each run."""


@attrs.frozen
class Plan:
    """How much is measured."""

    runs: int
    seconds: float
    """How long tasks are kept in flight in a run, at least."""
    warm_up: float
    """For how long they are before that, without being counted."""
    fork_seconds: float
    """How long a loop of forks lasts."""
    slow_runs: int
    """The runs of what takes seconds each time."""
    idle_seconds: float
    """For how long it is seen what a runner without work costs."""
    starts: int
    """How often a runner is started for the figures of the start."""
    executions: int
    """How many executions of a real n8n are timed in a run, for each client."""


FULL = Plan(5, seconds=1.0, warm_up=0.3, fork_seconds=0.2, slow_runs=5, idle_seconds=20, starts=11, executions=60)
QUICK = Plan(3, seconds=0.3, warm_up=0.1, fork_seconds=0.06, slow_runs=1, idle_seconds=3, starts=3, executions=10)
IDLE_UNIT = 60
"""What the processor time of an idle runner is scaled to, in seconds."""

GRACE = "0.2"
AFTER_SIGNAL = 1.0


class Bench:
    """The plan, the machine, and how the two make a series of runs."""

    def __init__(self, plan: Plan, loops: ForkLoops) -> None:
        self.plan = plan
        self._loops = loops

    async def series(self, runner: Runner, work: Work, slots: int) -> Series:
        """Keep tasks in flight, run by run, with the machine's own limit measured before, between and after."""
        series = Series()
        await self._measure_machine(series)
        for _ in range(self.plan.runs):
            await runner.flow(work, slots, self.plan.warm_up)
            series.flows.append(await runner.flow(work, slots, self.plan.seconds))
            await self._measure_machine(series)
        return series

    async def batches(self, runner: Runner, work: Work, slots: int) -> Series:
        """The same for tasks that are slow: one for each slot in a run, and no warm-up."""
        series = Series()
        await self._measure_machine(series)
        for _ in range(self.plan.slow_runs):
            series.flows.append(await runner.flow(work, slots, 0))
            await self._measure_machine(series)
        return series

    async def _measure_machine(self, series: Series) -> None:
        # in a thread, so that the broker goes on to hear the runner's offers
        rates = await asyncio.to_thread(self._loops.measure, self.plan.fork_seconds)
        series.forks.append(rates.one)
        series.fork_pairs.append(rates.two)


@attrs.define
class Series:
    """The runs of one figure, with the forks per second around each."""

    flows: list[Flow] = attrs.field(factory=list)
    forks: list[float] = attrs.field(factory=list)
    fork_pairs: list[float] = attrs.field(factory=list)

    def figures(self, name: str) -> Figures:
        """Tasks per second, and what the machine could do."""
        return {name: [flow.rate for flow in self.flows], "forks": self.forks, "forks-pair": self.fork_pairs}

    def ratios(self) -> list[float]:
        """Tasks per second, in parts of the bare forks per second."""
        return [flow.rate / statistics.median(self.forks) for flow in self.flows]

    def percentiles(self, percent: int) -> list[float]:
        """The latency that so many of a hundred tasks do not exceed, in milliseconds."""
        return [percentile(flow.latencies, percent) * 1000 for flow in self.flows]

    def broker_shares(self) -> list[float]:
        """How much of a processor this process uses, in percent."""
        return [flow.broker_seconds / flow.seconds * 100 for flow in self.flows]


def percentile(values: list[float], percent: int) -> float:
    """The value that so many of a hundred do not exceed: one of the values, never one between two."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]


async def tiny(concurrency: int, bench: Bench) -> Figures:
    """As many tasks as can be, at one concurrency."""
    name = f"tiny-{concurrency}"
    async with Runner(concurrency) as runner:
        series = await bench.series(runner, works.tiny(), concurrency)
    figures = {**series.figures(name), f"{name}-ratio": series.ratios(), f"{name}-broker": series.broker_shares()}
    if concurrency == 1:
        figures |= {f"{name}-p50": series.percentiles(50), f"{name}-p99": series.percentiles(99)}
    return figures


async def throughput(name: str, make: Callable[[], Work], bench: Bench) -> Figures:
    """As many tasks as can be, five at a time."""
    async with Runner(5) as runner:
        series = await bench.series(runner, make(), 5)
    return series.figures(name)


async def large(bench: Bench) -> Figures:
    """One task with a great many items. Memory is watched in runs of its own, as watching takes time."""
    work = works.there_and_back(50 * MEGABYTE)
    async with Runner(5) as runner:
        await runner.flow(work, 1, 0)
        flows = [await runner.flow(work, 1, 0) for _ in range(bench.plan.slow_runs)]
        memory = [await _peak(runner, work) for _ in range(bench.plan.slow_runs)]
    seconds, of_broker = [flow.seconds for flow in flows], [flow.broker_seconds for flow in flows]
    return {"50mb": seconds, "50mb-broker": of_broker, "50mb-memory": memory}


async def large_and_wide(bench: Bench) -> Figures:
    """The same with a character that makes Python use four bytes for each one of a text, if it is kept as one text."""
    work = works.there_and_back(50 * MEGABYTE, "São Paulo \N{PARTY POPPER}")
    async with Runner(5) as runner:
        return {"50mb-wide-memory": [await _peak(runner, work) for _ in range(bench.plan.slow_runs)]}


async def _peak(runner: Runner, work: Work) -> float:
    """The most memory that the runner's tree has while a task runs, in megabytes."""
    with tree.PeakMemory(runner.living) as memory:
        await runner.flow(work, 1, 0)
    return memory.peak / MEGABYTE


async def pandas(bench: Bench) -> Figures:
    """A task that imports a large package."""
    async with Runner(1, EXTERNAL_ALLOW="numpy,pandas") as runner:
        series = await bench.series(runner, works.with_pandas(), 1)
    return {"pandas": series.percentiles(50)}


async def sleeps(bench: Bench) -> Figures:
    """Tasks that wait, one for each slot, all at once."""
    async with Runner(16, STDLIB_ALLOW="time") as runner:
        await runner.flow(works.tiny(), 16, bench.plan.warm_up)
        series = await bench.batches(runner, works.sleeping(1), 16)
    return series.figures("sleeps")


async def idle(bench: Bench) -> Figures:
    """Nothing to do, after a little work."""
    seconds = bench.plan.idle_seconds
    async with Runner(5) as runner:
        await runner.flow(works.tiny(), 5, bench.plan.warm_up)
        await asyncio.sleep(1)
        members = runner.living()
        before, woken_before = tree.cpu_time_of(members), tree.wake_ups_of(members)
        await asyncio.sleep(seconds)
        used, woken = tree.cpu_time_of(members) - before, tree.wake_ups_of(members) - woken_before
        memory = []
        for _ in range(bench.plan.runs):
            memory.append(tree.memory_of(runner.living()) / MEGABYTE)
            await asyncio.sleep(0.1)
    return {"idle-cpu": [used * IDLE_UNIT / seconds], "idle-wakes": [woken / seconds], "idle-memory": memory}


async def start(bench: Bench) -> Figures:
    """From exec to work, beside what any program with these dependencies takes."""
    figures: Figures = {"start-bare": [], "start-imports": [], "start-registered": [], "start-result": []}
    for _ in range(bench.plan.starts):
        figures["start-bare"].append(await asyncio.to_thread(startup.run_python, "pass"))
        figures["start-imports"].append(await asyncio.to_thread(startup.run_python, startup.IMPORTS))
        registered, answered = await startup.start_once()
        figures["start-registered"].append(registered)
        figures["start-result"].append(answered)
    return figures


async def real_n8n(bench: Bench) -> Figures:
    """A real n8n that runs a workflow with a Code node, and the same one with a Set node in its place."""
    from tests.bench import real_n8n as real

    return await real.figures(bench.plan.runs, bench.plan.executions)


async def signals(bench: Bench) -> Figures:
    """What is left of a runner that is told to go while three of its five slots are taken."""
    return {
        "left-sigterm": [await _left_after(signal.SIGTERM) for _ in range(bench.plan.slow_runs)],
        "left-sigkill": [await _left_after(signal.SIGKILL) for _ in range(bench.plan.slow_runs)],
    }


async def _left_after(number: signal.Signals) -> int:
    async with Runner(5, STDLIB_ALLOW="time", GRACEFUL_SHUTDOWN_TIMEOUT=GRACE) as runner:
        await runner.begin(works.sleeping(30), 3)
        os.kill(runner.pid, number)
        await asyncio.sleep(AFTER_SIGNAL)
        return len(runner.living())


SCENARIOS: Mapping[str, Callable[[Bench], Awaitable[Figures]]] = {
    "tiny-1": partial(tiny, 1),
    "tiny-5": partial(tiny, 5),
    "tiny-16": partial(tiny, 16),
    "per-item": partial(throughput, "per-item", partial(works.each_of, 1000)),
    "1mb": partial(throughput, "1mb", partial(works.there_and_back, MEGABYTE)),
    "50mb": large,
    "50mb-wide": large_and_wide,
    "prints": partial(throughput, "prints", partial(works.printing, 50)),
    "pandas": pandas,
    "sleeps": sleeps,
    "start": start,
    "idle": idle,
    "signals": signals,
    "n8n": real_n8n,
}

QUICK_SCENARIOS = tuple(name for name in SCENARIOS if name not in {"50mb-wide", "n8n"})
"""Those of a quick look."""
