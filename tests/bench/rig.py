"""The rig: a runner in a process of its own, and in this process the broker that it serves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO, Self

import attrs

from runner.broker import BrokerLimits, EmbeddedBroker, EndOfTask, RequestedTask
from runner.broker.tasks import RequestState
from tests.bench.startup import python_path
from tests.bench.tree import Household
from tests.bench.works import BenchFailed, Work
from tests.support import AUTH_TOKEN, ROOT

LIMITS = BrokerLimits(attempts_per_second=1000, request_timeout=30, task_timeout=40)
PATIENCE = 30.0
"""How long the runner may take to register, or to stop, in seconds."""


@attrs.frozen
class Flow:
    """What came of keeping tasks in flight for a while."""

    seconds: float
    latencies: list[float]
    broker_seconds: float
    """Processor time of this process: of the broker, and of asking and hearing."""

    @property
    def rate(self) -> float:
        """Tasks per second, from the first request to the last end."""
        return len(self.latencies) / self.seconds


class Runner:
    """`n8n-runner start`, as a process, for as long as the block lasts; all it has started is gone after it."""

    def __init__(
        self, concurrency: int, *, under: Sequence[str] = (), limits: BrokerLimits = LIMITS, **variables: str
    ) -> None:
        """A runner that is not started yet.

        Parameters:
            under: the beginning of the command that it is started with, such as a tracer's.
            limits: the broker's.
            variables: come without N8N_RUNNERS_ before them.
        """
        self._under = under
        self._settings = {"MAX_CONCURRENCY": str(concurrency), "AUTH_TOKEN": AUTH_TOKEN, **variables}
        self._broker = EmbeddedBroker(AUTH_TOKEN, limits=limits)
        self._household = Household()
        self._started: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._household.__enter__()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __aexit__
        try:
            await self._broker.__aenter__()
            self._started = self._start()
            await self._until(lambda: self._broker.rules.runner_ids, "the runner has not registered")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {**self._settings, "TASK_BROKER_URI": self._broker.uri}
        return subprocess.Popen(
            [*self._under, sys.executable, "-m", "runner", "start"],
            env={**python_path(), **{f"N8N_RUNNERS_{name}": value for name, value in settings.items()}},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for the bench, which ends it
        )

    async def __aexit__(self, *_: object) -> None:
        self._household.__exit__()
        if self._started is not None:
            self._started.wait()  # or else it would go on to believe in a process that was reaped
        self._log.close()
        await self._broker.__aexit__()

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        assert self._started is not None
        return self._started

    @property
    def pid(self) -> int:
        """The runner's own process, or that of what it is started under."""
        return self._process.pid

    @property
    def broker(self) -> EmbeddedBroker:
        """The broker that it serves."""
        return self._broker

    def living(self) -> list[int]:
        """What still lives of the runner and all that it has started, parents or no parents."""
        return self._household.living()

    async def _until(self, condition: Callable[[], object], otherwise: str) -> None:
        deadline = time.perf_counter() + PATIENCE
        while not condition():
            if self._process.poll() is not None or time.perf_counter() > deadline:
                raise self._failure(otherwise)
            await asyncio.sleep(0.002)

    def _failure(self, why: str) -> BenchFailed:
        """Why there is nothing to show, with the last that the runner wrote."""
        self._log.seek(0)
        written = self._log.read()[-3000:].decode(errors="replace")
        return BenchFailed(f"{why}\n\nThe runner wrote:\n{written}")

    async def flow(self, work: Work, slots: int, seconds: float) -> Flow:
        """Keep a task in flight for each slot, and ask for another one as one ends, for so many seconds.

        Raises:
            BenchFailed: a task ended with an error, or with another result than it should.
        """
        ends: list[tuple[EndOfTask, int]] = []
        latencies: list[float] = []
        busy, began = time.process_time(), time.perf_counter()

        async def slot() -> None:
            while True:
                asked = time.perf_counter()
                task = self._broker.request(work.settings)
                end = await task.end()
                ended = time.perf_counter()
                latencies.append(ended - asked)
                ends.append((end, len(task.prints)))
                if end.result is None or ended - began >= seconds:
                    break

        async with asyncio.TaskGroup() as group:
            for _ in range(slots):
                group.create_task(slot())
        flow = Flow(time.perf_counter() - began, latencies, time.process_time() - busy)
        for end, prints in ends:  # only now: it takes time that is not the runner's
            self._check(work, end, prints)
        return flow

    def _check(self, work: Work, end: EndOfTask, prints: int) -> None:
        try:
            work.check(end, prints)
        except BenchFailed as failure:
            raise self._failure(f"{work.name}: {failure}") from None
        if self._broker.violations:
            raise self._failure(f"{work.name}: the runner broke the rules: {self._broker.violations[0].what}")

    async def begin(self, work: Work, count: int) -> None:
        """Ask for tasks that print, and return when each has done so."""
        tasks = [self._broker.request(work.settings) for _ in range(count)]
        await self._until(lambda: all(_has_a_sign(task) for task in tasks), f"{work.name}: it does not begin")
        for task in tasks:
            if not task.prints:
                self._check(work, await task.end(), 0)


def _has_a_sign(task: RequestedTask) -> bool:
    """Whether a task has printed or ended."""
    return bool(task.prints) or task.state is RequestState.ENDED
