"""What stands in for n8n's own Python runner: a folder like that one's, in which the interpreter is a script of ours.

n8n and its launcher start `.venv/bin/python -m src.main` in that folder, with options before it. The script runs this
runner instead, in the very interpreter that n8n-runner is installed in; nothing else is needed of the folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from runner import __version__

PYTHON = Path(".venv", "bin", "python")
MARKER = Path("n8n-runner.json")
"""What says that a folder is ours."""

SHEBANG_LIMIT = 120
"""How long the path of an interpreter may be in the first line of a script, in bytes: the shortest limit there is."""

SCRIPT = '''\
{first}
"""Stands where n8n looks for the Python of its own runner. Made by `n8n-runner install`, removed by `uninstall`."""
import sys

from runner.cli.stand_in import main

sys.exit(main(sys.argv[1:]))
'''


class InTheWay(Exception):
    """Something is there that is not ours, or that cannot be changed; the text says what to do."""


class State(Enum):
    """Whose a folder is."""

    ABSENT = "there is none"
    OURS = "made by n8n-runner"
    FOREIGN = "made by somebody else"


class StandIn(NamedTuple):
    """The stand-in in a folder, whether it is there or not."""

    folder: Path

    @property
    def state(self) -> State:
        """Whose the folder is. An empty one is nobody's."""
        try:
            if not any(self.folder.iterdir()):
                return State.ABSENT
            marker = json.loads((self.folder / MARKER).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return State.FOREIGN if self.folder.exists() or self.folder.is_symlink() else State.ABSENT
        return State.OURS if isinstance(marker, dict) and "n8n-runner" in marker else State.FOREIGN

    def files(self, python: str) -> dict[Path, str]:
        """What it is made of, for an interpreter that has n8n-runner: each file with its text."""
        marker = json.dumps({"n8n-runner": __version__, "python": python}, indent=2) + "\n"
        return {self.folder / MARKER: marker, self.folder / PYTHON: SCRIPT.format(first=_first_lines(python))}

    def make(self, python: str) -> None:
        """Make it, or make it anew.

        Raises:
            InTheWay: there is something else, or the folder cannot be written.
        """
        self.refuse_foreign()
        try:
            for path, text in self.files(python).items():
                path.parent.mkdir(parents=True, exist_ok=True)
                _put(path, text)
        except OSError as error:
            raise _cannot_change(self.folder, error) from error

    def remove(self) -> list[Path]:
        """Remove it, and return what else was in its folder, which stays.

        Raises:
            InTheWay: there is something else, or the folder cannot be changed.
        """
        self.refuse_foreign()
        ours = [self.folder / PYTHON, self.folder / MARKER]
        folders = [self.folder / PYTHON.parent, self.folder / PYTHON.parent.parent, self.folder]
        if self.folder.parent.name.startswith("@"):  # a scope of npm's, which is there for what is in it
            folders.append(self.folder.parent)
        try:
            for path in ours:
                path.unlink(missing_ok=True)
            for folder in folders:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        except OSError as error:
            raise _cannot_change(self.folder, error) from error
        return sorted(self.folder.rglob("*")) if self.folder.exists() else []

    def refuse_foreign(self) -> None:
        """Raise InTheWay if the folder is somebody else's."""
        if self.state is State.FOREIGN:
            raise InTheWay(
                f"{self.folder} is there, and was not made by n8n-runner: this n8n has a Python runner. "
                "It is left alone. Move it away first, or use external mode"
            )


def _put(path: Path, text: str) -> None:
    """Put a script in a place, all at once, and in place of what is there.

    That may be a link, as `.venv/bin/python` is one to the machine's own Python where somebody has made a real
    environment there: what it leads to is not to be written to.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o755 if path.name == PYTHON.name else 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def _first_lines(python: str) -> str:
    """What makes a script start with an interpreter, whatever its path looks like."""
    if len(python.encode()) <= SHEBANG_LIMIT and not any(character.isspace() for character in python):
        return f"#!{python} -I"
    quoted = python.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f"#!/bin/sh\n'''exec' \"{quoted}\" -I \"$0\" \"$@\"\n' '''"


def _cannot_change(folder: Path, error: OSError) -> InTheWay:
    return InTheWay(
        f"{error.filename or folder} cannot be changed: {error.strerror}. "
        "Do it as the user whom that folder belongs to, with sudo for instance"
    )


def problem_with(python: str) -> str | None:
    """Why n8n could not start this runner with an interpreter; None if it could."""
    if not python:
        return "Python does not say where its own interpreter is (sys.executable is empty)"
    try:
        done = subprocess.run(
            [python, "-I", "-c", "import runner.cli"], capture_output=True, text=True, cwd="/", timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} cannot be started: {error}"
    if done.returncode:
        return f"{python} does not find n8n-runner when n8n starts it: install it there with pip"
    return None


def is_passing(python: str) -> bool:
    """Whether an interpreter lies where things are removed without a word, as that of `uvx` does."""
    return bool({"cache", ".cache", "Caches", "tmp"} & {*Path(python).parts, *Path(sys.prefix).parts})
