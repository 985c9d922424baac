"""How much a task may take: limits that the kernel counts.

Memory is limited by RLIMIT_DATA, not by RLIMIT_AS. What counts there is private memory that can be written, whether
touched or not. RLIMIT_AS counts reserved addresses too, of which glibc, OpenBLAS, Go and WebAssembly take gigabytes
and use little, so that a sensible limit breaks them. RLIMIT_AS is set all the same, far above, since tables of pages
cost memory as well. What RLIMIT_DATA does not count (shared anonymous memory, files in memory, stacks that grow
downwards) the filter denies. A cgroup would count exactly, but containers are rarely allowed to make one.

Beyond the limit an allocation fails, which Python makes a MemoryError; a library that does not look aborts, and takes
none but its own process with it.

RLIMIT_NPROC counts all threads of a user, the runner's too if that is the same, and does not bind root.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from runner.execution.sandbox.confinement.report import Result, complete, missing
from runner.execution.sandbox.confinement.report import partial as partially
from runner.execution.sandbox.confinement.spec import Spec
from runner.execution.sandbox.confinement.steps import Refused, Step

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

ADDRESSES = 64 * 1024**3
"""How many more addresses than memory, in bytes: tables for these take 128 MiB at most."""

STACK = 8 * 1024**2

SMALL: tuple[tuple[str, int], ...] = (
    ("RLIMIT_CORE", 0),
    ("RLIMIT_MSGQUEUE", 0),
    ("RLIMIT_MEMLOCK", 64 * 1024),
    ("RLIMIT_RTPRIO", 0),
    ("RLIMIT_NICE", 0),
    ("RLIMIT_SIGPENDING", 1024),
    ("RLIMIT_STACK", STACK),
)


class Baseline(NamedTuple):
    """What is there before any task."""

    data: int = 0
    """Memory that RLIMIT_DATA counts, in bytes."""
    addresses: int = 0
    threads: int = 0
    """Of this user, in all processes to be seen."""


def baseline() -> Baseline:
    """What there is now. To be asked while /proc is open, and as the user that counts."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            pages = [int(field) for field in file.read().split()]
        size = os.sysconf("SC_PAGE_SIZE")
        return Baseline(pages[5] * size, pages[0] * size, _threads_of(os.getuid()) if os.getuid() else 0)
    except (OSError, ValueError, IndexError):
        return Baseline()


def _threads_of(user: int) -> int:
    """How many threads a user has."""
    count = 0
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                fields = dict(line.split(":", 1) for line in file)
        except OSError:
            continue  # gone in the meantime
        if int(fields["Uid"].split()[0]) == user:
            count += int(fields["Threads"])
    return count


class Limits:
    """The limits of some layers, worked out beforehand: a worker has to be quick."""

    def __init__(self, layers: Iterable[tuple[str, str, Iterable[tuple[str, int]]]]) -> None:
        """The limits of each layer by name, with what is said of it. None is set yet."""
        self._layers = [_Layer.of(layer, why, dict(limits)) for layer, why, limits in layers]

    def steps(self) -> list[Step]:
        """What lowers the limits of this process, for good: what is lower stays."""
        return [
            Step(layer.name, partial(resource.setrlimit, number, values))
            for layer in self._layers
            for number, values in layer.values
        ]

    def results(self, refused: Refused) -> list[Result]:
        """What is achieved, layer by layer, when all steps have been taken but those that were `refused`."""
        return [
            missing(layer.name, f"{layer.why} could not be set: {refused[layer.name]}")
            if layer.name in refused
            else layer.achieved
            for layer in self._layers
        ]


class _Layer(NamedTuple):
    """The limits of one layer, and what is said of it when all of them could be set."""

    name: str
    why: str
    values: list[tuple[int, tuple[int, int]]]
    achieved: Result

    @classmethod
    def of(cls, name: str, why: str, limits: Mapping[str, int]) -> _Layer:
        lowered = {limit: _lowered(limit, most) for limit, most in limits.items()}
        lacking = [limit for limit, found in lowered.items() if found is None]
        values = [found for found in lowered.values() if found is not None]
        if not values:
            achieved = missing(name, f"{', '.join(lacking)}: not on this system")
        elif lacking:
            achieved = partially(name, f"{why}, without {', '.join(lacking)}")
        elif name == "threads" and os.getuid() == 0:
            achieved = partially(name, "root's threads are not counted; only their memory is")
        else:
            achieved = complete(name, why)
        return cls(name, why, values, achieved)


def zygote_limits() -> Limits:
    """Those that do not keep a zygote from its work."""
    return Limits([("remains", "nothing that is left behind", SMALL)])


def worker_limits(spec: Spec, before: Baseline) -> Limits:
    """Those that are for a task, which has its own processor time, but the memory of the zygote on top."""
    memory = (("RLIMIT_AS", before.addresses + spec.memory + ADDRESSES), ("RLIMIT_DATA", before.data + spec.memory))
    threads = before.threads + spec.threads
    return Limits(
        [
            ("memory", f"{spec.memory} bytes more than at the start", memory),
            ("processor", f"{spec.cpu} s", [("RLIMIT_CPU", spec.cpu)]),
            ("open files", str(spec.files), [("RLIMIT_NOFILE", spec.files)]),
            ("file size", f"{spec.file_size} bytes", [("RLIMIT_FSIZE", spec.file_size)]),
            ("threads", f"{threads} of the user", [("RLIMIT_NPROC", threads)]),
        ]
    )


def _lowered(name: str, most: int) -> tuple[int, tuple[int, int]] | None:
    """The number of a limit, and its new values; None where there is no such limit.

    The harder one of RLIMIT_CPU kills, a second after the other warns.
    """
    number = getattr(resource, name, None)
    if number is None:
        return None
    soft, hard = resource.getrlimit(number)
    later = most + (1 if name == "RLIMIT_CPU" else 0)
    return number, (_least(most, soft, hard), _least(later, hard))


def _least(*values: int) -> int:
    """The least; what is infinite is no number."""
    return min(value for value in values if value != resource.RLIM_INFINITY)
