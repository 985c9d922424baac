"""The machine: what it is, and how many processes a second it can make at all."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import attrs

LOOP = Path(__file__).with_name("fork_loop.py")


@attrs.frozen
class ForkRates:
    """Forks per second: of one loop alone, and of two side by side, both together."""

    one: float
    two: float
    processor: float
    """What a fork of the one alone costs in processor time, in seconds: of the loop and of the child."""
    faults: float
    """The same in page faults."""


class ForkLoops:
    """Two processes that wait to be asked for a loop of forks; used as a context manager."""

    def __init__(self) -> None:
        self._loops: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        for _ in range(2):
            self._loops.append(
                subprocess.Popen(
                    [sys.executable, "-I", LOOP],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,  # Ctrl-C is for the bench, which ends them
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        for loop in self._loops:
            loop.kill()
            loop.communicate()

    def measure(self, seconds: float) -> ForkRates:
        """Measure both, so many seconds each."""
        ((one, processor, faults),) = self._measure(self._loops[:1], seconds)
        two = sum(rate for rate, *_ in self._measure(self._loops, seconds))
        return ForkRates(one, two, processor, faults)

    def _measure(self, loops: list[subprocess.Popen[str]], seconds: float) -> list[list[float]]:
        for loop in loops:
            assert loop.stdin is not None
            print(seconds, file=loop.stdin, flush=True)
        return [[*map(float, loop.stdout.readline().split())] for loop in loops if loop.stdout is not None]


def description() -> dict[str, str | float]:
    """What the figures depend on."""
    return {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "kernel": platform.release(),
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 2),
    }


def in_words(about: dict[str, str | float]) -> str:
    """The description in one line."""
    return "{processor}, {cores} cores, load {load}, kernel {kernel}, Python {python}".format_map(about)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
