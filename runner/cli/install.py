"""`n8n-runner install`: have n8n's internal mode, or its launcher, start this runner."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from runner.cli import complain
from runner.cli.exit_codes import ExitCode
from runner.installation.n8n import N8n, NotRecognised, found, recognised
from runner.installation.stand_in import InTheWay, StandIn, is_passing, problem_with

DESCRIPTION = """\
Have an n8n that npm has installed start this runner by itself, in internal mode, as it starts the one for JavaScript.
n8n looks for a Python runner in a folder beside its own, which npm does not ship: that folder is made, with a script
that starts this runner. No file of n8n is changed. Restart n8n afterwards; `n8n-runner uninstall` takes it back.

With --folder, the same is made in the folder that the configuration of n8n's launcher names as `workdir`."""

N8N_HELP = "the folder of the package n8n, or of a project that has it; unless given, it is looked for"
FOLDER_HELP = "the folder of a Python runner itself, such as /opt/runners/task-runner-python"


def configure(parser: argparse.ArgumentParser) -> None:
    """Where n8n is, and whether anything is done."""
    place(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")


def place(parser: argparse.ArgumentParser) -> None:
    """The arguments that say where the stand-in is, which `install` and `uninstall` share."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--n8n", metavar="DIR", type=Path, help=N8N_HELP)
    where.add_argument("--folder", metavar="DIR", type=Path, help=FOLDER_HELP)


def execute(arguments: argparse.Namespace) -> int:
    """Make the stand-in, or show it."""
    if sys.platform == "win32":
        complain("n8n-runner does not run on Windows. In WSL or in a container, it does")
        return ExitCode.USAGE
    try:
        n8n = n8n_of(arguments)
        stand_in = StandIn(n8n.runner_folder if n8n else arguments.folder.absolute())
        stand_in.refuse_foreign()
        problem = problem_with(sys.executable)
        if problem is not None:
            raise InTheWay(problem)
        if arguments.dry_run:
            _show(stand_in)
        else:
            stand_in.make(sys.executable)
            _say_what_is_next(stand_in, n8n)
    except (NotRecognised, InTheWay) as error:
        complain(str(error))
        return ExitCode.USAGE
    _warn()
    return ExitCode.OK


def n8n_of(arguments: argparse.Namespace) -> N8n | None:
    """The n8n that is meant; None if a folder was given instead.

    Raises:
        NotRecognised: there is none that we know.
    """
    if arguments.folder is not None:
        return None
    return found() if arguments.n8n is None else recognised(arguments.n8n)


def _show(stand_in: StandIn) -> None:
    for path, text in stand_in.files(sys.executable).items():
        print(f"would write {path}:")
        print("".join(f"    {line}\n" for line in text.splitlines()))


def _say_what_is_next(stand_in: StandIn, n8n: N8n | None) -> None:
    print(f"Made {stand_in.folder}, for {sys.executable}.")
    if n8n is not None:
        print(f"Restart n8n {n8n.version}: in internal mode, its default, it starts this runner by itself.")
        print(n8n.keeping.value)


def _warn() -> None:
    if shutil.which("python3") is None:
        complain("warning: n8n starts no Python runner unless there is a `python3` on its PATH; here is none")
    if is_passing(sys.executable):
        complain(
            f"warning: {sys.executable} lies where files are removed now and then: install n8n-runner in a virtual "
            "environment, or with pipx, and call `install` from there"
        )
