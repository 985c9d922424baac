"""Where the microseconds of a tiny task go, by process and by what it is at: a table that adds up.

    python -m tests.bench.where [--json FILE]

Linux's `perf` looks several thousand times a second where the runner, its zygote and their workers are. It has to be
allowed to see the kernel's side: as root, or with /proc/sys/kernel/perf_event_paranoid at 0 or less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import machine, tree, works
from tests.bench.figures import in_columns, number
from tests.bench.rig import Runner
from tests.bench.works import BenchFailed

LOOKS = 4999
"""How many a second; not a round number, or they might fall in step with something."""

SECONDS = 8.0
WARM_UP = 1.0
CONCURRENCY = 5

PROCESSES = ("worker", "zygote", "runner")
PLACES = {
    "copying and giving pages": ("asm_exc_page_fault", "exc_page_fault"),
    "forking": ("__do_sys_clone", "kernel_clone", "ret_from_fork"),
    "ending, and being waited for": ("do_exit", "do_group_exit", "do_wait", "kernel_wait4"),
    "the filter of system calls": ("do_seccomp", "__seccomp_filter", "seccomp_run_filters"),
    "the confinement of files": ("__do_sys_landlock_restrict_self", "hook_file_open", "hook_path"),
    "sockets and pipes": ("__sys_sendto", "__sys_recvfrom", "sock_", "unix_", "tcp_", "vfs_write", "vfs_read", "pipe_"),
    "waiting for events": ("do_epoll", "do_sys_poll", "ep_", "futex"),
}
"""What the kernel is at while one of these functions has not returned yet: the first that fits counts."""

KERNEL, PYTHON = "other work of the kernel", "Python"
ROWS = (*PLACES, KERNEL, PYTHON)

_HEAD = re.compile(r"^\S.*?\s(\d+)/\d+\s+$")
_FORKED = re.compile(r"PERF_RECORD_FORK\((\d+):\d+\):\((\d+):\d+\)")
_FRAME = re.compile(r"^\s+([0-9a-f]+) (\S+)")
KERNEL_ADDRESSES = "ffff"


def place_of(stack: Sequence[tuple[str, str]]) -> str:
    """What a process is at whose innermost function comes first in a stack of addresses and names."""
    names = [name for address, name in stack if address.startswith(KERNEL_ADDRESSES)]
    if not names:
        return PYTHON
    for place, functions in PLACES.items():
        if any(name.startswith(functions) for name in names):
            return place
    return KERNEL


def children_in(text: str, parent: int) -> set[int]:
    """The processes that a process has forked, from what `perf script` prints of tasks."""
    return {int(child) for child, of in _FORKED.findall(text) if int(of) == parent}


def samples_in(text: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """The process and the stack of each look, from what `perf script` prints."""
    process, stack = 0, list[tuple[str, str]]()
    for line in (*text.splitlines(), ""):
        if head := _HEAD.match(line):
            process, stack = int(head[1]), []
        elif frame := _FRAME.match(line):
            stack.append((frame[1], frame[2]))
        elif process:
            yield process, stack
            process = 0


async def measured() -> dict[str, dict[str, float]]:
    """For each process, microseconds of processor time a task at each place."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder, "perf.data")
        async with Runner(CONCURRENCY) as runner:
            (zygote,) = (process.pid for process in tree.below(runner.pid) if process.parent == runner.pid)
            await runner.flow(works.tiny(), CONCURRENCY, WARM_UP)
            # at the whole machine: a look at single processes ends before they do, and ending takes them long
            command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(LOOKS), "-g", "-a", "-o", str(file)]
            perf = subprocess.Popen(command, stderr=subprocess.PIPE)
            await asyncio.sleep(0.5)
            if perf.poll() is not None:
                raise BenchFailed(f"perf does not look: {perf.communicate()[1].decode(errors='replace')}")
            tasks = len((await runner.flow(works.tiny(), CONCURRENCY, SECONDS)).latencies)
            perf.send_signal(signal.SIGINT)
            await asyncio.to_thread(perf.communicate)
        fields = ["perf", "script", "-i", str(file), "--show-task-events", "-F", "comm,pid,tid,ip,sym"]
        text = (await asyncio.to_thread(subprocess.run, fields, capture_output=True, check=True)).stdout
    counts: dict[str, Counter[str]] = {name: Counter() for name in PROCESSES}
    written = text.decode(errors="replace")
    names = {**dict.fromkeys(children_in(written, zygote), "worker"), runner.pid: "runner", zygote: "zygote"}
    for process, stack in samples_in(written):
        if process in names:
            counts[names[process]][place_of(stack)] += 1
    look = 1e6 / LOOKS / tasks
    return {name: {place: counts[name][place] * look for place in ROWS} for name in PROCESSES}


def rows_of(costs: dict[str, dict[str, float]]) -> list[Sequence[str]]:
    """The table: a row for each place, a column for each process, and what they add up to."""
    rows: list[Sequence[str]] = [("microseconds a task", *PROCESSES, "together")]
    for place in ROWS:
        parts = [costs[name][place] for name in PROCESSES]
        rows.append((place, *map(number, map(round, parts)), number(round(sum(parts)))))
    totals = [sum(costs[name].values()) for name in PROCESSES]
    return [*rows, ("together", *map(number, map(round, totals)), number(round(sum(totals))))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.where", description="Where a task's time goes.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to a file")
    given = parser.parse_args(arguments)
    if shutil.which("perf") is None:
        print("perf is needed: install it, as with `apt-get install linux-perf`.", file=sys.stderr)
        return 1
    tree.adopt_orphans()
    about = machine.description()
    print(machine.in_words(about))
    try:
        with tree.Household():
            costs = asyncio.run(measured())
    except BenchFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    print(in_columns(rows_of(costs), left=1))
    if given.json:
        given.json.write_text(json.dumps({"machine": about, "costs": costs}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
