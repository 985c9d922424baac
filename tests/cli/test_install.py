"""`n8n-runner install` and its relatives, on made-up trees; what they make is started as n8n and its launcher do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.broker import EmbeddedBroker
from runner.cli.launcher_config import NOT_PASSED_ON
from runner.config import variables
from runner.installation.n8n import STARTER, Keeping, NotRecognised, found, recognised
from runner.installation.stand_in import InTheWay, StandIn, State, is_passing, problem_with
from tests.cli.test_start_under_others import LAUNCHER, N8N
from tests.support import eventually, result_of, run_code, run_command

STARTS = (
    "const dir = join(__dirname, '../../../@n8n/task-runner-python'); join(dir, '.venv'); spawn(['-m', 'src.main'])"
)


def make_n8n(folder: Path, starter: str = STARTS) -> Path:
    (folder / STARTER).parent.mkdir(parents=True)
    (folder / STARTER).write_text(starter)
    (folder / "package.json").write_text('{"name": "n8n", "version": "2.41.1"}')
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has n8n."""
    make_n8n(tmp_path / "project" / "node_modules" / "n8n")
    (tmp_path / "project" / "package.json").write_text("{}")
    return tmp_path / "project"


@pytest.fixture
def runner_folder(project: Path) -> Path:
    return project / "node_modules" / "@n8n" / "task-runner-python"


# n8n


@pytest.mark.parametrize("below", ["", "node_modules", "node_modules/n8n"])
def test_n8n_is_recognised_by_its_folder_and_by_those_around_it(project: Path, below: str) -> None:
    n8n = recognised(project / below)
    assert (n8n.folder, n8n.version) == (project / "node_modules" / "n8n", "2.41.1")
    assert n8n.runner_folder == project / "node_modules" / "@n8n" / "task-runner-python"
    assert n8n.keeping is Keeping.PROJECT


def test_n8n_is_recognised_by_npms_prefix_and_by_a_link_of_pnpms(tmp_path: Path) -> None:
    make_n8n(tmp_path / "usr" / "lib" / "node_modules" / "n8n")
    assert recognised(tmp_path / "usr").keeping is Keeping.GLOBAL
    real = make_n8n(tmp_path / "p" / "node_modules" / ".pnpm" / "n8n@2.41.1" / "node_modules" / "n8n")
    (tmp_path / "p" / "node_modules" / "n8n").symlink_to(real)
    n8n = recognised(tmp_path / "p")
    assert (n8n.folder, n8n.keeping) == (real, Keeping.PNPM)


def test_what_is_no_n8n_or_one_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRecognised, match="There is no n8n in"):
        recognised(tmp_path)
    make_n8n(tmp_path / "n8n", starter="spawn('something', ['else'])")
    with pytest.raises(
        NotRecognised, match=r"no @n8n/task-runner-python and no \.venv and no src\.main.*external mode"
    ):
        recognised(tmp_path / "n8n")
    (tmp_path / "n8n" / "package.json").write_text('{"name": "not-n8n"}')
    with pytest.raises(NotRecognised, match="There is no n8n in"):
        recognised(tmp_path / "n8n")


def test_n8n_is_found_by_its_command_and_by_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(NotRecognised, match="--n8n DIR"):
        found()
    by_npm = make_n8n(tmp_path / "modules" / "n8n")
    npm = programs / "npm"
    npm.write_text(f'#!/bin/sh\n[ "$*" = "root -g" ] && echo {tmp_path / "modules"}\n')
    npm.chmod(0o755)
    assert found().folder == by_npm
    by_command = make_n8n(tmp_path / "other" / "n8n")
    (by_command / "bin").mkdir()
    (by_command / "bin" / "n8n").write_text("#!/bin/sh\n")
    (by_command / "bin" / "n8n").chmod(0o755)
    (programs / "n8n").symlink_to(by_command / "bin" / "n8n")
    assert found().folder == by_command


# install and uninstall


def test_install_makes_the_folder_and_uninstall_takes_it_back(project: Path, runner_folder: Path) -> None:
    before = sorted(project.rglob("*"))
    done = run_command("install", "--n8n", str(project))
    assert done.returncode == 0, done.stderr
    assert "Restart n8n 2.41.1" in done.stdout
    assert "postinstall" in done.stdout
    assert os.access(runner_folder / ".venv" / "bin" / "python", os.X_OK)
    assert run_command("install", "--n8n", str(project)).returncode == 0, "it may be called again"
    done = run_command("uninstall", "--n8n", str(project))
    assert (done.returncode, done.stdout) == (0, f"Removed {runner_folder}.\n")
    assert sorted(project.rglob("*")) == before
    assert "Nothing to remove" in run_command("uninstall", "--n8n", str(project)).stdout


def test_a_dry_run_shows_all_and_does_nothing(project: Path, runner_folder: Path) -> None:
    done = run_command("install", "--n8n", str(project), "--dry-run")
    assert done.returncode == 0
    assert f"would write {runner_folder / '.venv' / 'bin' / 'python'}" in done.stdout
    assert not runner_folder.exists()
    run_command("install", "--n8n", str(project))
    assert run_command("uninstall", "--n8n", str(project), "--dry-run").stdout == f"would remove {runner_folder}\n"
    assert runner_folder.exists()


def test_a_runner_of_somebody_elses_is_left_alone(project: Path, runner_folder: Path) -> None:
    (runner_folder / "src").mkdir(parents=True)
    (runner_folder / "src" / "main.py").write_text("theirs")
    for command in ("install", "uninstall"):
        done = run_command(command, "--n8n", str(project))
        assert (done.returncode, done.stdout) == (2, "")
        assert "was not made by n8n-runner" in done.stderr
    assert [path.name for path in runner_folder.rglob("*")] == ["src", "main.py"]


def test_what_others_have_put_into_the_folder_stays(project: Path, runner_folder: Path) -> None:
    run_command("install", "--n8n", str(project))
    (runner_folder / "notes.txt").write_text("mine")
    done = run_command("uninstall", "--n8n", str(project))
    assert f"left, since it is not ours: {runner_folder / 'notes.txt'}" in done.stdout
    assert [path.name for path in runner_folder.rglob("*")] == ["notes.txt"]


@pytest.mark.parametrize("marker", ["", "not JSON", "[]", '{"other": 1}'])
def test_a_folder_is_ours_only_if_it_says_so(tmp_path: Path, marker: str) -> None:
    stand_in = StandIn(tmp_path / "folder")
    states = [stand_in.state]
    stand_in.folder.mkdir()
    states.append(stand_in.state)
    stand_in.make(sys.executable)
    states.append(stand_in.state)
    (stand_in.folder / "n8n-runner.json").write_text(marker)
    assert [*states, stand_in.state] == [State.ABSENT, State.ABSENT, State.OURS, State.FOREIGN]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InTheWay, match=r"file/folder.* cannot be changed: Not a directory.*sudo"):
        StandIn(tmp_path / "file" / "folder").make(sys.executable)


def test_an_interpreter_without_n8n_runner_is_of_no_use(tmp_path: Path) -> None:
    assert problem_with(sys.executable) is None
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    assert "install it there with pip" in str(problem_with(str(tmp_path / "bare" / "bin" / "python")))
    assert "cannot be started" in str(problem_with(str(tmp_path / "nothing")))


def test_an_interpreter_of_uvx_is_known_to_vanish() -> None:
    assert is_passing("/home/u/.cache/uv/archive-v0/x/bin/python")


# What is made, started as others start it


def interpreter_at(place: Path) -> Path:
    """The interpreter of these tests under a path of one's choice."""
    place.symlink_to(sys.prefix)
    return place / "bin" / "python"


@pytest.mark.parametrize("name", ["plain", "with spaces, $HOME and `quotes`", "long" * 50])
def test_it_is_the_interpreter_whatever_its_path_looks_like(tmp_path: Path, name: str) -> None:
    stand_in = StandIn(tmp_path / "folder")
    stand_in.make(str(interpreter_at(tmp_path / name)))
    script = "import runner, sys; print(sys.argv, runner.__version__)"
    done = subprocess.run(
        [stand_in.folder / ".venv" / "bin" / "python", "-I", "-c", script, "a b", "$c"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert (done.stdout, done.stderr) == ("['-c', 'a b', '$c'] 0.1.0\n", "")


COMMAND_LINES = {
    "n8n": ["-m", "src.main"],
    "image": ["-I", "-B", "-X", "disable_remote_debug", "-m", "src.main"],
    "newer image": ["-I", "-B", "-X", "disable_remote_debug", "-m", "n8n_task_runner.main"],
}


@pytest.mark.parametrize("arguments", COMMAND_LINES.values(), ids=COMMAND_LINES)
@pytest.mark.parametrize("parent", [N8N, LAUNCHER], ids=["by n8n", "by its launcher"])
async def test_a_runner_starts_by_the_command_lines_of_others(
    broker: EmbeddedBroker, tmp_path: Path, arguments: list[str], parent: dict[str, str]
) -> None:
    folder = tmp_path / "task-runner-python"
    assert run_command("install", "--folder", str(folder)).returncode == 0
    ours = {
        "PATH": os.environ["PATH"],
        "N8N_RUNNERS_GRANT_TOKEN": broker.grant_token(),
        "N8N_RUNNERS_TASK_BROKER_URI": broker.uri,
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": "0",
    }
    process = subprocess.Popen(
        [folder / ".venv" / "bin" / "python", *arguments], cwd=folder, env={**parent, **ours}, stdout=subprocess.PIPE
    )
    try:
        assert result_of(await run_code(broker, "return {'n': 1}")) == [{"json": {"n": 1}}]
    finally:
        process.terminate()
    await eventually(lambda: process.poll() is not None)
    process.communicate()
    assert process.returncode == 0


# launcher-config


async def test_the_entry_for_the_launcher_starts_a_runner(broker: EmbeddedBroker) -> None:
    done = run_command("launcher-config")
    (entry,) = json.loads(done.stdout)["task-runners"]
    assert entry["runner-type"] == "python"
    forced = {
        **LAUNCHER,
        "N8N_RUNNERS_GRANT_TOKEN": broker.grant_token(),
        "N8N_RUNNERS_TASK_BROKER_URI": broker.uri,
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": "0",
        "PATH": os.environ["PATH"],
    }
    process = subprocess.Popen(
        [entry["command"], *entry["args"]], cwd=entry["workdir"], env=forced, stdout=subprocess.PIPE
    )
    try:
        assert result_of(await run_code(broker, "return {'n': 1}")) == [{"json": {"n": 1}}]
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


def test_the_launcher_passes_on_every_variable_but_those_it_sees_to_itself() -> None:
    (entry,) = json.loads(run_command("launcher-config").stdout)["task-runners"]
    names = {variable.name for _, variable in variables()}
    kept = {name for name in names if "HEALTH_CHECK_SERVER" in name} | {*NOT_PASSED_ON}
    assert set(entry["allowed-env"]) == (names - kept) | {"HOME"}
    assert set(NOT_PASSED_ON) <= names


def test_the_other_entries_of_the_launchers_file_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "n8n-task-runners.json"
    javascript = {"runner-type": "javascript", "command": "node"}
    file.write_text(json.dumps({"more": 1, "task-runners": [{"runner-type": "python", "command": "old"}, javascript]}))
    merged = json.loads(run_command("launcher-config", "--merge", str(file)).stdout)
    assert (merged["more"], merged["task-runners"][0]) == (1, javascript)
    assert [each["runner-type"] for each in merged["task-runners"]] == ["javascript", "python"]
    assert merged["task-runners"][1]["command"] == sys.executable


@pytest.mark.parametrize("text", ["{", "[]", '{"task-runners": {}}'])
def test_what_is_no_file_of_the_launchers_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file.json"
    file.write_text(text)
    done = run_command("launcher-config", "--merge", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file) in done.stderr


def test_what_a_link_in_the_folder_leads_to_is_not_written_to(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path / "folder")
    stand_in.make(sys.executable)
    python = tmp_path / "python-of-the-machine"
    python.write_text("real")
    python.chmod(0o700)
    place = tmp_path / "folder" / ".venv" / "bin" / "python"
    place.unlink()
    place.symlink_to(python)
    stand_in.make(sys.executable)
    assert (python.read_text(), python.stat().st_mode & 0o777) == ("real", 0o700)
    assert not place.is_symlink()
    assert place.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in place.parent.iterdir()] == ["python"]
