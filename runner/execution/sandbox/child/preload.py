"""What the zygote imports beforehand, so that tasks find it there."""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from collections.abc import Callable, Iterable

ALWAYS = (
    *("collections", "collections.abc", "contextlib", "copy", "datetime", "enum", "functools", "io", "itertools"),
    *("json", "math", "operator", "re", "string", "struct", "time", "typing", "_strptime"),
)
"""Imported whatever is allowed: small, and what most code needs, if only inside of other modules.

No more than that: each library that is loaded makes every fork slower, by four microseconds in a measurement, while a
module that is missing here costs the tasks that import it one to four milliseconds. What an allowlist names, or
N8N_RUNNERS_PRELOAD, is imported in any case.

Not `random` and what needs it: it is seeded anew in each process that has it, whether its task asks for it or not.
"""

FOR_LIBRARIES = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "BLIS", "VECLIB")}
"""What tells libraries that compute in threads not to start any when loaded: threads do not survive a fork."""


class LeavesThreads(Exception):
    """A module has started threads that still run, so that this process must not fork any more."""

    def __init__(self, module: str) -> None:
        """Threads of `module`."""
        self.module = module
        super().__init__(module)


def preload(modules: Iterable[str], announce: Callable[[str], None]) -> list[str]:
    """Import modules, and return a line for each that could not be.

    Parameters:
        announce: called with the name of each before it is imported, since some take the whole process with them.

    Raises:
        LeavesThreads: one of them did.
    """
    problems = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are for those who write these modules
        for name in (*ALWAYS, *modules):
            announce(name)
            try:
                importlib.import_module(name)
            except BaseException as error:  # noqa: BLE001 - modules may do anything when imported, `sys.exit()` as well
                problems.append(f"{name} cannot be imported: {_first_line(error)}")
            if _threads() > 1:
                raise LeavesThreads(name)
    return problems


def _first_line(error: BaseException) -> str:
    lines = f"{type(error).__name__}: {error}".splitlines()
    return lines[0][:500]


def _threads() -> int:
    """How many threads this process has; one where nobody can tell."""
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208
    return 1
