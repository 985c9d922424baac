"""A runner as a guest in somebody else's program: it leaves the house as it was, and shares it with others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable

import pytest

from runner import Count, TaskRunner
from runner.broker import EmbeddedBroker, TaskEnd
from statemachine import ConnectionState
from tests.support import AUTH_TOKEN, ROOT, children_of, code_settings, config_for, result_of, run_code

S = ConnectionState

GUEST = """
import asyncio, logging, os, signal, socket, sys
from runner import TaskRunner, TaskRunnerConfig
from runner.broker import EmbeddedBroker
from msgspec import Raw

bound = []
sys.addaudithook(lambda event, arguments: bound.append(arguments[1]) if event == "socket.bind" else None)


def house():
    loggers = [logging.getLogger(name) for name in (None, *logging.root.manager.loggerDict)]
    return {
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "handlers": [logger.handlers for logger in loggers if logger.handlers],
        "levels": {logger.name: logger.level for logger in loggers if logger.level},
        "hooks": (sys.excepthook, asyncio.get_running_loop().get_exception_handler()),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }


async def main():
    async with EmbeddedBroker("secret") as broker:
        assert bound, "or the audit hook sees nothing"
        bound.clear()
        before = house()
        async with TaskRunner(TaskRunnerConfig(auth_token="secret", task_broker_uri=broker.uri)):
            code = {"code": "return [{'json': {}}]", "nodeMode": "runOnceForAllItems", "items": []}
            import json
            await broker.request(Raw(json.dumps(code).encode())).end()
            during = house()
        after = house()
    for name in before:
        if not before[name] == during[name] == after[name]:
            print("changed:", name, before[name], during[name], after[name])
    print("bound:", bound)


asyncio.run(main())
"""


def test_a_runner_changes_nothing_of_the_process_and_opens_no_port() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GUEST],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "bound: []\n"
    # nobody has configured logging, so Python shows warnings; the one that is allowed is about this machine's kernel
    assert [line for line in done.stderr.splitlines() if not line.startswith("Confinement of tasks is not ")] == []


async def test_two_runners_in_one_process_do_not_know_of_each_other() -> None:
    async with EmbeddedBroker(AUTH_TOKEN) as one, EmbeddedBroker(AUTH_TOKEN) as two:
        async with TaskRunner(config_for(one)) as first, TaskRunner(config_for(two)) as second:
            await asyncio.gather(first.reached(S.LISTENING), second.reached(S.LISTENING))
            ends = await asyncio.gather(
                *(run_code(broker, f"return [{{'n': {n}}}]") for n, broker in [(1, one), (2, two)])
            )
            assert [result_of(end)[0]["json"] for end in ends] == [{"n": 1}, {"n": 2}]
            await one.drop_connections()
            await first.reached(S.BACKOFF)
            assert (second.state, second.counters[Count.CONNECTIONS_LOST]) == (S.LISTENING, 0)
            await first.stop()
            assert first.state is S.DISCONNECTED
            assert result_of(await run_code(two, "return [{'n': 3}]"))[0]["json"] == {"n": 3}
            assert first.path != second.path
            assert (first.counters[Count.TASKS_DONE], second.counters[Count.TASKS_DONE]) == (1, 2)
        assert one.violations == two.violations == []


async def leave(runner: TaskRunner, busy: asyncio.Event) -> None:
    """The block of the context manager is left."""
    async with runner:
        await busy.wait()


async def raise_in(runner: TaskRunner, busy: asyncio.Event) -> None:
    """An error comes out of the block."""
    with pytest.raises(KeyError):
        async with runner:
            await busy.wait()
            raise KeyError


async def cancel(runner: TaskRunner, busy: asyncio.Event) -> None:
    """start() is cancelled."""
    start = asyncio.ensure_future(runner.start())
    await busy.wait()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start


def processes_and_threads() -> tuple[set[int], set[threading.Thread]]:
    helpers = ("asyncio_", "waitpid-")  # of the event loop, which ends them with itself
    threads = {thread for thread in threading.enumerate() if not thread.name.startswith(helpers)}
    return set(children_of(os.getpid())), threads


@pytest.mark.needs("proc")
@pytest.mark.parametrize("end", [leave, raise_in, cancel])
async def test_whatever_ends_a_busy_runner_no_process_and_no_thread_is_left(
    broker: EmbeddedBroker, end: Callable[[TaskRunner, asyncio.Event], Awaitable[None]]
) -> None:
    before = processes_and_threads()
    runner = TaskRunner(config_for(broker, graceful_shutdown_timeout=0))
    busy = asyncio.Event()
    task = broker.request(code_settings("print('here')\nwhile True: pass"), on_print=lambda _: busy.set())
    async with asyncio.timeout(20):
        ending = asyncio.ensure_future(end(runner, busy))
        await busy.wait()
        assert processes_and_threads()[0] - before[0], "or there are no processes that could be left"
        await ending
        assert (await task.end()).how in {TaskEnd.ERROR, TaskEnd.RUNNER_LOST}
    assert processes_and_threads() == before
    assert runner.state is S.DISCONNECTED
