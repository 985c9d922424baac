"""`n8n-runner completion`: a script with which a shell completes the command line."""

from __future__ import annotations

import argparse
import sys

import shtab

from runner.cli import COMMANDS, build_parser
from runner.cli.exit_codes import ExitCode

DESCRIPTION = """\
Print a script with which a shell completes the commands and options of n8n-runner. For this session, and for good:

    source <(n8n-runner completion bash)
    n8n-runner completion bash > ~/.local/share/bash-completion/completions/n8n-runner
    n8n-runner completion zsh > "${fpath[1]}/_n8n-runner\""""

KINDS = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
"""What is completed for an argument whose placeholder in the help is this."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def execute(arguments: argparse.Namespace) -> int:
    """Print the script."""
    parser = build_parser(COMMANDS)
    _name_files(parser)
    sys.stdout.write(shtab.complete(parser, arguments.shell))
    return ExitCode.OK


def _name_files(parser: argparse.ArgumentParser) -> None:
    """Have files and folders completed where the help says that they belong."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way, and shtab reads the same
        if isinstance(action.choices, dict):
            for child in action.choices.values():
                _name_files(child)
        elif action.metavar in KINDS:
            action.complete = KINDS[action.metavar]  # type: ignore[attr-defined]
