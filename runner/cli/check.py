"""`n8n-runner check`: what the language rules say of code, without running it."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from runner.cli import complain
from runner.cli.exit_codes import ExitCode
from runner.cli.files import BadInput, text_of
from runner.cli.verdicts import FORMS, Checked
from runner.config import TaskRunnerConfig
from runner.errors import ConfigurationError, RunnerError, UnsupportedPlatform

DESCRIPTION = """\
Say what the rules about code have against the code of Code nodes, with file, line, column and the setting that would
allow it. The rules are those that the environment variables ask for, as with `start`. The code is not run: it is read
in a process of its own, which is confined like that of a task.

Exit code 0 says that nothing was found, 1 that something was, 2 that a file cannot be read."""

FORM_HELP = (
    "text: with the lines; lines: one `file:line:column: error: ...` each, for editors; json; github: annotations"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The files, and the form of what is said."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="the code of a Code node; - for standard input")
    parser.add_argument("--format", choices=tuple(FORMS), default="text", help=f"{FORM_HELP}. Default: text")


def execute(arguments: argparse.Namespace) -> int:
    """Check every file, and show what was found."""
    try:
        config = _configuration()
        codes = [(name, text_of(name)) for name in arguments.files]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            checked = list(pool.map(partial(_check, config), codes))
    except BadInput as error:
        complain(str(error))
        return ExitCode.USAGE
    except ConfigurationError as error:
        complain(*error.problems)
        return ExitCode.USAGE
    except RunnerError as error:
        complain(str(error))
        return ExitCode.USAGE
    shown = FORMS[arguments.format](checked)
    sys.stdout.write(shown)
    return ExitCode.FAILED if any(each.findings for each in checked) else ExitCode.OK


def _configuration() -> TaskRunnerConfig:
    """The rules of the environment; the credentials, which nobody needs here, are left aside."""
    if sys.platform == "win32":
        raise UnsupportedPlatform("Windows")
    ours = {"N8N_RUNNERS_AUTH_TOKEN": "unused", "N8N_RUNNERS_GRANT_TOKEN": "", "N8N_RUNNERS_GRANT_TOKEN_FILE": ""}
    return TaskRunnerConfig.from_env({**os.environ, **ours})


def _check(config: TaskRunnerConfig, named: tuple[str, str]) -> Checked:
    from runner.execution.sandbox.checking import findings_in  # not on Windows

    name, text = named
    return Checked("<stdin>" if name == "-" else name, text, tuple(findings_in(text, config)))
