"""The real thing: `python -m runner start` in a process of its own, its log, and what can be done to its processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.bench.tree import Process, below
from tests.sandbox import interpreter
from tests.support import AUTH_TOKEN, ROOT

CLOCK = Path(__file__).parent / "clock"
TROUBLE = ("Traceback (most recent call last)", "ResourceWarning", "which is a bug", "never retrieved", "never awaited")
"""What must not be in a log: exceptions that nobody expected, and what was not closed or awaited."""

NO_MORE = 3
"""A limit of descriptors under which there is no new one, since these are always open."""

CONNECTED = "Connected to broker"
REPLACED = "WARNING\tThe process that tasks are forked from"
"""What is said when a zygote has ended, before or after it was ready."""

COUNTED = (CONNECTED, REPLACED)
KEPT = 20_000
"""How many lines are kept at least."""

PATIENCE = 20.0


class Log:
    """The lines that a process writes, as they come. Of very many, only the latest are kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._dropped = 0
        self._troubles: list[int] = []
        self._counts: Counter[str] = Counter()
        self._came = asyncio.Condition()

    async def keep(self, stream: asyncio.StreamReader) -> None:
        """Take what is written, until there is nothing more to come."""
        while line := await stream.readline():
            self._take(line.decode(errors="replace").rstrip())
            async with self._came:
                self._came.notify_all()

    def _take(self, line: str) -> None:
        if any(trouble in line for trouble in TROUBLE):
            self._troubles.append(self.mark())
        self._counts.update(text for text in COUNTED if text in line)
        self.lines.append(line)
        if len(self.lines) > 2 * KEPT and not self._troubles:
            self._dropped += KEPT
            del self.lines[:KEPT]

    def mark(self) -> int:
        """The place up to which it is written."""
        return self._dropped + len(self.lines)

    def count(self, text: str) -> int:
        """How many lines there were with one of the texts that are counted."""
        return self._counts[text]

    def since(self, mark: int, text: str) -> list[str]:
        """The lines after a place that contain a text."""
        return [line for line in self.lines[max(0, mark - self._dropped) :] if text in line]

    async def says(self, text: str, mark: int, times: int = 1) -> None:
        """Wait until so many lines after a place contain a text."""
        try:
            async with asyncio.timeout(PATIENCE), self._came:
                await self._came.wait_for(lambda: len(self.since(mark, text)) >= times)
        except TimeoutError:
            latest = "\n".join(self.lines[-20:])
            raise AssertionError(f"the log does not say {text!r} within {PATIENCE:g} s:\n{latest}") from None

    def troubles(self) -> list[str]:
        """What must not be there, each with what follows it."""
        return ["\n".join(self.lines[place - self._dropped :][:30]) for place in self._troubles]

    def forgive(self) -> None:
        """Forget these: they have been told."""
        self._troubles.clear()


class RunnerProcess:
    """A runner that has been started. Its processes are found by asking /proc, each time anew."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.log = Log()
        self.sessions = {process.pid}
        """The sessions of the runner and of each zygote that was seen: what belongs to it, whoever its parent is."""
        self._process = process
        assert process.stdout is not None
        self._keeping = asyncio.create_task(self.log.keep(process.stdout), name="log of the runner")

    @classmethod
    async def start(cls, uri: str, temporary: Path, clock: Path, **variables: str) -> Self:
        """Start one; `variables` come without N8N_RUNNERS_ before them."""
        settings = {"AUTH_TOKEN": AUTH_TOKEN, "TASK_BROKER_URI": uri, **variables}
        process = await asyncio.create_subprocess_exec(
            interpreter(),
            "-m",
            "runner",
            "start",
            env={
                "PYTHONPATH": f"{ROOT}{os.pathsep}{CLOCK}",
                "PYTHONWARNINGS": "default::ResourceWarning",
                "PYTHONUNBUFFERED": "1",
                "TMPDIR": str(temporary),
                "CHAOS_CLOCK": str(clock),
                **{f"N8N_RUNNERS_{name}": value for name, value in settings.items()},
            },
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    def tree(self) -> list[Process]:
        """All that the runner has started and that still lives."""
        return [process for process in below(self.pid) if not process.has_ended]

    def zygotes(self) -> list[int]:
        """What tasks are forked from: one process, but for the moments when it is replaced."""
        found = [process.pid for process in self.tree() if process.parent == self.pid]
        self.sessions.update(found)
        return found

    def workers(self) -> list[int]:
        """All that was forked from these."""
        zygotes = self.zygotes()
        return [process.pid for process in self.tree() if process.parent in zygotes]

    # What can be done to it

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def limit_descriptors(self) -> tuple[int, int]:
        """Have no new descriptor opened; returns the limits that there were."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        return resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (NO_MORE, hard))

    def lift_descriptors(self, limits: tuple[int, int]) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, limits)

    async def ended(self, within: float = PATIENCE) -> int:
        """Wait for its end and return its exit code."""
        try:
            async with asyncio.timeout(within):
                await self._process.wait()
        except TimeoutError:
            raise AssertionError(f"the runner has not ended within {within:g} s") from None
        await self._keeping
        return self._process.returncode or 0

    def remains(self) -> list[int]:
        """What still lives of it and of all that it has started."""
        return [pid for pid in _living() if _session(pid) in self.sessions]

    async def give_up(self) -> None:
        """Kill all of it, if it is still there."""
        self.zygotes()
        for pid in self.remains():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self._process.wait()
        await self._keeping


def _living() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}:
                    yield int(entry.name)


def _session(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return 0
