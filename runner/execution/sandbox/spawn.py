"""The zygote's process, started as early as possible: while it imports what it needs, so does the runner."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a zygote is started before these are needed
    from runner.execution.sandbox.folders import Folder
    from runner.execution.sandbox.order import Order

SCRIPT = Path(__file__).with_name("child") / "zygote.py"

PASSED_ON = ("LD_LIBRARY_PATH",)
"""Without these variables, some interpreters do not start."""


LINKED_AT_ONCE = {"LD_BIND_NOW": "1"}
"""Functions of libraries are looked up when these are loaded, or else each worker would look them up for itself."""


class Spawned:
    """A zygote that waits for its order, or was told it."""

    def __init__(self, process: subprocess.Popen[bytes], line: socket.socket) -> None:
        """A started process, and the runner's end of its control line."""
        self.process = process
        self.line = line
        self.told: Order | None = None
        """The order, if it was told (see `ahead`)."""
        self.folder: Folder | None = None
        """The folder that is named there, until somebody takes it over."""

    def give_up(self) -> None:
        """End it, and return when it is gone. Harmless when that has happened before."""
        self.line.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        folder, self.folder = self.folder, None
        if folder is not None:
            folder.remove()


def spawn(python: str | None = None, environment: Mapping[str, str] = os.environ) -> Spawned:
    """Start a zygote; it has nothing of the runner's but one end of a socket and of a pipe.

    Parameters:
        python: the interpreter; unless given, the one that runs this.
        environment: where what it needs to start is looked up.

    Raises:
        OSError: there are no descriptors or processes left, or there is no such interpreter.
    """
    line, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [python or sys.executable or "python3", "-I", "-u", "-X", "utf8", str(SCRIPT), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs.fileno(),),
            env={**LINKED_AT_ONCE, **{name: environment[name] for name in PASSED_ON if name in environment}},
            cwd="/",
            start_new_session=True,
        )
    except BaseException:
        line.close()
        raise
    finally:
        theirs.close()
    return Spawned(process, line)
