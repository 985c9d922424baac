"""`n8n-runner start`: connect to n8n's task broker and run tasks until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal

from runner.cli import complain
from runner.cli.executors import executor_for
from runner.cli.exit_codes import ExitCode
from runner.config import TaskRunnerConfig, without_effect
from runner.errors import AuthenticationFailed, ConfigurationError, RunnerError
from runner.observe.logs import configure_logging
from runner.task_runner import TaskRunner

DESCRIPTION = """\
Connect to n8n's task broker and run the tasks of Python Code nodes, until SIGTERM or SIGINT. Everything is configured
by environment variables, the same as n8n's own runner; all that is needed is

    N8N_RUNNERS_AUTH_TOKEN=<n8n's own value of this variable> n8n-runner start

The first signal lets tasks finish within the graceful timeout; a second one ends everything at once."""

log = logging.getLogger(__name__)


class _Help(argparse.Action):
    """`--help` with the table of variables, which is made only when somebody reads it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from runner.cli.reference import as_text

        parser.epilog = as_text()
        parser.print_help()
        parser.exit()


def configure(parser: argparse.ArgumentParser) -> None:
    """`start` has no arguments, but a longer `--help`."""
    parser.add_argument("-h", "--help", action=_Help, nargs=0, help="show this, and all environment variables")


def execute(arguments: argparse.Namespace) -> int:
    """Run a task runner that the environment configures."""
    try:
        config = TaskRunnerConfig.from_env(os.environ)
        configure_logging(config.log_level)
        for name in without_effect(os.environ):
            log.warning("%s is set, but has no effect in this version of n8n-runner", name)
        executor = executor_for(config, arguments.zygote)
        return asyncio.run(_serve(TaskRunner(config, executor=executor)))
    except ConfigurationError as error:
        complain(*error.problems)
        return ExitCode.USAGE
    except AuthenticationFailed:
        return ExitCode.REFUSED  # the runner has logged it
    except RunnerError as error:
        complain(str(error))
        return ExitCode.USAGE


async def _serve(runner: TaskRunner) -> int:
    """Run until the end, or until a signal says so."""

    async def on_idle_timeout() -> None:
        """The runner logs it and stops by itself."""

    runner.on_idle_timeout = on_idle_timeout
    running = asyncio.current_task()
    signals: list[signal.Signals] = []

    def on_signal(received: signal.Signals) -> None:
        signals.append(received)
        if len(signals) == 1:
            log.info("Received %s signal, starting shutdown...", received.name)
            runner.request_stop(f"{received.name} was received")
        elif running is not None:
            log.warning("Received %s signal again, ending at once", received.name)
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await runner.start()
    except asyncio.CancelledError:
        if len(signals) < 2:
            raise
        return ExitCode.INTERRUPTED
    return ExitCode.OK
