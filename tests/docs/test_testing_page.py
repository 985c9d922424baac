"""The page about the test kit: its blocks are files of tests, and they pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import statemachine.testing
from tests.docs.documents import blocks, title
from tests.support import ROOT

PAGE = "docs/testing.md"


def run_tests(file: Path) -> subprocess.CompletedProcess[str]:
    """Run a file of tests as a stranger does, who has not seen our configuration."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            "/dev/null",
            "--rootdir",
            file.parent,
            file,
        ],
        cwd=file.parent,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("block", blocks(PAGE), ids=title)
def test_the_tests_of_the_page_pass(block: str, tmp_path: Path) -> None:
    file = tmp_path / "test_page.py"
    file.write_text(block)
    done = run_tests(file)
    assert done.returncode == 0, done.stdout
    expected = block.count("\ndef test_") + block.count(".TestCase")
    assert expected > 0
    assert done.stdout.splitlines()[-1].startswith(f"{expected} passed")


def test_a_test_that_fails_is_seen_to_fail(tmp_path: Path) -> None:
    story = blocks(PAGE)[0]
    file = tmp_path / "test_page.py"
    file.write_text(story.replace("pass_time(4.9)", "pass_time(5.1)"))
    assert run_tests(file).returncode == 1


def test_the_page_names_the_parts_of_the_kit() -> None:
    text = (ROOT / PAGE).read_text()
    told = {"Performer", "Rule", "FakeDriver", "FakePerformer", "VirtualClock", "CONNECTION_RULES", "any_sequences"}
    assert told <= set(statemachine.testing.__all__)
    assert {name for name in told if name not in text} == set()
