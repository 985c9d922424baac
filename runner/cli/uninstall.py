"""`n8n-runner uninstall`: take back what `install` has done."""

from __future__ import annotations

import argparse

from runner.cli import complain
from runner.cli.exit_codes import ExitCode
from runner.cli.install import n8n_of, place
from runner.installation.n8n import NotRecognised
from runner.installation.stand_in import InTheWay, StandIn, State

DESCRIPTION = """\
Take back what `n8n-runner install` has made, and nothing else. Restart n8n afterwards."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Where n8n is, and whether anything is done."""
    place(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be removed, and remove nothing")


def execute(arguments: argparse.Namespace) -> int:
    """Remove the stand-in."""
    try:
        n8n = n8n_of(arguments)
        stand_in = StandIn(n8n.runner_folder if n8n else arguments.folder.absolute())
        stand_in.refuse_foreign()
        if stand_in.state is State.ABSENT:
            print(f"Nothing to remove: there is no {stand_in.folder}.")
        elif arguments.dry_run:
            print(f"would remove {stand_in.folder}")
        else:
            left = stand_in.remove()
            print(f"Removed {stand_in.folder}." if not left else f"Removed what was ours of {stand_in.folder}.")
            for path in left:
                print(f"    left, since it is not ours: {path}")
    except (NotRecognised, InTheWay) as error:
        complain(str(error))
        return ExitCode.USAGE
    return ExitCode.OK
