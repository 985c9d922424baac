"""`n8n-runner start`: connect to n8n's task broker and run tasks until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from functools import partial
from typing import Any

from runner.cli import complain
from runner.cli.executors import dask_executor_for, executor_for
from runner.cli.exit_codes import ExitCode
from runner.cli.parent import Parent
from runner.cli.service import ServiceManager
from runner.cli.signals import Signals
from runner.cli.watching import watched
from runner.clock import SystemClock
from runner.config import TaskRunnerConfig
from runner.errors import AuthenticationFailed, ConfigurationError, RunnerError
from runner.execution.executor import Executor
from runner.observe.logs import configure_logging
from runner.observe.outlet import Outlet
from runner.observe.stalls import StallWatch
from runner.task_runner import TaskRunner

DESCRIPTION = """\
Connect to n8n's task broker and run the tasks of Python Code nodes, until SIGTERM or SIGINT. Everything is configured
by environment variables, the same as n8n's own runner; all that is needed is

    N8N_RUNNERS_AUTH_TOKEN=<n8n's own value of this variable> n8n-runner start

The first signal lets tasks finish within the graceful timeout; a second one ends everything at once."""

READ_BUFFERS = 1024**2
"""More than anything is read into, in bytes."""

log = logging.getLogger(__name__)


class _Help(argparse.Action):
    """`--help` with the table of variables, which is made only when somebody reads it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from runner.cli.reference import as_text

        parser.epilog = as_text()
        parser.print_help()
        parser.exit()


def configure(parser: argparse.ArgumentParser) -> None:
    """Where tasks run, and a longer `--help`."""
    parser.add_argument(
        "--executor",
        choices=("sandbox", "dask"),
        default="sandbox",
        help="where tasks run: in processes of this machine (the default), or on a Dask cluster (the extra `dask`)",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://10.0.0.5:8786")
    parser.add_argument("-h", "--help", action=_Help, nargs=0, help="show this, and all environment variables")


def execute(arguments: argparse.Namespace) -> int:
    """Run a task runner that the environment configures."""
    began = SystemClock().now()
    _keep_buffers_at_hand()
    parent = Parent.of(os.environ)
    code = _run(arguments, parent)
    if code is not ExitCode.OK:
        parent.pace(began)
    return code


def _keep_buffers_at_hand() -> None:
    """Have the C library keep what it allocates for a read, rather than ask the kernel for it each time.

    It does so with everything that is smaller than the largest block it has seen freed. asyncio reads into 256 KiB,
    which without this are mapped, and unmapped, for every message of a few bytes.
    """
    bytearray(READ_BUFFERS)


def _run(arguments: argparse.Namespace, parent: Parent) -> ExitCode:
    try:
        config = parent.adapt(TaskRunnerConfig.from_env(os.environ))
        with Outlet(sys.stdout) as outlet:
            configure_logging(config.log_level, outlet, form=config.log_format, has_colours=not config.no_color)
            runner = TaskRunner(config, executor=_executor(config, arguments))
            with StallWatch(runner.note_stall) as watch, asyncio.Runner(loop_factory=watch.new_loop) as loop:
                return loop.run(_serve(runner, outlet))
    except ConfigurationError as error:
        complain(*error.problems)
        return ExitCode.USAGE
    except AuthenticationFailed:
        return ExitCode.REFUSED  # the runner has logged it
    except RunnerError as error:
        complain(str(error))
        return ExitCode.USAGE


def _executor(config: TaskRunnerConfig, arguments: argparse.Namespace) -> Executor:
    """What runs the tasks, as the command line says.

    Raises:
        ConfigurationError: a Dask cluster is asked for without its address, or the other way round.
    """
    if (arguments.executor == "dask") is not bool(arguments.scheduler):
        raise ConfigurationError(["--executor dask and --scheduler ADDRESS belong together"])
    if arguments.scheduler:
        return dask_executor_for(config, arguments.zygote, arguments.scheduler)
    return executor_for(config, arguments.zygote)


async def _serve(runner: TaskRunner, outlet: Outlet) -> ExitCode:
    """Run until the end, or until a signal says so; answer health checks from before the beginning, if asked to."""

    async def on_idle_timeout() -> None:
        """The runner logs it and stops by itself."""

    runner.on_idle_timeout = on_idle_timeout
    running = asyncio.current_task()
    if running is None:
        raise AssertionError("asyncio runs a coroutine in a task")
    asyncio.get_running_loop().set_exception_handler(partial(_unhandled, runner))
    signals = Signals(runner, running.cancel)
    signals.install()
    try:
        async with watched(runner, outlet):
            with ServiceManager(runner, os.environ):
                await runner.start()
    except asyncio.CancelledError:
        if not signals.have_ended_it:
            raise
        return ExitCode.INTERRUPTED
    finally:
        await signals.close()
    return ExitCode.OK


def _unhandled(runner: TaskRunner, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Hear of what the event loop could tell nobody: an exception in a callback, or in a coroutine nobody awaits."""
    error = context.get("exception")
    if isinstance(error, Exception):
        runner.note_crash(context["message"], error)
    else:
        loop.default_exception_handler(context)
