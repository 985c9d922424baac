"""Whether another runner on this machine has the id of this one. The broker keeps one of them, and closes the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from runner.diagnosis.finding import Finding, Situation, ok, warning
from runner.diagnosis.settings import usable_config

VARIABLE = "N8N_RUNNERS_ID"


async def another_runner(situation: Situation) -> list[Finding]:
    """Look for processes with the same id. Those on other machines are not seen; runners log that they were evicted."""
    own = usable_config(situation).runner_id
    if not own:
        return [ok("each process draws an id of its own")]
    others = [*_with_id(own)]
    if not others:
        return [ok(f"no other process here has the id {own}")]
    return [
        warning(
            f"the id {own} is that of process {', '.join(map(str, others))} as well: they will evict each other",
            f"Give each runner its own {VARIABLE}, or none",
        )
    ]


def _with_id(own: str) -> Iterator[int]:
    """The runners among the processes that this user may look at, but for those that started this one."""
    wanted = f"{VARIABLE}={own}".encode()
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and int(entry.name) not in {os.getpid(), os.getppid()}:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    if b"start" in words and wanted in (entry / "environ").read_bytes().split(b"\0"):
                        yield int(entry.name)
