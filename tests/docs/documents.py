"""The Python of the documentation: programs, and files of tests, each of which some test runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import attrs

from tests.docs.blocks import Block as AnyBlock
from tests.docs.blocks import blocks_of
from tests.support import ROOT


@attrs.frozen
class Block:
    """One block of Python: a file of tests, or a program, which has a name."""

    code: str
    program: str | None

    @property
    def title(self) -> str:
        """What it is known by: its name, or the first class or function that it defines."""
        found = re.search(r"^(?:async )?(?:class|def) (\w+)", self.code, re.MULTILINE)
        return self.program or (found[1] if found else self.code.splitlines()[0])

    @property
    def test_count(self) -> int:
        """How many tests it has."""
        return len(re.findall(r"^(?:async )?def test_|\.TestCase$", self.code, re.MULTILINE))


def blocks(page: str) -> list[Block]:
    """The Python of a page that is a program or a file of tests, block by block."""
    return [Block(each.code, each.marks.get("program")) for each in blocks_of(page) if is_python(each)]


def is_python(block: AnyBlock) -> bool:
    """Whether a block is a program or a file of tests."""
    return block.language == "python" and ("program" in block.marks or Block(block.code, None).test_count > 0)


def suites(page: str) -> list[Block]:
    """The blocks of a page that are files of tests."""
    return [block for block in blocks(page) if block.program is None]


def program(page: str, name: str) -> str:
    """The program of this name on a page."""
    (found,) = [block.code for block in blocks(page) if block.program == name]
    return found


def run_tests(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a file of tests as a stranger does, who has not seen our configuration."""
    file = folder / "test_page.py"
    file.write_text(code, encoding="utf-8")
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", folder, "-o", "asyncio_mode=auto")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, file],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def check_tests(block: Block, folder: Path) -> None:
    """Run a block of tests: it has some, and all of them pass."""
    done = run_tests(block.code, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert block.test_count > 0
    assert done.stdout.splitlines()[-1].startswith(f"{block.test_count} passed")
