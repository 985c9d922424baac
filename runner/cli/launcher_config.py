"""`n8n-runner launcher-config`: what the JSON file of n8n's launcher has to say for it to start this runner."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from runner.cli import complain
from runner.cli.exit_codes import ExitCode
from runner.cli.files import BadInput, text_of
from runner.config import variables

DESCRIPTION = """\
Print the configuration with which n8n's launcher (1.4 or newer) starts this runner, for /etc/n8n-task-runners.json.
With --merge, print that file as it is, but with this entry in the place of the one for Python:

    n8n-runner launcher-config --merge /etc/n8n-task-runners.json > new.json"""

HEALTH_PORT = "5682"
"""The port that n8n's own image has for the Python runner; 5678 to 5680 are taken, and 5681 is JavaScript's."""

NOT_PASSED_ON = ("N8N_RUNNERS_GRANT_TOKEN", "N8N_RUNNERS_AUTH_TOKEN", "N8N_RUNNERS_TASK_BROKER_URI")
"""What the launcher itself hands over, or keeps to itself."""

LIST = "task-runners"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which file it is for."""
    parser.add_argument("--merge", metavar="FILE", help="the launcher's file, whose other entries are kept")


def execute(arguments: argparse.Namespace) -> int:
    """Print the configuration."""
    try:
        others = _others(arguments.merge) if arguments.merge else {LIST: []}
    except BadInput as error:
        complain(str(error))
        return ExitCode.USAGE
    print(json.dumps({**others, LIST: [*others[LIST], entry(sys.executable)]}, indent=2))
    return ExitCode.OK


def entry(python: str) -> dict[str, Any]:
    """The entry for this runner, with the names that the launcher reads."""
    return {
        "runner-type": "python",
        "workdir": "/",
        "command": python,
        "args": ["-I", "-B", "-m", "runner", "start"],
        "health-check-server-port": HEALTH_PORT,
        "allowed-env": ["HOME", *allowed_environment()],
        "env-overrides": {},
    }


def allowed_environment() -> list[str]:
    """The variables that are passed on: all of ours but those that the launcher sees to."""
    names = [variable.name for _, variable in variables() if variable.name not in NOT_PASSED_ON]
    return [name for name in names if not name.startswith("N8N_RUNNERS_HEALTH_CHECK_SERVER_")]


def _others(name: str) -> dict[str, Any]:
    """A file of the launcher's without its entry for Python."""
    try:
        given = json.loads(text_of(name))
    except ValueError as error:
        raise BadInput(f"{name} is not JSON: {error}") from error
    if not isinstance(given, dict) or not isinstance(given.get(LIST), list):
        raise BadInput(f"{name} is not a configuration of n8n's launcher: it has no list {LIST!r}")
    entries = [each for each in given[LIST] if not (isinstance(each, dict) and each.get("runner-type") == "python")]
    return {**given, LIST: entries}
