"""Every block of the README and of the documentation is run, checked, or says why it is not."""

from __future__ import annotations

import configparser
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.broker import EmbeddedBroker
from runner.cli import build_parser
from runner.config import variables
from runner.diagnosis.settings import N8N_SIDE
from tests.docs.blocks import MARK, PAGES, Block, blocks_in, blocks_of, text_of
from tests.docs.documents import Block as Suite
from tests.docs.documents import check_tests, is_python, suites
from tests.docs.scene import SECRET, Scene
from tests.support import ROOT

COMMANDS = {"sh", "console"}
PARSERS: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "ini": lambda text: configparser.ConfigParser().read_string(text),
    "yaml": lambda text: importlib.import_module("yaml").safe_load(text),
}
RUN_AS_A_WHOLE = {"docs/code-node.md": "tests/runner/test_given.py"}
"""Pages whose blocks are all made from a table, with the tests that run its rows."""

OF_OTHERS = N8N_SIDE | {"N8N_GRACEFUL_SHUTDOWN_TIMEOUT", "N8N_BLOCK_ENV_ACCESS_IN_NODE", "N8N_SCRIPTS"}
"""Variables of n8n's side that the pages may name, and one of the Makefile's."""

OURS = {variable.name for _, variable in variables()}
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
COMMAND_BLOCKS = [block for block in BLOCKS if block.language in COMMANDS]


def is_run_in_its_scene(block: Block) -> bool:
    return block.language in COMMANDS and not block.marks.keys() & {"not run", "run by"}


def how_it_is_dealt_with(block: Block) -> str:
    """What is done about a block; nothing, if nothing is."""
    if "not run" in block.marks:
        return "says why not"
    if "run by" in block.marks or block.page in RUN_AS_A_WHOLE:
        return "run by another test"
    if is_run_in_its_scene(block) or "file" in block.marks:
        return "run in a scene"
    if is_python(block):
        return "a program or tests"
    if block.language in PARSERS:
        return "parsed"
    if block.language.startswith("{"):
        return "built by Sphinx"
    return "a generated diagram" if block.language == "mermaid" and "diagram" in block.marks else ""


def test_no_block_is_left_out() -> None:
    assert len(BLOCKS) > 100
    assert [str(block) for block in BLOCKS if not how_it_is_dealt_with(block)] == []


def test_no_fence_is_overlooked() -> None:
    fences = sum(len(re.findall(r"^(?:```|~~~|:::)", text_of(page), re.MULTILINE)) for page in PAGES)
    fenced = [block for block in BLOCKS if text_of(block.page).splitlines()[block.line - 1][0] in "`~:"]
    assert fences == 2 * len(fenced)


def test_a_block_that_nobody_runs_is_noticed() -> None:
    (block,) = blocks_in("page.md", "Text.\n\n```text\nWhatever this is.\n```\n")
    assert how_it_is_dealt_with(block) == ""
    (block,) = blocks_in("page.md", "<!-- not run: it is an example of nothing -->\n```text\nWhatever this is.\n```\n")
    assert how_it_is_dealt_with(block) == "says why not"


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if is_run_in_its_scene(block)}))
async def test_the_commands_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    async with EmbeddedBroker(SECRET) as broker:
        scene = Scene.set_up(tmp_path, broker)
        for block in blocks_of(page):
            if "file" in block.marks:
                scene.put(block)
            elif is_run_in_its_scene(block):
                try:
                    await scene.run(block)
                except AssertionError as error:
                    raise AssertionError(f"{block}: {error}") from None
        assert broker.violations == []


@pytest.mark.parametrize("said", ["Ada", "Grace"])
async def test_a_transcript_that_is_wrong_is_noticed(said: str, tmp_path: Path) -> None:
    async with EmbeddedBroker(SECRET) as broker:
        scene = Scene.set_up(tmp_path, broker)
        transcript = Block("page.md", 1, "console", f"$ echo Ada\n{said}\n$ false\n[exit code 1]\n", {})
        if said == "Ada":
            await scene.run(transcript)
        else:
            with pytest.raises(AssertionError, match="is not what the page says"):
                await scene.run(transcript)


@pytest.mark.parametrize("block", [each for each in BLOCKS if "file" in each.marks], ids=str)
def test_every_file_is_used_by_a_command(block: Block) -> None:
    commands = [each.code for each in COMMAND_BLOCKS if each.page == block.page and each.line > block.line]
    assert any(re.search(rf"(?<![\w.]){re.escape(block.marks['file'])}\b", code) for code in commands)


@pytest.mark.parametrize("block", [each for each in BLOCKS if "file" in each.marks], ids=str)
def test_readers_are_told_the_name_of_every_file(block: Block) -> None:
    above = [line for line in text_of(block.page).splitlines()[: block.line - 1] if line and not MARK.fullmatch(line)]
    assert above[-1] == f"`{block.marks['file']}`:"


@pytest.mark.parametrize(
    ("page", "suite"),
    [(page, suite) for page in PAGES for suite in suites(page)],
    ids=lambda each: each if isinstance(each, str) else each.title,
)
def test_the_tests_of_a_page_pass(page: str, suite: Suite, tmp_path: Path) -> None:
    check_tests(suite, tmp_path)


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language in PARSERS], ids=str)
def test_every_document_can_be_read(block: Block) -> None:
    PARSERS[block.language](block.code)


@pytest.mark.parametrize("block", [each for each in BLOCKS if "run by" in each.marks], ids=str)
def test_the_test_that_runs_a_block_names_its_page(block: Block) -> None:
    assert block.page.removeprefix("docs/") in (ROOT / block.marks["run by"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("block", COMMAND_BLOCKS, ids=str)
def test_every_command_is_one_that_a_shell_can_read(block: Block) -> None:
    subprocess.run(["bash", "-n", "-c", "\n".join(commands_of(block))], check=True)


@pytest.mark.parametrize("block", COMMAND_BLOCKS, ids=str)
def test_every_command_of_ours_has_such_arguments(block: Block) -> None:
    for command in commands_of(block):
        for arguments in our_arguments(command):
            build_parser(arguments[:1]).parse_args(arguments)


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_exists(page: str) -> None:
    named = set(re.findall(r"\bN8N_[A-Z0-9_]*[A-Z0-9]\b", text_of(page)))
    assert {name for name in named if name.removesuffix("_FILE") not in OURS | OF_OTHERS} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_extra_that_is_installed_exists(page: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"(?:n8n-runner|\.)\[([a-z,]+)\]", text_of(page))
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


def commands_of(block: Block) -> list[str]:
    """The commands of a block, without what they print."""
    if block.language == "console":
        return re.findall(r"^\$ (.*)$", block.code, re.MULTILINE)
    return block.code.replace("\\\n", " ").splitlines()


def our_arguments(command: str) -> Iterator[list[str]]:
    """The arguments of each call of ours in a line of a shell."""
    words = shlex.shlex(command, posix=True, punctuation_chars="|&;<>")
    words.whitespace_split = True
    call: list[str] | None = None
    for word in [*words, ";"]:
        if set(word) <= set("|&;<>"):
            if call:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif Path(word).name == "n8n-runner":
            call = []
