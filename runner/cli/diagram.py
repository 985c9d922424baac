"""`n8n-runner diagram`: the state machines as pictures and as data."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runner.cli import complain
from runner.cli.exit_codes import ExitCode
from statemachine import CONNECTION, FORMATS, TASK, GraphvizMissing, render

DESCRIPTION = """\
Print the state machine of a connection or of a task, made from the same table that the runner runs on. Mermaid is
drawn by GitHub and by most editors as it is; svg is drawn by Graphviz, whose command `dot` has to be installed."""

TABLES = {table.name: table for table in (CONNECTION, TASK)}


def configure(parser: argparse.ArgumentParser) -> None:
    """Which machine, in which form, and where to."""
    parser.add_argument("machine", nargs="?", choices=tuple(TABLES), default="connection", help="default: connection")
    parser.add_argument("--format", choices=FORMATS, default="mermaid", help="default: mermaid")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write to FILE, not to standard output")


def execute(arguments: argparse.Namespace) -> int:
    """Print the diagram."""
    try:
        picture = render(TABLES[arguments.machine], arguments.format)
    except GraphvizMissing as error:
        complain(str(error))
        return ExitCode.USAGE
    if arguments.output is None:
        sys.stdout.write(picture)
        return ExitCode.OK
    try:
        arguments.output.write_text(picture, encoding="utf-8")
    except OSError as error:
        complain(f"{arguments.output} cannot be written: {error.strerror}")
        return ExitCode.USAGE
    return ExitCode.OK
