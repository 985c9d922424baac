"""What is in the packages that `make dist` builds: both import packages with their types, and nothing of the tests."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import runner
from tests.support import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    return folder


def test_the_wheel_has_both_packages_with_their_types_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {
        "runner",
        "statemachine",
        f"n8n_runner-{runner.__version__}.dist-info",
    }
    assert {"runner/py.typed", "statemachine/py.typed", "statemachine/testing/__init__.py"} <= names
    here = {
        file.relative_to(ROOT).as_posix()
        for package in ("runner", "statemachine")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert here <= names


def test_the_wheel_says_its_version_what_it_needs_and_its_extras(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    (path,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = email.message_from_bytes(archive.read(path))
    assert metadata["Version"] == runner.__version__
    assert {"testing", "dask", "sentry", "otel"} <= set(metadata.get_all("Provides-Extra", []))
    needed = [requirement for requirement in metadata.get_all("Requires-Dist", []) if "extra ==" not in requirement]
    assert any(requirement.startswith("aiohttp") for requirement in needed)
    assert not any(requirement.startswith("hypothesis") for requirement in needed)


def test_the_source_distribution_has_what_a_packager_needs(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile"} <= names
    assert {"tests/conftest.py", "docs/embedding.md", "docs/examples/library/thumbnails.py"} <= names
