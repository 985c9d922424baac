"""Tasks on a real Dask cluster: a scheduler and workers that are processes of their own, on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from msgspec import Raw

from runner import DaskExecutor, N8nRefused, Outcome, TaskFailed, TaskRequest, TaskRunner, TaskRunnerConfig
from runner.broker import EmbeddedBroker
from runner.clock import Clock
from runner.execution.dask import cluster as cluster_module
from runner.execution.dask.cluster import RETRY_DELAY
from runner.execution.dask.plugin import plugin_of, settings_of
from tests.chaos.proxy import Proxy
from tests.support import ROOT, ManualClock, code_settings, config_for, eventually, printed, result_of, run_code

PATIENCE = 40.0
ALLOWED: dict[str, Any] = {"stdlib_allow": {"*"}}
FOR_EVER = "print('runs')\nwhile True: pass"


class DaskProcess:
    """`dask scheduler` or `dask worker`, in a session of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def says(self, what: str) -> str:
        """The line of its log that has this in it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stderr.readline()).decode():
                self.said.append(line)
                if what in line:
                    return line
        raise AssertionError("".join(self.said))

    async def end(self, number: int = signal.SIGKILL) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)
        await self.process.communicate()


class DaskCluster:
    """A scheduler and its workers, which the test starts and kills."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = ""
        self.processes: list[DaskProcess] = []

    async def _start(self, *arguments: str) -> DaskProcess:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "ignore", "-m", "distributed.cli." + arguments[0], *arguments[1:]),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(self._folder)},
        )
        self.processes.append(DaskProcess(process))
        return self.processes[-1]

    async def scheduler(self, port: str = "0") -> DaskProcess:
        host = ("--host", "127.0.0.1", "--port", port, "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        started = await self._start("dask_scheduler", *host)
        self.address = (await started.says("Scheduler at:")).split()[-1]
        return started

    async def worker(self, threads: int = 1, at: tuple[str, ...] = ("--host", "127.0.0.1")) -> DaskProcess:
        options = ("--no-nanny", "--nthreads", str(threads), "--no-dashboard", *at)
        return await self._start("dask_worker", self.address, *options)

    @asynccontextmanager
    async def road_to_a_worker(self) -> AsyncIterator[tuple[Proxy, tuple[str, ...]]]:
        """What stands between a worker and all who speak to it, and the options that make a worker be found there."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        async with Proxy("127.0.0.1", port) as road:
            here, there = f"tcp://127.0.0.1:{port}", road.uri.replace("http", "tcp")
            yield road, ("--listen-address", here, "--contact-address", there)


@pytest.fixture
async def dask(tmp_path: Path) -> AsyncIterator[DaskCluster]:
    cluster = DaskCluster(tmp_path)
    try:
        yield cluster
    finally:
        for each in reversed(cluster.processes):
            await each.end()


def executor_of(dask: DaskCluster, clock: Clock | None = None) -> DaskExecutor:
    return DaskExecutor(TaskRunnerConfig(auth_token="top-secret", **ALLOWED), dask.address, clock=clock)


class Started:
    """An executor that has as many slots as are waited for."""

    def __init__(self, executor: DaskExecutor, slots: int) -> None:
        self._executor = executor
        self._slots = slots

    async def __aenter__(self) -> DaskExecutor:
        await self._executor.start()
        await slots_of(self._executor, self._slots)
        return self._executor

    async def __aexit__(self, *_: object) -> None:
        await self._executor.close()


async def slots_of(executor: DaskExecutor, slots: int) -> None:
    await eventually(lambda: executor.concurrency == slots, f"{slots} slots", PATIENCE)


def request(code: str, on_print: Callable[[Raw], None] = lambda _: None, **more: Any) -> TaskRequest:
    return TaskRequest("task", code_settings(code), on_print, **more)


def value_of(outcome: Outcome) -> Any:
    return json.loads(bytes(outcome.result))[0]["json"]


class Answering:
    """An n8n that answers."""

    async def call(self, name: str, params: Raw) -> Raw:
        if name != "helpers.httpRequest":
            raise N8nRefused("not this one")
        return Raw(json.dumps({"asked": json.loads(bytes(params))}).encode())

    async def data(self, wanted: Raw) -> Raw:
        raise N8nRefused("no data")


async def test_a_task_runs_on_a_worker_and_its_prints_come_in_order(dask: DaskCluster) -> None:
    await dask.scheduler()
    await dask.worker(threads=2)
    prints: list[Raw] = []
    async with Started(executor_of(dask), 2) as executor:
        outcome = await executor.execute(request("for n in range(50): print(n)\nreturn {'n': 42}", prints.append))
        assert value_of(outcome) == {"n": 42}
        assert [each[0] for each in printed(prints)] == [str(n) for n in range(50)]


async def test_a_failure_has_its_line_and_the_cluster_no_token(dask: DaskCluster) -> None:
    await dask.scheduler()
    await dask.worker()
    async with Started(executor_of(dask), 1) as executor:
        with pytest.raises(TaskFailed) as failed:
            await executor.execute(request("x = 1\nraise ValueError('no')"))
        assert failed.value.details["lineNumber"] == 2
    assert "top-secret" not in repr(settings_of(TaskRunnerConfig(auth_token="top-secret")))
    assert plugin_of(settings_of(TaskRunnerConfig(auth_token="top-secret"))).idempotent


async def test_a_remote_task_asks_n8n(dask: DaskCluster) -> None:
    await dask.scheduler()
    await dask.worker()
    code = "return {'got': _helpers.httpRequest({'url': 'http://x'})}"
    async with Started(executor_of(dask), 1) as executor:
        outcome = await executor.execute(request(code, n8n=Answering()))
        assert value_of(outcome) == {"got": {"asked": [{"url": "http://x"}]}}


async def test_a_large_result_comes_whole(dask: DaskCluster) -> None:
    await dask.scheduler()
    await dask.worker()
    async with Started(executor_of(dask), 1) as executor:
        outcome = await executor.execute(request("return {'text': 'x' * 5_000_000}"))
        assert value_of(outcome) == {"text": "x" * 5_000_000}


async def test_a_cancelled_task_is_gone_from_the_cluster_and_its_slot_is_free(dask: DaskCluster) -> None:
    await dask.scheduler()
    await dask.worker()
    prints: asyncio.Queue[Raw] = asyncio.Queue()
    async with Started(executor_of(dask), 1) as executor:
        code = "import os\nprint(os.getpid())\nwhile True: pass"
        task = asyncio.ensure_future(executor.execute(request(code, prints.put_nowait)))
        pid = int(json.loads(bytes(await prints.get()))[0])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not Path(f"/proc/{pid}").exists()
        assert value_of(await executor.execute(request("return {'n': 1}"))) == {"n": 1}


async def test_a_worker_that_is_killed_fails_its_task_at_once_and_no_other(dask: DaskCluster) -> None:
    await dask.scheduler()
    workers = [await dask.worker(), await dask.worker()]
    prints: asyncio.Queue[Raw] = asyncio.Queue()
    async with Started(executor_of(dask), 2) as executor:
        running = [asyncio.ensure_future(executor.execute(request(FOR_EVER, prints.put_nowait))) for _ in workers]
        for _ in workers:
            await prints.get()
        await workers[0].end()
        done, left = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        assert len(done) == len(left) == 1
        with pytest.raises(TaskFailed, match=r"The Dask worker tcp://127.* is gone"):
            await done.pop()
        assert executor.concurrency == 1
        left.pop().cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert value_of(await executor.execute(request("return {'n': 1}"))) == {"n": 1}


async def test_the_slots_follow_the_cluster_as_it_grows_shrinks_goes_and_comes_back(dask: DaskCluster) -> None:
    scheduler = await dask.scheduler()
    first = await dask.worker()
    async with Started(executor_of(dask), 1) as executor:
        await dask.worker(threads=2)
        await slots_of(executor, 3)
        await first.end()
        await slots_of(executor, 2)
        await scheduler.end()
        for each in dask.processes:
            await each.end()
        await slots_of(executor, 0)
        with pytest.raises(TaskFailed, match="No worker of the Dask cluster is free"):
            await executor.execute(request("return {}"))
        await dask.scheduler(port=dask.address.rpartition(":")[2])
        await dask.worker()
        await slots_of(executor, 1)


async def test_lines_that_break_off_are_there_again_if_their_worker_is(dask: DaskCluster, clock: ManualClock) -> None:
    await dask.scheduler()
    async with dask.road_to_a_worker() as (road, at), Started(executor_of(dask, clock), 0) as executor:
        await dask.worker(threads=2, at=at)
        await slots_of(executor, 2)
        for _ in range(2):
            road.reset()
            await slots_of(executor, 0)
            await clock.advance(RETRY_DELAY)
            await slots_of(executor, 2)
        assert value_of(await executor.execute(request("return {'n': 1}"))) == {"n": 1}


async def test_a_worker_that_does_not_answer_when_it_comes_is_tried_again(
    dask: DaskCluster, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await dask.scheduler()
    caplog.set_level(logging.INFO, "runner")
    async with dask.road_to_a_worker() as (road, at), Started(executor_of(dask, clock), 0) as executor:
        await eventually(lambda: "Connected to the Dask cluster" in caplog.text, "on the cluster", PATIENCE)
        monkeypatch.setattr(cluster_module, "PATIENCE", 0.2)
        road.stall()
        await dask.worker(at=at)
        await eventually(lambda: "cannot be used" in caplog.text, "given up for now", PATIENCE)
        road.lift()
        monkeypatch.undo()
        await clock.advance(RETRY_DELAY)
        await slots_of(executor, 1)
        assert caplog.text.count("cannot be used") == 1


async def test_a_worker_that_comes_before_there_is_a_door_for_it_is_met_when_there_is(
    dask: DaskCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, has_come = asyncio.Event(), asyncio.Event()

    class LateClient(Client):
        async def register_plugin(self, *arguments: Any, **more: Any) -> Any:
            asked.set()
            await has_come.wait()
            return await super().register_plugin(*arguments, **more)

    monkeypatch.setattr(cluster_module, "_client", LateClient)
    await dask.scheduler()
    async with Started(executor_of(dask), 0) as executor:
        await asked.wait()
        await (await dask.worker()).says("Registered to")
        has_come.set()
        await slots_of(executor, 1)
    assert "cannot be used" not in caplog.text


async def test_a_runner_offers_what_the_cluster_has(dask: DaskCluster, broker: EmbeddedBroker) -> None:
    await dask.scheduler()
    config = config_for(broker, **ALLOWED)
    executor = DaskExecutor(config, dask.address)
    async with TaskRunner(config, executor=executor) as runner:
        await eventually(lambda: broker.rules.runner_ids, "registered")
        assert runner.open_offers == 0
        await dask.worker(threads=2)
        await eventually(lambda: runner.open_offers == 2, "two offers", PATIENCE)
        assert result_of(await run_code(broker, "return {'n': _items[0]['json']['n'] * 2}")) == [{"json": {"n": 42}}]
