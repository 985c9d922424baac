"""What a task may cost: counts and ratios that hardly depend on how busy a machine is, to be compared with a baseline.

Counts are of one task at a time, so that none saves another one a wake-up.
"""

from __future__ import annotations

import asyncio
import compileall
import statistics
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from unittest import mock

import attrs
import msgspec

from runner.broker.rules import TaskBroker
from runner.broker.runners import Peer
from tests.bench import startup, tree, works
from tests.bench.machine import ForkLoops
from tests.bench.rig import Runner
from tests.bench.works import MEGABYTE, Work
from tests.support import ROOT

Costs = Mapping[str, float]
"""For the name of a budget, what was measured."""


@attrs.frozen
class Budget:
    """Something that is not to become more."""

    name: str
    what: str
    noise: float
    """By how much of it two measurements of the same state differ at most."""
    is_steady: bool = False
    """Whether that holds on a busy machine too."""
    slack: float = 0.0
    """And by how much in any case, where there is next to nothing."""

    def is_lost(self, was: float, now: float) -> bool:
        """Whether more than noise has come on top."""
        return now > was * (1 + self.noise) + self.slack

    def is_won(self, was: float, now: float) -> bool:
        """Whether more than noise has gone away."""
        return now < was * (1 - self.noise) - self.slack


BUDGETS = (
    Budget("faults-runner", "page faults of the runner, a tiny task", 0.5, is_steady=True, slack=10.0),
    Budget("faults-zygote", "page faults of the zygote, a tiny task", 0.15, is_steady=True),
    Budget("faults-worker", "page faults of the worker, a tiny task", 0.1, is_steady=True),
    Budget("messages", "messages to the broker, a tiny task", 0.01, is_steady=True),
    Budget("modules", "modules that `start` imports", 0.03, is_steady=True),
    Budget("calls-runner", "system calls of the runner, a tiny task", 0.08),
    Budget("calls-zygote", "system calls of the zygote, a tiny task", 0.08),
    Budget("calls-worker", "system calls of the worker, a tiny task", 0.03),
    Budget("cpu-tiny", "processor time of a tiny task, in bare forks", 0.15),
    Budget("cpu-tiny-runner", "  the runner's part of it", 0.25),
    Budget("cpu-tiny-zygote", "  the zygote's part of it", 0.25),
    Budget("cpu-tiny-worker", "  the worker's part of it", 0.2),
    Budget("cpu-each", "1,000 items, one by one, in times of reading and writing them with json", 0.15),
    Budget("cpu-1mb", "1 MB there and back, in times of reading and writing it with json", 0.15),
)

ONE_BY_ONE = 150
"""So many tasks are run before and while things are counted."""


async def steady() -> Costs:
    """The costs that can be told on a machine that does other things as well."""
    for package in ("runner", "statemachine"):  # a process that compiles them itself has more memory to be forked
        compileall.compile_dir(ROOT / package, quiet=1)
    return {**await _counts(), "modules": len(startup.imported_by_start())}


async def all_of_them(loops: ForkLoops) -> Costs:
    """Everything, as the median of what is not a count."""
    return {**await steady(), **await _calls(), **await _processor_of_tiny(loops), **await _processor_of_large()}


@attrs.frozen
class Parts:
    """What the runner, its zygote and all workers so far have spent."""

    runner: tree.Spent
    zygote: tree.Spent
    workers: tree.Spent

    @classmethod
    def of(cls, runner: Runner) -> Parts:
        """As it is now."""
        (zygote,) = (process.pid for process in tree.below(runner.pid) if process.parent == runner.pid)
        return cls(tree.spent_by(runner.pid), tree.spent_by(zygote), tree.spent_by_children_of(zygote))

    def __sub__(self, before: Parts) -> Parts:
        """What has been spent since."""
        return Parts(self.runner - before.runner, self.zygote - before.zygote, self.workers - before.workers)


async def _counts() -> Costs:
    """Page faults by process, and messages. The workers that wait have been forked, but their faults are not told yet:
    as many at the end as at the beginning."""
    heard = Counter[str]()

    def hear(
        rules: TaskBroker,
        peer: Peer,
        frame: bytes,
        receive: Callable[[TaskBroker, Peer, bytes], None] = TaskBroker.receive,
    ) -> None:
        heard[msgspec.json.decode(frame)["type"]] += 1
        receive(rules, peer, frame)

    with mock.patch.object(TaskBroker, "receive", hear):
        async with Runner(1) as runner:
            await _run(runner, works.tiny(), ONE_BY_ONE)
            heard.clear()
            before = Parts.of(runner)
            await _run(runner, works.tiny(), ONE_BY_ONE)
            spent = Parts.of(runner) - before
    del heard["runner:taskoffer"]  # those that expire meanwhile are made again
    return {
        "faults-runner": spent.runner.faults / ONE_BY_ONE,
        "faults-zygote": spent.zygote.faults / ONE_BY_ONE,
        "faults-worker": spent.workers.faults / ONE_BY_ONE,
        "messages": heard.total() / ONE_BY_ONE,
    }


async def _run(runner: Runner, work: Work, count: int) -> None:
    """Run so many tasks, one after the other, each when the process of the one before is gone."""
    for _ in range(count):
        await runner.flow(work, 1, 0)


# System calls


async def _calls() -> Costs:
    """System calls by process: what a run with more tasks has made more of than one with few."""
    few, many = await _traced(10), await _traced(10 + ONE_BY_ONE)
    return {f"calls-{part}": (many[part] - few[part]) / ONE_BY_ONE for part in few}


async def _traced(tasks: int) -> dict[str, int]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        under = ("strace", "-f", "-ff", "-qq", "-o", f"{folder}/calls")
        async with Runner(1, under=under) as runner:
            traced = [process.pid for process in tree.below(runner.pid)]
            parents = {process.pid: process.parent for process in tree.below(runner.pid)}
            main = next(pid for pid in traced if parents[pid] == runner.pid)
            zygote = next(pid for pid in traced if parents[pid] == main)
            threads = [int(thread.name) for thread in Path(f"/proc/{main}/task").iterdir()]
            await _run(runner, works.tiny(), tasks)
        counts = {int(file.suffix[1:]): file.read_bytes().count(b"\n") for file in Path(folder).iterdir()}
    of_zygote, of_runner = counts.pop(zygote), sum(counts.pop(thread, 0) for thread in threads)
    return {"runner": of_runner, "zygote": of_zygote, "worker": sum(counts.values())}


# Processor time

ROUNDS = 7
SECONDS = 0.7


async def _processor_of_tiny(loops: ForkLoops) -> Costs:
    """Processor time by process, in parts of what a bare fork costs that is measured beside it."""
    rounds: list[dict[str, float]] = []
    async with Runner(5) as runner:
        await runner.flow(works.tiny(), 5, SECONDS)
        for _ in range(ROUNDS):
            fork = (await asyncio.to_thread(loops.measure, SECONDS / 3)).processor
            before = Parts.of(runner)
            tasks = len((await runner.flow(works.tiny(), 5, SECONDS)).latencies)
            spent = Parts.of(runner) - before
            parts = {"runner": spent.runner, "zygote": spent.zygote, "worker": spent.workers}
            costs = {f"cpu-tiny-{name}": part.processor / tasks / fork for name, part in parts.items()}
            rounds.append({"cpu-tiny": sum(costs.values()), **costs})
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


async def _processor_of_large() -> Costs:
    """Processor time of tasks with much to read and to write, in times of what only reading and writing takes."""
    measure: dict[str, Callable[[], Awaitable[float]]] = {
        "cpu-each": lambda: _in_times_of_json(works.each_of(1000)),
        "cpu-1mb": lambda: _in_times_of_json(works.there_and_back(MEGABYTE)),
    }
    return {name: await each() for name, each in measure.items()}


async def _in_times_of_json(work: Work) -> float:
    ratios = []
    async with Runner(5) as runner:
        await runner.flow(work, 5, SECONDS)
        for _ in range(ROUNDS):
            alone = await asyncio.to_thread(work.seconds_of_json)
            before = Parts.of(runner)
            tasks = len((await runner.flow(work, 5, SECONDS)).latencies)
            spent = Parts.of(runner) - before
            whole = spent.runner.processor + spent.zygote.processor + spent.workers.processor
            ratios.append(whole / tasks / alone)
    return statistics.median(ratios)
