"""`n8n-runner stubs`: the names that code is given, for editors."""

from __future__ import annotations

import argparse
from pathlib import Path

from runner.cli import complain
from runner.cli.exit_codes import ExitCode
from runner.cli.stub_text import stub_text
from runner.execution.sandbox.child.given.table import STUBS

DESCRIPTION = f"""\
Write a module that tells editors which names the code of a Code node is given, and of which types they are. With this
line at the beginning of a file beside it, VS Code, PyCharm and others complete and check the rest:

    from {STUBS} import *

The runner takes the line for a remark, in n8n as well. Top-level `return` is not Python outside of n8n: `# pyright:
ignore` behind it quiets VS Code."""

BUILTINS = "__builtins__.pyi"
"""A file of this name in the root of a project has Pyright and VS Code know its names in all files."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="default: the current one")
    parser.add_argument(
        "--builtins",
        action="store_true",
        help=f"write {BUILTINS} instead, with which VS Code needs no such line: for a folder of such files alone",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Write it."""
    target: Path = arguments.folder / (BUILTINS if arguments.builtins else f"{STUBS}.py")
    try:
        target.write_text(stub_text(), encoding="utf-8")
    except OSError as error:
        complain(f"{target} cannot be written: {error.strerror}")
        return ExitCode.USAGE
    print(target)
    return ExitCode.OK
