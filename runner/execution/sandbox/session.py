"""The processes of a session: whatever a task has started, unless it took the trouble to get away with `setsid`."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def kill(session: int) -> bool:
    """Kill every process of a session, and say whether all of them but its leader were gone before.

    To be repeated until it says so: while there are some, they may start others. Where there is no /proc, only the
    process group of the leader is found. What belongs to another user, by way of `sudo`, is out of reach.
    """
    others = [pid for pid in _others(session) if _kill(pid)]
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)
    return not others


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _others(session: int) -> Iterator[int]:
    """The processes of a session that still run, its leader left out."""
    try:
        names = [entry.name for entry in Path("/proc").iterdir()]
    except OSError:
        return
    for pid in (int(name) for name in names if name.isdigit()):
        try:
            if pid != session and os.getsid(pid) == session and not _has_ended(pid):
                yield pid
        except OSError:
            continue  # gone in the meantime


def _has_ended(pid: int) -> bool:
    """Whether a process is only waiting to be reaped; if that is up to us, it is done."""
    state, parent = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:2]
    if state not in {b"Z", b"X"}:
        return False
    if int(parent) == os.getpid():  # orphans come to us when we are the init of a container
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return True
