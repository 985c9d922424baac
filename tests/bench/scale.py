"""One runner, two runners beside the same broker, and a Dask cluster with two workers: what each costs.

    python -m tests.bench.scale [--seconds N]

Everything runs in the same minute on the same machine: read the ratios, which is why each is measured in turn, thrice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from runner.broker import BrokerLimits, EmbeddedBroker
from tests.support import AUTH_TOKEN, ROOT, code_settings, eventually

SLOTS = 4
LIMITS = BrokerLimits(attempts_per_second=1000, request_timeout=60, task_timeout=60)
WORKS = {
    "trivial": "return [{'json': {'n': 1}}]",
    "some work": "total = 0\nfor n in range(900_000): total += n\nreturn [{'json': {'n': total}}]",
}


@contextlib.asynccontextmanager
async def process(*arguments: str, **variables: str) -> AsyncIterator[None]:
    """A Python process for as long as the block lasts."""
    environment = {"PATH": os.environ["PATH"], "HOME": tempfile.gettempdir(), "PYTHONPATH": str(ROOT), **variables}
    quiet = asyncio.subprocess.DEVNULL
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", *arguments, stdout=quiet, stderr=quiet, env=environment
    )
    try:
        yield
    finally:
        started.terminate()
        await started.wait()


def runner(broker: EmbeddedBroker, slots: int, *arguments: str) -> AbstractAsyncContextManager[None]:
    """`n8n-runner start` for a broker."""
    settings = {"MAX_CONCURRENCY": str(slots), "AUTH_TOKEN": AUTH_TOKEN, "TASK_BROKER_URI": broker.uri}
    return process("-m", "runner", "start", *arguments, **{f"N8N_RUNNERS_{key}": val for key, val in settings.items()})


@contextlib.asynccontextmanager
async def one(broker: EmbeddedBroker) -> AsyncIterator[None]:
    """One runner with all slots."""
    async with runner(broker, SLOTS):
        yield


@contextlib.asynccontextmanager
async def two(broker: EmbeddedBroker) -> AsyncIterator[None]:
    """Two runners that share the slots."""
    async with runner(broker, SLOTS // 2), runner(broker, SLOTS // 2):
        yield


def address_in(file: Path) -> str:
    """The address in a scheduler's file; nothing while there is none, or while it is being written."""
    try:
        return str(json.loads(file.read_text())["address"])
    except (FileNotFoundError, json.JSONDecodeError):
        return ""


@contextlib.asynccontextmanager
async def dask(broker: EmbeddedBroker) -> AsyncIterator[None]:
    """A runner in front of a cluster of two workers that share the slots."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scheduler.json")
        here = ("--host", "127.0.0.1", "--scheduler-file", str(file))
        quiet = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        async with process("-m", "distributed.cli.dask_scheduler", *here, "--port", "0", *quiet):
            await eventually(lambda: address_in(file), "a scheduler", 30)
            address = address_in(file)
            worker = ("-m", "distributed.cli.dask_worker", address, "--no-nanny", "--host", "127.0.0.1")
            options = ("--nthreads", str(SLOTS // 2), "--local-directory", folder, "--no-dashboard")
            in_front = runner(broker, SLOTS, "--executor", "dask", "--scheduler", address)
            async with process(*worker, *options), process(*worker, *options), in_front:
                yield


Way = Callable[[EmbeddedBroker], AbstractAsyncContextManager[None]]
WAYS: dict[str, Way] = {"one runner": one, "two runners": two, "dask, 2 workers": dask}


async def flow(broker: EmbeddedBroker, code: str, at_once: int, seconds: float) -> tuple[float, float]:
    """Latency p50 in ms and tasks/s, with so many tasks in flight."""
    settings = code_settings(code)
    latencies: list[float] = []
    began = time.perf_counter()

    async def lane() -> None:
        while time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            end = await broker.request(settings).end()
            assert end.result is not None, end.error
            latencies.append(time.perf_counter() - asked)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(lane())
    return 1000 * statistics.median(latencies), len(latencies) / (time.perf_counter() - began)


async def measure(way: Way, seconds: float) -> list[float]:
    """For each work: p50 of tasks one by one, and the rate with all slots in use."""
    async with EmbeddedBroker(AUTH_TOKEN, limits=LIMITS) as broker, way(broker):
        await eventually(lambda: broker.rules.offer_count >= SLOTS, "all slots on offer", 40)
        figures = []
        for code in WORKS.values():
            await flow(broker, code, SLOTS, 0.5)  # warm
            figures.append((await flow(broker, code, 1, seconds))[0])
            figures.append((await flow(broker, code, SLOTS, seconds))[1])
        return figures


async def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args().seconds
    runs: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    for _ in range(3):
        for name, way in WAYS.items():
            runs[name].append(await measure(way, seconds))
    print("| | " + " | ".join(f"{work}: p50, ms | {work}: tasks/s" for work in WORKS) + " |")
    print("| --- |" + " ---: |" * 2 * len(WORKS))
    for name, each in runs.items():
        medians = [statistics.median(column) for column in zip(*each, strict=True)]
        print(f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in medians) + " |")


if __name__ == "__main__":
    asyncio.run(main())
