"""A zygote that is started, and told what to be, before most of the program is imported, and who lets go of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runner import SandboxFailed, TaskRequest, TaskRunnerConfig
from runner.execution.sandbox.ahead import tell_ahead
from runner.execution.sandbox.executor import SandboxExecutor
from runner.execution.sandbox.folders import PREFIX
from runner.execution.sandbox.spawn import Spawned, spawn
from tests.support import ROOT, children_of, code_settings

pytestmark = pytest.mark.needs("proc")
CONFIG = TaskRunnerConfig(auth_token="x")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, and nobody else makes any."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tmp_path.chmod(0o755)
    return tmp_path


def folders_in(place: Path) -> list[Path]:
    return list(place.glob(f"{PREFIX}*"))


def told(config: TaskRunnerConfig = CONFIG) -> Spawned:
    spawned = spawn()
    tell_ahead(spawned, config, os.environ)
    return spawned


async def test_it_becomes_the_executors_with_its_folder_and_is_told_nothing_twice(place: Path) -> None:
    spawned = told()
    (folder,) = folders_in(place)
    executor = SandboxExecutor(CONFIG, spawned=spawned)
    await executor.start()
    try:
        status = executor.status()
        assert (status.others, status.zygotes_started) == ((spawned.process.pid,), 1)
        assert folders_in(place) == [folder]
        request = TaskRequest("t", code_settings("return [{'json': {'n': 7}}]"), lambda _: None)
        assert json.loads(bytes((await executor.execute(request)).result)) == [{"json": {"n": 7}}]
        spawned.give_up()  # as the command does in the end; the folder is the executor's
        assert folder.exists()
    finally:
        await executor.close()
    assert (folders_in(place), children_of(os.getpid())) == ([], [])


async def test_an_executor_that_never_starts_lets_go_of_it(place: Path) -> None:
    await SandboxExecutor(CONFIG, spawned=told()).close()
    assert (folders_in(place), children_of(os.getpid())) == ([], [])


async def test_an_executor_that_is_started_again_makes_a_folder_of_its_own(place: Path) -> None:
    executor = SandboxExecutor(CONFIG, spawned=told())
    await executor.start()
    await executor.close()
    assert folders_in(place) == []
    await executor.start()
    assert len(folders_in(place)) == 1
    await executor.close()
    assert (folders_in(place), children_of(os.getpid())) == ([], [])


def test_giving_it_up_removes_its_folder(place: Path) -> None:
    spawned = told()
    assert len(folders_in(place)) == 1
    spawned.give_up()
    spawned.give_up()
    assert (folders_in(place), children_of(os.getpid())) == ([], [])


async def test_without_a_folder_it_is_told_nothing_and_the_start_says_why(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "missing"))
    spawned = told()
    assert spawned.told is None
    executor = SandboxExecutor(CONFIG, spawned=spawned)
    with pytest.raises(SandboxFailed, match="no temporary folders"):
        await executor.start()
    await executor.close()
    assert children_of(os.getpid()) == []


async def test_one_that_has_died_meanwhile_cannot_be_started(place: Path) -> None:
    spawned = told()
    spawned.process.kill()
    spawned.process.wait()
    executor = SandboxExecutor(CONFIG, spawned=spawned)
    with pytest.raises(SandboxFailed, match="cannot be started"):
        await executor.start()
    await executor.close()
    assert folders_in(place) == []


SCRIPT = """
import sys
from runner.cli import main
from runner.execution.sandbox import spawn

class Told(Exception):
    pass

def audit(event, arguments):
    if event == "subprocess.Popen":
        print("zygote before", "aiohttp" not in sys.modules)
    if event == "import" and arguments[0] == "aiohttp":
        print("aiohttp after the order", spawned[0].told is not None)
        raise Told

spawned = []
start = spawn.spawn
spawn.spawn = lambda: spawned.append(start()) or spawned[0]
sys.addaudithook(audit)
try:
    main(sys.argv[1:])
except Told:
    pass
"""


def outcome_of(place: Path, *command: str) -> list[str]:
    """What is heard while the command line is run, until aiohttp would be imported."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(place), "N8N_RUNNERS_AUTH_TOKEN": "x"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    return [line for line in done.stdout.splitlines() if line.startswith(("zygote", "aiohttp"))]


def test_the_command_starts_it_and_tells_it_before_it_imports_the_rest(place: Path) -> None:
    assert outcome_of(place, "start") == ["zygote before True", "aiohttp after the order True"]
    assert folders_in(place) == []


@pytest.mark.parametrize("command", [("start", "--help"), ("doctor", "--help"), ("diagram",)])
def test_no_command_that_runs_no_tasks_starts_one(place: Path, command: tuple[str, ...]) -> None:
    assert outcome_of(place, *command) == []
