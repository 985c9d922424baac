"""How much memory the processes of a runner take, as Linux tells it. It takes milliseconds to read: not on the loop."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs

Measure = Literal["pss", "rss"]

STATM_RESIDENT = 1
"""The field of /proc/PID/statm that counts the resident pages."""


@attrs.frozen
class Memory:
    """The memory of one process.

    Parameters:
        measure: `pss` counts what processes share in parts, so that it can be added up; `rss`, which is all that can be
            read of processes of another user without a right to, counts it in each.
    """

    amount: int
    measure: Measure


def memory_of(pid: int, proc: Path = Path("/proc")) -> Memory | None:
    """The memory of a process, in bytes; None where it has gone, or where there is no /proc."""
    try:
        for line in (proc / str(pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return Memory(int(line.split()[1]) * 1024, "pss")
    except (OSError, ValueError, IndexError):
        pass  # not ours to read: the rough measure is everybody's
    try:
        pages = int((proc / str(pid) / "statm").read_bytes().split()[STATM_RESIDENT])
    except (OSError, ValueError, IndexError):
        return None
    return Memory(pages * _page_size(), "rss")


def memory_by_pid(pids: Iterable[int], proc: Path = Path("/proc")) -> dict[int, Memory]:
    """The memory of each of some processes, as far as it can be read."""
    found = {pid: memory_of(pid, proc) for pid in pids}
    return {pid: memory for pid, memory in found.items() if memory is not None}


def _page_size() -> int:
    import resource  # there is none on Windows, where there is no /proc either

    return resource.getpagesize()
