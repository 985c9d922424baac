"""The page about editors (`editors.md`): the checker says of its code what it says, and the runner runs it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_stubs import checked
from tests.docs.blocks import blocks_of
from tests.support import run_command

LINE, USE, RESULT = (block.code for block in blocks_of("docs/editors.md") if "run by" in block.marks)
WRONG = "orders[0].jsn"


def test_what_is_wrong_is_marked_where_the_page_says_so(tmp_path: Path) -> None:
    assert run_command("stubs", str(tmp_path)).returncode == 0
    file = tmp_path / "report.py"
    file.write_text(LINE + USE + RESULT)
    line, _, said = next(text for text in USE.splitlines() if WRONG in text).partition("#")
    assert line.strip() == WRONG
    number = file.read_text().splitlines().index(f"{line}#{said}") + 1
    ((where, what),) = checked(tmp_path, file)[file.name]
    assert where == number
    assert what.startswith(said.strip())


def test_the_runner_runs_it_without_the_line_that_is_wrong(tmp_path: Path) -> None:
    file, orders = tmp_path / "report.py", tmp_path / "orders.json"
    file.write_text(LINE + "".join(line for line in USE.splitlines(keepends=True) if WRONG not in line) + RESULT)
    orders.write_text(json.dumps([{"total": 30}, {"total": 12}]))
    done = run_command("run", str(file), "--node", f"Orders={orders}")
    assert json.loads(done.stdout) == [{"json": {"total": 42}}], done.stderr
