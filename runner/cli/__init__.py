"""The command `n8n-runner`: one module a command, imported only when it is asked for."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

from runner import __version__
from runner.cli.exit_codes import MEANINGS, ExitCode

COMMANDS = {
    "start": "connect to n8n's task broker and run tasks until told to stop",
    "run": "run the code of a Python Code node on this machine, without n8n",
    "stubs": "write a module that tells editors the names that code is given",
    "check": "say what the rules about code have against a file, without running it",
    "doctor": "say what is well and what is not, and what to do about it",
    "install": "have an n8n from npm start this runner by itself",
    "uninstall": "take back what `install` has done",
    "launcher-config": "print what the configuration of n8n's launcher needs",
    "diagram": "print the state machine of a connection or of a task",
    "completion": "print a script with which a shell completes the command line",
}
"""The commands; each is a module of this package."""


RUN_TASKS = frozenset({"start", "run"})
"""The commands that need the process which tasks are forked from: it starts while they are still imported."""

STAYS = "start"
"""The command that runs on: it is worth having nothing looked at again and again that came with its imports."""

HELP = frozenset({"-h", "--help"})


class Command(Protocol):
    """What the module of a command has."""

    DESCRIPTION: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def execute(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


def _version() -> str:
    python = ".".join(map(str, sys.version_info[:3]))
    machine = f" {os.uname().machine}" if hasattr(os, "uname") else ""
    return f"n8n-runner {__version__}, {sys.implementation.name} {python} on {sys.platform}{machine}"


def _load(name: str) -> Command:
    module: Command = importlib.import_module(f"runner.cli.{name.replace('-', '_')}")
    return module


def build_parser(wanted: Collection[str]) -> argparse.ArgumentParser:
    """The parser of the whole command line; only the commands in `wanted` are loaded and know their arguments."""
    parser = argparse.ArgumentParser(
        prog="n8n-runner",
        description="A Python task runner for n8n.",
        epilog="exit codes:\n" + "\n".join(f"  {code:3d}  {meaning}" for code, meaning in MEANINGS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = _load(name) if name in wanted else None
        child = commands.add_parser(
            name,
            help=summary,
            description=command.DESCRIPTION if command else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            conflict_handler="resolve",
        )
        if command:
            command.configure(child)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    wanted = next((word for word in given if not word.startswith("-")), "")
    if wanted and wanted not in COMMANDS:
        complain(f"there is no command {wanted!r}. {_suggestion(wanted)}")
        return ExitCode.USAGE
    zygote = _zygote_ahead() if wanted in RUN_TASKS and not HELP.intersection(given) else None
    try:
        with uncollected() if wanted == STAYS else nullcontext():
            parsed = build_parser([wanted]).parse_args(given)  # which imports the command
    except SystemExit:
        if zygote is not None:
            zygote.give_up()
        raise
    parsed.zygote = zygote
    try:
        code = _load(parsed.command).execute(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone: write what is left to nowhere, or the interpreter complains at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return code


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collector while modules are imported, in which it finds next to nothing, nor later for what they are.

    It takes a twelfth of the time of the import, and a look at all of them stops the event loop for ten milliseconds.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _suggestion(wanted: str) -> str:
    import difflib  # only for those who mistype

    close = difflib.get_close_matches(wanted, COMMANDS, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(COMMANDS)}"


def _zygote_ahead() -> Any:
    """The process that tasks are forked from, started; None where it cannot be, which is told later."""
    if sys.platform == "win32":
        return None
    from runner.execution.sandbox.spawn import spawn  # light, unlike most that follows

    try:
        return spawn()
    except OSError:
        return None


def complain(*lines: str) -> None:
    """Say what is wrong, on standard error."""
    for line in lines:
        print(f"n8n-runner: {line}", file=sys.stderr)
