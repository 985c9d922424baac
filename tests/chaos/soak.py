"""A runner under a mix of tasks and, every 20 to 60 seconds, one of the faults; for as long as one likes.

    python -m tests.chaos.soak --minutes 60 [--seed N]

Prints a row a minute, and a verdict at the end. Exits with 1 if anything came up that was not expected.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Iterator

import attrs

from runner.broker import BrokerLimits
from tests.bench.tree import Household, adopt_orphans
from tests.chaos import health
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.figures import HEAD, Tally, growth
from tests.chaos.jobs import Job, Must, pick
from tests.chaos.process import CONNECTED, REPLACED
from tests.chaos.world import World, can_mount

SLOTS = 5
TIMEOUT = 6
HEARTBEAT = 2
LIMITS = BrokerLimits(attempts_per_second=100, task_timeout=TIMEOUT, heartbeat_interval=HEARTBEAT)
BETWEEN_FAULTS = (20.0, 60.0)
BETWEEN_TASKS = 0.1
"""How long a slot rests at most, in seconds: the machine is not this soak's alone."""

MEMORY_MARGIN = 40 * 1024**2
MOST_TOLD = 3000
"""How much is told of one thing that was not expected, in characters."""

SLOWEST = 5.0
"""How long a task may take outside of a fault, in seconds, unless it is one that uses up its timeout."""


class Soak:
    """One soak, from the first task to the verdict."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._small_disk = can_mount()
        self._tally = Tally()
        self._unexpected: list[str] = []
        self._readings: list[tuple[float, health.Reading]] = []
        self._fault: Fault | None = None
        self._last: Fault | None = None
        self._faults_begun = 0
        self._may_go = asyncio.Event()
        self._may_go.set()
        self._busy = 0
        self._began = time.monotonic()

    # Tasks

    async def slot(self) -> None:
        """Run one task after the other."""
        while True:
            await self._may_go.wait()
            self._busy += 1
            try:
                await self._run(pick(self._chance))
            finally:
                self._busy -= 1
            await asyncio.sleep(BETWEEN_TASKS * self._chance.random())

    async def _run(self, job: Job) -> None:
        fault, faults_begun, asked = self._fault, self._faults_begun, time.monotonic()
        begun = asyncio.Event()
        task = self._world.broker.request(job.settings, on_print=lambda _: begun.set())
        if job.must is Must.BE_CANCELLED:
            waits = [asyncio.create_task(begun.wait()), asyncio.create_task(task.end())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            self._world.broker.rules.cancel(task)
        end = await task.end()
        latency = time.monotonic() - asked
        hit = fault if self._faults_begun == faults_begun else self._last
        problem = job.problem(end)
        if problem is not None and hit is not None and end.how in hit.toll:
            self._tally.lost += 1
        elif problem is not None:
            self._report(f"{problem} (fault: {hit})")
        elif job.must is Must.RETURN:
            self._tally.done += 1
        else:
            self._tally.failed += 1
        if hit is None and not job.is_slow:
            self._tally.worst = max(self._tally.worst, latency)
            if latency > SLOWEST:
                self._report(f"{job.name} took {latency:.1f} s though nothing was wrong")

    def _report(self, what: str) -> None:
        what = what[:MOST_TOLD]
        self._unexpected.append(what)
        print(f"[{time.monotonic() - self._began:7.1f} s] UNEXPECTED {what}", flush=True)

    # Faults

    def _deck(self) -> Iterator[Fault]:
        """All faults in an order of chance, again and again; without those that only a quiet world can stand."""
        faults = [fault for fault in FAULTS if not fault.quiet and (self._small_disk or not fault.small_disk)]
        while True:
            self._chance.shuffle(faults)
            yield from faults

    async def trouble(self) -> None:
        """Do harm, see that it works again, have the tasks pause, and see that nothing is left of it."""
        for fault in self._deck():
            await asyncio.sleep(self._chance.uniform(*BETWEEN_FAULTS))
            self._fault = self._last = fault
            self._faults_begun += 1
            began = time.monotonic()
            try:
                await fault.inflict(self._world)
                over = time.monotonic()
                await health.works(self._world)
                print(f"    {fault.name}: {over - began:.1f} s, well {time.monotonic() - over:.1f} s later", flush=True)
            except AssertionError as problem:
                self._report(f"{fault.name}: {problem}")
                self._world.proxy.lift()
            self._tally.faults += 1
            await self._settle(fault)

    async def _settle(self, fault: Fault) -> None:
        """See that all is as it was at first, with nobody about."""
        self._may_go.clear()
        while self._busy:
            await asyncio.sleep(0.01)
        self._fault = None
        try:
            reading = await health.is_as_before(self._world, self._readings[0][1], MEMORY_MARGIN)
            self._readings.append((time.monotonic() - self._began, reading))
            health.has_a_clean_record(self._world)
        except AssertionError as problem:
            self._report(f"after {fault.name}: {problem}")
            self._world.broker.violations.clear()
            self._world.runner.log.forgive()
        self._may_go.set()

    # The whole

    async def rows(self) -> None:
        """Print a row a minute."""
        print(HEAD, flush=True)
        while True:
            await asyncio.sleep(60)
            self._row()

    def _row(self) -> None:
        log = self._world.runner.log
        minute = (time.monotonic() - self._began) / 60
        reading = health.read(self._world)
        print(self._tally.row(minute, log.count(CONNECTED) - 1, log.count(REPLACED), reading), flush=True)

    async def run(self, minutes: float) -> list[str]:
        """Soak, and return what came up that was not expected."""
        self._readings.append((0.0, await health.warm_up(self._world)))
        roles = [self.trouble(), self.rows(), *(self.slot() for _ in range(SLOTS))]
        tasks = [asyncio.create_task(role) for role in roles]
        done, _ = await asyncio.wait(tasks, timeout=60 * minutes, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            self._report(f"the soak itself broke off: {task.exception()!r}")
        self._row()
        await self._end()
        return self._unexpected

    async def _end(self) -> None:
        """The last checks: of what is left now, and of what is left after SIGTERM."""
        self._world.proxy.lift()
        try:
            reading = await health.is_as_before(self._world, self._readings[0][1], MEMORY_MARGIN)
            self._readings.append((time.monotonic() - self._began, reading))
            await health.ends_well(self._world)
        except AssertionError as problem:
            self._report(f"at the end: {problem}")
        print("\n".join(["", "At rest:", *growth(self._readings)]))


@attrs.frozen
class Options:
    """What the command line says."""

    minutes: float
    seed: int


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    return Options(given.minutes, given.seed)


async def _soak(options: Options) -> list[str]:
    settings = {"MAX_CONCURRENCY": str(SLOTS), "TASK_TIMEOUT": str(TIMEOUT), "HEARTBEAT_INTERVAL": str(HEARTBEAT)}
    async with World(options.seed, small_disk=can_mount(), limits=LIMITS, **settings) as world:
        return await Soak(world, options.seed).run(options.minutes)


def main() -> int:
    """Soak as the command line says."""
    options = _options()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    adopt_orphans()
    with Household() as household:
        unexpected = asyncio.run(_soak(options))
        left = household.living()
    if left:
        unexpected.append(f"processes that were left: {left}")
    print(f"\n{len(unexpected)} unexpected" if unexpected else "\nNothing unexpected came up")
    for what in unexpected:
        print(f"- {what}")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
