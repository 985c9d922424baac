"""The page for embedders: each block of it runs, the programs as processes, the tests under pytest."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from runner.broker import EmbeddedBroker
from tests.docs.documents import blocks, program
from tests.support import AUTH_TOKEN, ROOT, eventually, result_of, run_code

PAGE = "docs/embedding.md"
PROGRAMS = {"first", "alone", "errors"}


def start(name: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """A program of the page as a process."""
    file = folder / f"{name}.py"
    file.write_text(program(PAGE, name), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, file],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_every_program_of_the_page_is_run_here() -> None:
    assert {block.program for block in blocks(PAGE)} - {None} == PROGRAMS


async def test_the_first_runner_works_until_sigterm(broker: EmbeddedBroker, tmp_path: Path) -> None:
    process = start("first", tmp_path, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, N8N_RUNNERS_TASK_BROKER_URI=broker.uri)
    try:
        assert result_of(await run_code(broker, "return [{'n': 1}]")) == [{"json": {"n": 1}}]
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None)
        assert process.returncode == 0
    finally:
        process.kill()
        errors = process.communicate()[1]
    assert "INFO:runner.task_runner:Runner stopped" in errors


def test_the_program_without_an_n8n_prints_what_the_page_says(tmp_path: Path) -> None:
    output, errors = start("alone", tmp_path).communicate()
    said = re.search(r"^```text\n(.*?)^```$", (ROOT / PAGE).read_text(), re.MULTILINE | re.DOTALL)
    assert said is not None
    assert output == said[1], errors


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"N8N_RUNNERS_AUTH_TOKEN": "another one"}, "HTTP 403: "),
        ({"N8N_RUNNERS_TASK_TIMEOUT": "0"}, "- "),
    ],
)
async def test_the_program_with_errors_says_what_is_wrong(
    broker: EmbeddedBroker, tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    process = start("errors", tmp_path, N8N_RUNNERS_TASK_BROKER_URI=broker.uri, **variables)
    await eventually(lambda: process.poll() is not None)
    errors = process.communicate()[1]
    assert process.returncode == 1
    assert [line for line in errors.splitlines() if line.startswith(said)], errors
    assert "Traceback" not in errors


def test_the_table_of_errors_has_every_error_with_its_fields() -> None:
    text = (ROOT / PAGE).read_text()
    rows = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) \|", text, re.MULTILINE))
    told = {name: fields for names, fields in rows.items() for name in re.findall(r"\w+", names)}
    errors = {name for name in runner.__all__ if isinstance(getattr(runner, name), type)}
    errors = {name for name in errors if issubclass(getattr(runner, name), runner.RunnerError)}
    assert set(told) == errors - {"RunnerError", "TransportFailed"}
    for name, fields in told.items():
        parameters = getattr(runner, name).__init__.__code__.co_varnames
        assert set(re.findall(r"`(\w+)`", fields)) & set(parameters), name
