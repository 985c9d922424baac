"""What the tests share: a clock that is turned by hand, a broker that forgives nothing, a process that is run."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Raw

from runner import TaskRunnerConfig
from runner.broker import EmbeddedBroker, EndOfTask
from statemachine.testing import VirtualClock

ROOT = Path(__file__).parent.parent
LARGE_PAGE = 2 * 1024**2
AUTH_TOKEN = "auth-token-of-the-tests"


def has_large_pages() -> bool:
    """Whether Linux puts memory in large pages on request, on a processor that the runner asks for them on."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return False
    memory = ctypes.create_string_buffer(2 * LARGE_PAGE)
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    begins = -(-ctypes.addressof(memory) // LARGE_PAGE) * LARGE_PAGE
    return bool(advise(begins, LARGE_PAGE, 25) == 0)  # MADV_COLLAPSE


class ManualClock(VirtualClock):
    """Time that passes only when `advance` says so; the event loop's own time goes on beside it."""

    async def advance(self, seconds: float) -> None:
        """Let time pass, making every call that falls due, in order, and letting coroutines react to each."""
        until = self.now() + seconds
        while self.make_next_call(until):
            await settle()
        await settle()


async def settle(rounds: int = 20) -> None:
    """Let everything that is ready to run have its turn."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], object], what: str = "", within: float = 10.0) -> None:
    """Wait until a condition holds that nothing announces, such as the state of another process."""
    try:
        async with asyncio.timeout(within):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"not within {within} s: {what or condition}") from None


def code_settings(code: str, items: Any = None, mode: str = "runOnceForAllItems", **more: Any) -> Raw:
    """The settings of a Code node's task, as n8n sends them."""
    settings = {
        "code": code,
        "nodeMode": mode,
        "workflowMode": "manual",
        "continueOnFail": False,
        "items": [{"json": {"n": 21}}] if items is None else items,
        "nodeId": "a2",
        "nodeName": "Code",
        "workflowId": "w1",
        "workflowName": "A workflow",
        **more,
    }
    return Raw(json.dumps(settings).encode())


def config_for(broker: EmbeddedBroker, **more: Any) -> TaskRunnerConfig:
    """The configuration of a runner of this broker."""
    settings = {"auth_token": AUTH_TOKEN, "task_broker_uri": broker.uri, **more}
    if "grant_token" in more:
        del settings["auth_token"]
    return TaskRunnerConfig(**settings)


async def run_code(broker: EmbeddedBroker, code: str, items: Any = None, **more: Any) -> EndOfTask:
    """Run code through the broker and return how it ended."""
    return await broker.request(code_settings(code, items, **more)).end()


def result_of(end: EndOfTask) -> Any:
    """The result of a task that has one."""
    assert end.result is not None, end.error
    return json.loads(bytes(end.result))


def error_of(end: EndOfTask) -> dict[str, Any]:
    """The error of a task that failed."""
    assert end.error is not None, end.result
    return end.error


def printed(prints: Iterable[Raw]) -> list[Any]:
    """What was printed, call by call."""
    return [json.loads(bytes(arguments)) for arguments in prints]


def run_command(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with nothing in its environment but `env` and PATH."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "runner", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=50,
        check=False,
    )


def is_running(pid: int) -> bool:
    """Whether a process is there and does not only wait to be reaped, by whoever has inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found
