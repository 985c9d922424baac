"""What is built is what people install: wheel and sdist, in fresh environments of every Python (make test-wheel).

Not among the usual tests: the dependencies are fetched, which takes a while.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.pythons import SUPPORTED, interpreters
from tests.support import ROOT

pytestmark = pytest.mark.timeout(600)

EXAMPLE = ROOT / "docs" / "examples" / "invoices.py"
ITEMS = ROOT / "docs" / "examples" / "invoices.json"


def run(*command: str | Path, cwd: Path = Path("/"), env: dict[str, str] | None = None) -> str:
    """Run something in an environment without anything of this project's; it has to end well."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "N8N_", "VIRTUAL_"))}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**clean, **(env or {})}, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


PYTHONS = dict(interpreters())


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that was made of it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    return folder


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (file,) = built.glob("*.whl")
    return file


def test_every_supported_python_is_here() -> None:
    missing = [version for version in SUPPORTED if version not in PYTHONS]
    if missing:
        pytest.skip(f"this machine has no Python {', '.join(missing)}")


def test_the_wheel_holds_the_two_packages_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = run("git", "ls-files", "runner", "statemachine", cwd=ROOT).split()
    assert inside == set(tracked)
    assert {"runner/py.typed", "statemachine/py.typed"} <= inside


def test_the_sdist_holds_what_the_project_is_built_and_tested_with(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ("README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml", "requirements/dev.txt")
    assert {*wanted, "tests/support.py", "docs/generate.py", "runner/__init__.py"} <= inside
    assert {name for name in inside if name.startswith((".venv", ".git/", "dist/"))} == set()


@pytest.mark.parametrize("version", PYTHONS)
def test_it_is_installed_and_works_on_every_python(wheel: Path, tmp_path: Path, version: str) -> None:
    run(PYTHONS[version], "-m", "venv", tmp_path / "env")
    python, command = tmp_path / "env" / "bin" / "python", tmp_path / "env" / "bin" / "n8n-runner"
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    run(python, "-m", "pip", "check")
    ways: tuple[list[str | Path], ...] = (
        [command],
        [python, "-m", "runner"],
        [python, "-I", "-m", "runner"],
        [python, "-P", "-m", "runner"],
    )
    for way in ways:
        assert run(*way, "--version").startswith(f"n8n-runner 0.1.0, cpython {version}.")
    assert '"customer": "Ada"' in run(command, "run", EXAMPLE, "--items", ITEMS)
    assert run(command, "check", EXAMPLE) == "Nothing against 1 file.\n"
    assert "0.1.0" in run(python, "-I", "-c", "import runner, statemachine; print(runner.__version__)")
    made = run(command, "install", "--folder", tmp_path / "folder")
    assert str(python) in made


def test_pipx_installs_it(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "tools", with_pip=True)
    python = tmp_path / "tools" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "pipx")
    places = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    run(python, "-m", "pipx", "install", wheel, env={**places, "USE_EMOJI": "0"})
    assert run(tmp_path / "bin" / "n8n-runner", "--version").startswith("n8n-runner 0.1.0")
    assert '"customer": "Ada"' in run(tmp_path / "bin" / "n8n-runner", "run", EXAMPLE, "--items", ITEMS)


def test_uvx_runs_it_without_installing_anything(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "tools", with_pip=True)
    run(tmp_path / "tools" / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv")
    uvx: list[str | Path] = [
        tmp_path / "tools" / "bin" / "uvx",
        "--python",
        sys.executable,
        "--from",
        wheel,
        "n8n-runner",
    ]
    assert run(*uvx, "--version").startswith("n8n-runner 0.1.0")
    assert '"customer": "Ada"' in run(*uvx, "run", EXAMPLE, "--items", ITEMS)
