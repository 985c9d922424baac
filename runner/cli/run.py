"""`n8n-runner run`: the code of a Code node on this machine, through a real broker, runner and process."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from msgspec import Raw

from runner.broker import BrokerLimits, EmbeddedBroker, EndOfTask
from runner.cli import complain
from runner.cli.executors import executor_for
from runner.cli.exit_codes import ExitCode
from runner.cli.files import BadInput, text_of
from runner.cli.progress import Progress
from runner.config import TaskRunnerConfig
from runner.errors import ConfigurationError, RunnerError
from runner.observe.logs import configure_logging
from runner.task_runner import TaskRunner

DESCRIPTION = """\
Run the code of a Python Code node on this machine: what comes out is what n8n would get. The code is run by the same
runner as in production, which is connected to a task broker inside this command. Items go to standard output; what
the code prints, and everything else, goes to standard error.

    n8n-runner run double.py --items items.json

FILE holds what you would type into the node. The items are a JSON list; a row without `json` is wrapped in it."""

MODES = {"all": "runOnceForAllItems", "each": "runOnceForEachItem"}
WITHOUT_ITEMS: list[dict[str, Any]] = [{"json": {}}]
"""What a Code node behind a manual trigger is given."""


@attrs.frozen
class Report:
    """What came of a run."""

    end: EndOfTask
    prints: list[list[Any]]
    path: tuple[str, ...]

    @property
    def result(self) -> Any:
        """The items, or the answer of a tool; None when the code failed."""
        return None if self.end.result is None else json.loads(bytes(self.end.result))


def configure(parser: argparse.ArgumentParser) -> None:
    """The code, what it is given, and how it is shown."""
    parser.add_argument("file", metavar="FILE", help="the code; - for standard input")
    parser.add_argument("--items", metavar="FILE", help="the items, a JSON file; - for standard input")
    parser.add_argument("--mode", choices=tuple(MODES), default="all", help="once for all items, or for each one")
    parser.add_argument(
        "--query", metavar="TEXT", help="run as an AI tool, with this as `_query` (text or JSON object)"
    )
    parser.add_argument(
        "--continue-on-fail", action="store_true", help="make an item of a failure, as the node's setting"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output: result, prints, error")
    parser.add_argument("--path", action="store_true", help="also show the states that the connection went through")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the runner's log")


def execute(arguments: argparse.Namespace) -> int:
    """Run the code and show what came of it."""
    configure_logging("info" if arguments.verbose else "error", sys.stderr)
    try:
        settings = _settings(arguments)
        report = asyncio.run(_run(settings, arguments.zygote, shows_prints=not arguments.json))
    except BadInput as error:
        complain(str(error))
        return ExitCode.USAGE
    except ConfigurationError as error:
        complain(*error.problems)
        return ExitCode.USAGE
    except RunnerError as error:
        complain(str(error))
        return ExitCode.USAGE
    if arguments.json:
        _show_as_json(report)
    else:
        _show(report, arguments)
    return ExitCode.OK if report.end.error is None else ExitCode.FAILED


async def _run(settings: Mapping[str, Any], zygote: Any, *, shows_prints: bool) -> Report:
    """One task through broker, WebSocket, runner and process."""
    token = secrets.token_hex(16)
    limits = BrokerLimits(task_timeout=10 * 365 * 86400, request_timeout=30)
    prints: list[list[Any]] = []
    async with EmbeddedBroker(token, limits=limits) as broker:
        config = _configuration(os.environ, token, broker.uri)
        runner = TaskRunner(config, executor=executor_for(config, zygote))
        with Progress(sys.stderr) as progress:

            def on_print(arguments: Raw) -> None:
                prints.append(json.loads(bytes(arguments)))
                if shows_prints:
                    progress.say("print: " + " ".join(map(str, prints[-1])))

            async with runner:
                document = json.dumps(settings, allow_nan=False).encode("ascii")
                end = await broker.request(Raw(document), on_print=on_print).end()
    return Report(end, prints, runner.path)


def _configuration(environment: Mapping[str, str], token: str, uri: str) -> TaskRunnerConfig:
    """The runner's configuration as in production, but for the broker and for whatever would end it early."""
    ours = {
        "N8N_RUNNERS_AUTH_TOKEN": token,
        "N8N_RUNNERS_GRANT_TOKEN_FILE": "",
        "N8N_RUNNERS_TASK_BROKER_URI": uri,
        "N8N_RUNNERS_PATH": "/runners",
        "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "0",
    }
    return TaskRunnerConfig.from_env({**environment, **ours})


# What goes in


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of the task, as n8n would send them."""
    if arguments.file == "-" and arguments.items == "-":
        raise BadInput("the code and the items cannot both come from standard input")
    settings: dict[str, Any] = {
        "code": text_of(arguments.file),
        "nodeMode": MODES[arguments.mode],
        "workflowMode": "manual",
        "continueOnFail": arguments.continue_on_fail,
        "items": WITHOUT_ITEMS if arguments.query is None else [],
        "nodeId": "local",
        "nodeName": Path(arguments.file).name,
        "workflowId": "local",
        "workflowName": "local",
    }
    if arguments.items is not None:
        settings["items"] = _items_of(arguments.items)
    if arguments.query is not None:
        settings["query"] = _query_of(arguments.query)
    return settings


def _items_of(name: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text_of(name), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise BadInput(f"{name} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name} is not JSON that can be used: {error}") from error
    rows = rows if isinstance(rows, list) else [rows]
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BadInput(f"{name}: item {index} is not an object")
    return [row if isinstance(row.get("json"), dict) else {"json": row} for row in rows]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _query_of(text: str) -> Any:
    """A query as an agent gives it: an object where it is one, else text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text


# What comes out


def _show_as_json(report: Report) -> None:
    document = {
        "result": report.result,
        "prints": report.prints,
        "error": report.end.error,
        "connection": list(report.path),
    }
    print(json.dumps(document, indent=2))


def _show(report: Report, arguments: argparse.Namespace) -> None:
    if report.end.error is None:
        print(json.dumps(report.result, indent=2))
        sys.stdout.flush()
    else:
        line = report.end.error.get("lineNumber")
        where = arguments.file if line is None else f"{arguments.file}:{line}"
        print(f"{where}: error: {report.end.error.get('message')}", file=sys.stderr)
        for text in str(report.end.error.get("description") or "").splitlines():
            print(f"    {text}", file=sys.stderr)
    if arguments.path:
        print("connection: " + " -> ".join(report.path), file=sys.stderr)
