"""The runner of `n8n-runner start`, as it is in production. To import this takes most of the time until it begins."""

from __future__ import annotations

import argparse
import asyncio
import sys
from functools import partial
from typing import Any

from runner.cli.executors import dask_executor_for, executor_for
from runner.cli.exit_codes import ExitCode
from runner.cli.signals import Signals
from runner.cli.watching import watched
from runner.config import TaskRunnerConfig
from runner.errors import ConfigurationError
from runner.execution.executor import Executor
from runner.observe.logs import configure_logging
from runner.observe.outlet import Outlet
from runner.observe.stalls import StallWatch
from runner.task_runner import TaskRunner


def serve(config: TaskRunnerConfig, executor: Executor) -> ExitCode:
    """Run a task runner to its end.

    Raises:
        RunnerError: it cannot be started, or n8n refuses it.
    """
    with Outlet(sys.stdout) as outlet:
        configure_logging(config.log_level, outlet, form=config.log_format, has_colours=not config.no_color)
        runner = TaskRunner(config, executor=executor)
        with StallWatch(runner.note_stall) as watch, asyncio.Runner(loop_factory=watch.new_loop) as loop:
            return loop.run(_serve(runner, outlet))


def executor_of(config: TaskRunnerConfig, arguments: argparse.Namespace) -> Executor:
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
