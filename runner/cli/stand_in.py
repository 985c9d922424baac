"""The command line of an interpreter that stands in for that of n8n's own Python runner (see `runner.installation`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from runner.cli import main as run_command

MODULES = ("src.main", "n8n_task_runner.main")
"""What n8n and its launcher start n8n's own runner by."""


def main(arguments: Sequence[str]) -> int:
    """Start this runner if n8n's own is meant, or else be the interpreter that this one is."""
    is_meant = len(arguments) >= 2 and arguments[-2] == "-m" and arguments[-1] in MODULES
    return run_command(["start"]) if is_meant else _be_the_interpreter(arguments)


def _be_the_interpreter(arguments: Sequence[str]) -> NoReturn:
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - with the arguments as they are, by no shell
