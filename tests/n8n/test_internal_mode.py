"""A real n8n from npm in internal mode, which starts the runner itself once `n8n-runner install` has been called."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.n8n.flows import DOUBLE
from tests.n8n.server import RealN8n
from tests.n8n.workflows import Code, Flow
from tests.support import ROOT, eventually, is_running

pytestmark = [pytest.mark.timeout(300), pytest.mark.needs("proc")]

ORIGINAL = Path(os.environ.get("N8N_HOME", str(Path.home() / ".cache" / "n8n-real")))


def copy_of_n8n(place: Path) -> Path:
    """An n8n of our own that costs next to nothing: its package in hard links, and links to what it needs."""
    modules = place / "server" / "node_modules"
    (modules / "@n8n").mkdir(parents=True)
    (place / "node").symlink_to(ORIGINAL / "node")
    original = ORIGINAL / "server" / "node_modules"
    for entry in [*original.iterdir(), *(original / "@n8n").iterdir()]:
        if entry.name not in {"n8n", "@n8n", "task-runner-python"}:
            (modules / entry.relative_to(original)).symlink_to(entry)
    shutil.copytree(original / "n8n", modules / "n8n", symlinks=True, copy_function=os.link)
    return modules / "n8n"


def command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def runners_of(n8n: Path) -> list[int]:
    """The processes that run in the stand-in's folder."""
    folder = str(n8n.parent / "@n8n" / "task-runner-python")
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "cwd").readlink()) == folder and is_running(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    if not os.environ.get("N8N_SCRIPTS"):
        pytest.skip("N8N_SCRIPTS does not say where the scripts of a real n8n are")
    folder = ORIGINAL.parent / f"n8n-internal-{os.getpid()}"  # on the same file system, for the hard links
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


async def test_n8n_starts_the_runner_itself_and_again_when_it_dies(place: Path, tmp_path: Path) -> None:
    n8n = copy_of_n8n(place)
    print("\n" + command("install", "--n8n", str(place / "server")))
    overrides = {"N8N_HOME": str(place), "N8N_RUNNERS_MODE": "internal", "N8N_RUNNERS_AUTH_TOKEN": ""}
    flows = [Flow("double", (Code(DOUBLE),))]
    server = RealN8n(Path(os.environ["N8N_SCRIPTS"]), tmp_path / "n8n", flows, overrides)
    try:
        await server.start()
        assert await server.double(21) == 42
        assert 'Registered runner "n8n-runner"' in server.log()
        (runner,) = runners_of(n8n)
        os.kill(runner, signal.SIGKILL)
        await eventually(lambda: [pid for pid in runners_of(n8n) if pid != runner], within=30)
        assert await server.double(4) == 8
        await server.stop()
        assert runners_of(n8n) == []
    finally:
        server.destroy()
    print(command("uninstall", "--n8n", str(place / "server")))
    assert not (n8n.parent / "@n8n" / "task-runner-python").exists()
