"""A world to do harm in: a broker in this process, a proxy in front of it, and a real runner that comes through it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import random
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Raw

from runner.broker import BrokerLimits, EmbeddedBroker, EndOfTask, RequestedTask
from tests.chaos.process import RunnerProcess
from tests.chaos.proxy import Proxy
from tests.support import AUTH_TOKEN, code_settings

HEARTBEAT = 1
"""How often runner and broker ping each other, in seconds: half as long again, and a silent one is given up."""

LIMITS = BrokerLimits(attempts_per_second=100, task_timeout=30.0, heartbeat_interval=HEARTBEAT)
SETTINGS = {
    "MAX_CONCURRENCY": "3",
    "HEARTBEAT_INTERVAL": str(HEARTBEAT),
    "TASK_TIMEOUT": "20",
    "TASK_MEMORY_LIMIT": "64",
    "GRACEFUL_SHUTDOWN_TIMEOUT": "3",
    "STDLIB_ALLOW": "*",
    "LANGUAGE": "full",
    "NETWORK": "deny",
    "BUILTINS_DENY": "",
}
"""Code is free to do everything that the kernel does not keep it from."""

TINY = code_settings("return [{'json': {'ok': True}}]", [])
TMPFS = "size=16m,nr_inodes=1000,mode=0711"
MNT_DETACH = 2


class World:
    """Broker, proxy and runner; used as a context manager, after which nothing of them is left."""

    def __init__(self, seed: int = 0, *, small_disk: bool = False, limits: BrokerLimits = LIMITS, **more: str) -> None:
        """A world that is not there yet.

        Parameters:
            seed: of what is left to chance.
            small_disk: whether its temporary folder is a small file system of its own, which only root can make.
            more: settings of the runner, without N8N_RUNNERS_ before them.
        """
        self.random = random.Random(seed)
        self.broker = EmbeddedBroker(AUTH_TOKEN, limits=limits)
        self.proxy: Proxy
        self.runner: RunnerProcess
        self.temporary: Path
        self._begun: list[RequestedTask] = []
        self._settings = {**SETTINGS, **more}
        self._small_disk = small_disk
        self._undo = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as undo:
            place = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
            place.chmod(0o711)  # tasks are another user's, and have to get at their folders
            self.temporary = place / "tmp"
            self.temporary.mkdir(0o711)
            if self._small_disk:
                _mount(self.temporary)
                undo.callback(_unmount, self.temporary)
            self._clock = place / "clock"
            self.step_clock(0.0)
            await undo.enter_async_context(self.broker)
            host, port = self.broker.uri.removeprefix("http://").split(":")
            self.proxy = await undo.enter_async_context(Proxy(host, int(port)))
            self._undo = undo
            await self.start_runner()
            self._undo = undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._undo.__aexit__(kind, error, traceback)

    async def start_runner(self) -> None:
        """Start a runner, and wait until it has registered."""
        self.runner = await RunnerProcess.start(self.proxy.uri, self.temporary, self._clock, **self._settings)
        self._undo.push_async_callback(self.runner.give_up)
        await self.runner.log.says("Registered with broker", 0)

    @property
    def concurrency(self) -> int:
        return int(self._settings["MAX_CONCURRENCY"])

    async def lose_broker(self, said: str) -> None:
        """Have the broker go, and wait until the log says `said`."""
        mark = self.runner.log.mark()
        await self.broker.__aexit__()
        await self.runner.log.says(said, mark)

    def step_clock(self, seconds: float) -> None:
        """Have the runner's wall clock be so far away from the right time."""
        self._clock.touch()
        with self._clock.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    # Tasks

    def request(
        self, code: str, items: Any = None, on_print: Callable[[Raw], None] | None = None, **more: Any
    ) -> RequestedTask:
        """Ask for a task."""
        return self.broker.request(code_settings(code, items, **more), on_print=on_print)

    async def tiny(self, within: float) -> EndOfTask:
        """Run the least that a task can do."""
        task = self.broker.request(TINY)
        try:
            async with asyncio.timeout(within):
                return await task.end()
        except TimeoutError:
            self.broker.rules.cancel(task)
            raise

    async def under_way(self, code: str, items: Any = None) -> RequestedTask:
        """A task that has begun: its code has printed what comes first in it, a number, its process."""
        begun = asyncio.Event()
        task = self.request(f"import os\nprint(os.getpid())\n{code}", items, lambda _: begun.set())
        waiting = asyncio.create_task(begun.wait())
        ending = asyncio.create_task(task.end())
        try:
            await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (waiting, ending):
                each.cancel()
            await asyncio.gather(waiting, ending, return_exceptions=True)
        self._begun.append(task)
        return task

    def busy(self) -> set[int]:
        """The processes of the tasks that were seen to begin."""
        return {int(json.loads(bytes(arguments))[0]) for task in self._begun for arguments in task.prints[:1]}


def can_mount() -> bool:
    """Whether this user may mount file systems here."""
    with tempfile.TemporaryDirectory() as place:
        try:
            _mount(Path(place))
        except OSError:
            return False
        _unmount(Path(place))
    return True


_libc = ctypes.CDLL(None, use_errno=True)


def _mount(place: Path) -> None:
    if _libc.mount(b"n8n-runner-chaos", os.fsencode(place), b"tmpfs", 0, TMPFS.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount()")


def _unmount(place: Path) -> None:
    if _libc.umount2(os.fsencode(place), MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), "umount2()")
