"""An n8n that npm has installed: where it is, whether it is one that we know, and where it looks for a Python runner.

All of it is read from n8n's own files; nothing of n8n is run. It starts Python runners, in internal mode, with
`../@n8n/task-runner-python/.venv/bin/python` beside its own folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

STARTER = Path("dist", "task-runners", "task-runner-process-py.js")
"""The file of n8n that starts a Python runner."""

MARKS = ("@n8n/task-runner-python", ".venv", "src.main")
"""What stands in it as long as it does so in the way that we know."""

NPM_PATIENCE = 20
"""How long npm may take to say where it keeps things, in seconds."""


class NotRecognised(Exception):
    """There is no n8n, or it is not one that we know; the text says what to do."""


class Keeping(Enum):
    """What becomes of a folder beside n8n's when n8n is upgraded."""

    GLOBAL = "It stays when n8n is upgraded with `npm install -g`."
    PROJECT = (
        "npm removes it whenever it installs something in this project: run `n8n-runner install` again after that, or "
        'have npm do it, with "postinstall": "n8n-runner install --n8n ." among the scripts of package.json.'
    )
    PNPM = "pnpm gives each version of n8n a folder of its own: run `n8n-runner install` again after an upgrade."


class N8n(NamedTuple):
    """An installed n8n."""

    folder: Path
    version: str

    @property
    def runner_folder(self) -> Path:
        """Where it looks for its Python runner."""
        return self.folder.parent / "@n8n" / "task-runner-python"

    @property
    def keeping(self) -> Keeping:
        """What becomes of that folder when it is upgraded."""
        if ".pnpm" in self.folder.parts:
            return Keeping.PNPM
        is_project = (self.folder.parent.parent / "package.json").exists()
        return Keeping.PROJECT if is_project else Keeping.GLOBAL


def recognised(place: Path) -> N8n:
    """The n8n in a folder: its own, that of a project, of npm's modules, or a prefix of npm's.

    Raises:
        NotRecognised: there is none, or it does not start Python runners in the way that we know.
    """
    for below in ("", "node_modules/n8n", "n8n", "lib/node_modules/n8n"):
        folder = place / below
        version = _version_in(folder)
        if version is None:
            continue
        n8n = N8n(folder.resolve(), version)
        _look_at(n8n)
        return n8n
    raise NotRecognised(f"There is no n8n in {place}: name the folder of the package n8n, or of a project that has it")


def _version_in(folder: Path) -> str | None:
    """The version of the n8n in just this folder, if one is."""
    try:
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(package, dict) or package.get("name") != "n8n":
        return None
    return str(package.get("version", "of an unknown version"))


def _look_at(n8n: N8n) -> None:
    try:
        text = (n8n.folder / STARTER).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        text = ""
    lacking = [mark for mark in MARKS if mark not in text]
    if lacking:
        raise NotRecognised(
            f"n8n {n8n.version} in {n8n.folder} does not start Python runners in the way that is known here "
            f"({STARTER} has no {' and no '.join(lacking)}). "
            "Use external mode: N8N_RUNNERS_MODE=external on n8n, and `n8n-runner start` beside it"
        )


def found() -> N8n:
    """The n8n of this machine.

    Raises:
        NotRecognised: there is none to be found, or not one that we know.
    """
    for place in dict.fromkeys(_places()):
        if _version_in(place) is not None:
            return recognised(place)
    raise NotRecognised(
        "No n8n is found, neither by `npm root -g` nor as a command on the PATH: name its folder with --n8n DIR"
    )


def _places() -> Iterator[Path]:
    """Where an n8n may be: what its command belongs to, and then what npm has for everybody."""
    command = shutil.which("n8n")
    if command is not None:
        yield from Path(os.path.realpath(command)).parents
    yield from (root / "n8n" for root in _npm_roots())


def _npm_roots() -> Iterable[Path]:
    npm = shutil.which("npm")
    if npm is None:
        return []
    try:
        done = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, timeout=NPM_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [Path(line) for line in done.stdout.splitlines()[:1] if done.returncode == 0]
