"""The types of the public API hold for those who write code against it, under mypy and under pyright, both strict.

What is in `accepted/` has to pass. In `refused/`, each line that says `# error: a, b` has to be reported by mypy as `a`
and by pyright as `b`, and no other line by either. Pyright's part is done by basedpyright, which is the same checker as
far as its mode `strict` goes, and comes with all that it needs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT

HERE = Path(__file__).parent
ACCEPTED = sorted((HERE / "accepted").glob("[!_]*.py"))
REFUSED = sorted((HERE / "refused").glob("*.py"))
Reports = dict[tuple[str, int], set[str]]
"""The codes that were reported, by file and line."""
Checker = Callable[[list[Path]], Reports]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "MYPYPATH": str(ROOT)},
        check=False,
    )


def mypy(files: list[Path]) -> Reports:
    """Check files as this project checks itself."""
    options = ("--no-error-summary", "--show-error-codes", "--no-pretty", "--show-absolute-path")
    done = run(sys.executable, "-m", "mypy", *options, *files)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    reports: Reports = defaultdict(set)
    for path, line, code in re.findall(r"^(.+?):(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE):
        reports[Path(path).name, int(line)].add(code)
    assert bool(reports) == bool(done.returncode), done.stdout
    return reports


def pyright(files: list[Path]) -> Reports:
    """Check files in pyright's strict mode."""
    checker = Path(sys.executable).with_name("basedpyright")
    done = run(checker, "-p", HERE / "pyrightconfig.json", "--pythonpath", sys.executable, "--outputjson")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["summary"]["filesAnalyzed"] >= len(ACCEPTED) + len(REFUSED)
    reports: Reports = defaultdict(set)
    for each in answer["generalDiagnostics"]:
        file = Path(each["file"])
        if file in files:
            reports[file.name, each["range"]["start"]["line"] + 1].add(each.get("rule", ""))
    return reports


CHECKERS = pytest.mark.parametrize("check", [mypy, pyright])


@CHECKERS
def test_what_people_write_is_accepted(check: Checker) -> None:
    assert len(ACCEPTED) >= 3
    assert check(ACCEPTED) == {}


@pytest.mark.parametrize(("check", "place"), [(mypy, 0), (pyright, 1)])
def test_what_is_wrong_is_refused_in_each_line_and_in_no_other(check: Checker, place: int) -> None:
    expected = {
        (file.name, number): match[1].split(", ")[place]
        for file in REFUSED
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if (match := re.search(r"# error: ([\w-]+, \w+)", line))
    }
    assert len(expected) > 30
    reports = check(REFUSED)
    assert set(reports) == set(expected)
    assert {where: code for where, code in expected.items() if code not in reports[where]} == {}


@pytest.mark.parametrize("package", ["runner", "statemachine"])
def test_the_packages_say_that_they_have_types(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
