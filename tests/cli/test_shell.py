"""The command line around its commands: completion, versions, what is mistyped."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import COMMANDS
from tests.support import run_command


def completed(line: str, folder: Path) -> list[str]:
    """What a real bash offers for the last word of a line."""
    script = folder / "completion"
    script.write_text(run_command("completion", "bash").stdout)
    words = line.split(" ")
    asked = f"""
        source {shlex.quote(str(script))}
        COMP_WORDS=({" ".join(map(shlex.quote, words))})
        COMP_CWORD={len(words) - 1}
        COMP_LINE={shlex.quote(line)}
        COMP_POINT={len(line)}
        function=$(complete -p n8n-runner | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $function n8n-runner {shlex.quote(words[-1])} {shlex.quote(words[-2])}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", asked], capture_output=True, text=True, cwd=folder, check=True, timeout=30
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands(tmp_path: Path) -> None:
    assert completed("n8n-runner st", tmp_path) == ["start", "stubs"]
    assert set(completed("n8n-runner ", tmp_path)) >= {*COMMANDS}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("n8n-runner check --for", ["--format"]),
        ("n8n-runner check --format g", ["github"]),
        ("n8n-runner install --d", ["--dry-run"]),
        ("n8n-runner completion z", ["zsh"]),
        ("n8n-runner check no", ["node.py"]),
    ],
)
def test_bash_completes_options_their_values_and_files(tmp_path: Path, line: str, offered: list[str]) -> None:
    (tmp_path / "node.py").touch()
    assert completed(line, tmp_path) == offered


def test_there_is_a_script_for_zsh() -> None:
    text = run_command("completion", "zsh").stdout
    assert text.startswith("#compdef n8n-runner\n")
    assert [command for command in COMMANDS if f'"{command}:' not in text and f"{command}:" not in text] == []


def test_the_version_tells_the_python_and_the_platform_as_well() -> None:
    text = run_command("--version").stdout
    assert text == f"n8n-runner 0.1.0, cpython {platform.python_version()} on {sys.platform} {platform.machine()}\n"


@pytest.mark.parametrize(
    ("typed", "said"), [("strat", "Did you mean 'start'?"), ("docter", "Did you mean 'doctor'?"), ("x", "There are: ")]
)
def test_a_command_that_is_mistyped_is_answered_with_the_one_that_was_meant(typed: str, said: str) -> None:
    done = run_command(typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
