"""Processes and those that they have started: which there are, what memory and time they use, and how to end them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

import attrs

PR_SET_CHILD_SUBREAPER = 36
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
INTERVAL = 0.005
"""Between two looks at the memory, in seconds. With 0.02, a tenth of the peak of a task of 50 MB is often missed."""

PATIENCE = 10.0
"""How long killing may take, in seconds."""

PARENT_FIELD, FAULTS_FIELD, CHILDREN_FAULTS_FIELD, CHILDREN_TIME_FIELDS = 1, 7, 8, slice(13, 15)
"""In /proc/PID/stat, counted from the state, which follows the name."""


@attrs.frozen
class Process:
    """What /proc says about a process."""

    pid: int
    parent: int
    has_ended: bool


def adopt_orphans() -> None:
    """Become the parent of what descendants leave behind, so that nothing that they start can get out of sight.

    Raises:
        OSError: the kernel does not want it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def below(ancestor: int) -> list[Process]:
    """All descendants of a process, those included that have ended and wait to be reaped."""
    children: dict[int, list[Process]] = {}
    for process in _all():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    parents = [ancestor]
    while parents:
        for child in children.get(parents.pop(), ()):
            found.append(child)
            parents.append(child.pid)
    return found


def _all() -> Iterator[Process]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - a third of the time of Path.iterdir(), fifty times a second
        if name.isdigit():
            with contextlib.suppress(OSError):  # gone in the meantime
                fields = _stat(int(name))
                yield Process(int(name), int(fields[PARENT_FIELD]), fields[0] in {b"Z", b"X"})


def _stat(pid: int) -> list[bytes]:
    """The fields that follow the name of the program."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


# Memory and time


def memory_of(pids: Iterable[int]) -> int:
    """The memory that processes use together, in bytes.

    Their proportional set sizes (PSS): a page that several share is counted once, in parts. Where the kernel does not
    let us see that, all resident pages of the process count (RSS): too much, never too little.
    """
    return sum(_memory(pid) for pid in pids)


def _memory(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except PermissionError:
        with contextlib.suppress(OSError):
            return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE
    except OSError:
        pass  # gone in the meantime
    return 0


@attrs.frozen
class Spent:
    """What a process has spent, or several have."""

    processor: float
    """Seconds."""
    faults: int
    """Pages of memory that the kernel had to give or to copy."""

    def __sub__(self, before: Spent) -> Spent:
        """What has been spent since."""
        return Spent(self.processor - before.processor, self.faults - before.faults)


def spent_by(pid: int) -> Spent:
    """What a process itself has spent since it was started.

    Raises:
        OSError: it is gone.
    """
    return Spent(time.clock_gettime(_clock_of(pid)), int(_stat(pid)[FAULTS_FIELD]))


def spent_by_children_of(pid: int) -> Spent:
    """What those of its children have spent that have ended and were reaped.

    Raises:
        OSError: it is gone.
    """
    fields = _stat(pid)
    return Spent(sum(int(ticks) for ticks in fields[CHILDREN_TIME_FIELDS]) / TICK, int(fields[CHILDREN_FAULTS_FIELD]))


def cpu_time_of(pids: Iterable[int]) -> float:
    """The processor time of processes and of their children that have ended, in seconds."""
    return sum(_cpu_time(pid) for pid in pids)


def _cpu_time(pid: int) -> float:
    try:
        return spent_by(pid).processor + spent_by_children_of(pid).processor
    except OSError:
        return 0.0


def _clock_of(pid: int) -> int:
    """The clock of another process, as clock_getcpuclockid() makes it: it counts nanoseconds, /proc only ticks."""
    return (~pid << 3) | 2


def wake_ups_of(pids: Iterable[int]) -> int:
    """How often processes have slept and gone on since they were started, all their threads included."""
    return sum(_wake_ups(pid) for pid in pids)


def _wake_ups(pid: int) -> int:
    count = 0
    with contextlib.suppress(OSError):  # gone in the meantime
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for line in (thread / "status").read_bytes().splitlines():
                if line.startswith(b"voluntary_ctxt_switches:"):
                    count += int(line.split()[1])
    return count


class PeakMemory:
    """Looks at the memory of some processes again and again; used as a context manager."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        """A watch that is not begun yet; `pids` says which processes there are at the moment."""
        self.peak = 0
        self._pids = pids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, memory_of(self._pids()))
            if self._over.wait(INTERVAL):
                break


# Ends


class Household:
    """What this process starts within a block, with all descendants; at the end of the block it is killed."""

    def __enter__(self) -> Self:
        self._before = {process.pid for process in below(os.getpid())}
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + PATIENCE
        while members := self._members():
            if time.monotonic() > deadline:
                raise RuntimeError(f"these processes cannot be ended: {members}")
            for process in members:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):  # another's child, whose parent is next
                    os.waitpid(process.pid, os.WNOHANG)
            time.sleep(0.001)

    def living(self) -> list[int]:
        """Those that live."""
        return [process.pid for process in self._members() if not process.has_ended]

    def _members(self) -> list[Process]:
        return [process for process in below(os.getpid()) if process.pid not in self._before]
