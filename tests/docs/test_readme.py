"""The README and CONTRIBUTING.md: the commands of make, and the program."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.broker import EmbeddedBroker
from tests.docs.blocks import blocks_of
from tests.docs.documents import program
from tests.docs.scene import SECRET
from tests.support import ROOT, eventually, result_of, run_code

MADE = {
    block.page: [line.split("#")[0].split()[1] for line in block.code.splitlines()]
    for page in ("README.md", "CONTRIBUTING.md")
    for block in blocks_of(page)
    if block.marks.get("run by") == "tests/docs/test_readme.py"
}
"""The targets of make that each page tells people to make first."""


def planned(target: str) -> str:
    """The commands of a target of make, without running them."""
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("page", "target"), [(page, target) for page, targets in MADE.items() for target in targets])
def test_make_knows_what_to_do(page: str, target: str) -> None:
    assert planned(target).strip()


def test_the_demo_runs_a_code_node(tmp_path: Path) -> None:
    assert MADE["README.md"] == ["demo", "test"]
    command = re.search(r"^\S*/n8n-runner (run .*)$", planned("demo"), re.MULTILINE)
    assert command is not None
    arguments = [sys.executable, "-m", "runner", *command[1].split()]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert '"customer": "Ada"' in done.stdout
    assert "listening" in done.stderr


async def test_the_program_takes_tasks(tmp_path: Path) -> None:
    async with EmbeddedBroker(SECRET) as broker:
        file = tmp_path / "readme.py"
        text = program("README.md", "readme")
        assert "http://localhost:5679" in text
        file.write_text(text.replace("http://localhost:5679", broker.uri), encoding="utf-8")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(sys.executable, file, env=environment)
        try:
            assert result_of(await run_code(broker, "return [{'n': 1}]")) == [{"json": {"n": 1}}]
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await eventually(lambda: not broker.violations)
