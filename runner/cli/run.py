"""`n8n-runner run`: the code of a Code node on this machine, through a real broker, runner and process."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from runner.broker import BrokerLimits, EmbeddedBroker
from runner.cli import complain, run_inputs, run_outputs
from runner.cli.executors import executor_for
from runner.cli.exit_codes import ExitCode
from runner.cli.files import BadInput
from runner.cli.progress import Progress
from runner.cli.run_inputs import Inputs, gather
from runner.cli.run_outputs import Report, save, show
from runner.config import TaskRunnerConfig
from runner.errors import ConfigurationError, RunnerError
from runner.observe.logs import configure_logging
from runner.task_runner import TaskRunner

DESCRIPTION = """\
Run the code of a Python Code node on this machine: what comes out is what n8n would get. The code is run by the same
runner as in production, which is connected to a task broker inside this command. Items go to standard output; what
the code prints, and everything else, goes to standard error.

    n8n-runner run double.py --items items.json

FILE holds what you would type into the node. The items are a JSON list; a row without `json` is wrapped in it. What
the code asks n8n for is served by this command: other nodes' items, files, variables, static data, HTTP.

    n8n-runner run report.py --node Orders=orders.json --node Customers=customers.json --binary logo=logo.png"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The code, what it is given, and how it is shown."""
    run_inputs.configure(parser)
    run_outputs.configure(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run the code and show what came of it."""
    configure_logging("info" if arguments.verbose else "error", sys.stderr)
    try:
        inputs = gather(arguments)
        report = asyncio.run(_run(inputs, arguments.zygote, shows_prints=not arguments.json))
    except BadInput as error:
        complain(str(error))
        return ExitCode.USAGE
    except ConfigurationError as error:
        complain(*error.problems)
        return ExitCode.USAGE
    except RunnerError as error:
        complain(str(error))
        return ExitCode.USAGE
    try:
        save(report, arguments, inputs.service.binaries)
    except BadInput as error:
        show(report, arguments)
        complain(str(error))
        return ExitCode.USAGE
    show(report, arguments)
    return ExitCode.OK if report.end.error is None else ExitCode.FAILED


async def _run(inputs: Inputs, zygote: Any, *, shows_prints: bool) -> Report:
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

            async with inputs.service, runner:
                document = json.dumps(inputs.settings, allow_nan=False).encode("ascii")
                task = broker.request(Raw(document), on_print=on_print, service=inputs.service)
                end = await task.end()
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
