"""Those who watch the runner of `n8n-runner start`: its status server, error reports, spans, if they are asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from runner.clock import SystemClock
from runner.config import TaskRunnerConfig
from runner.observe.causes import CauseWatch
from runner.observe.outlet import Outlet
from runner.task_runner import TaskRunner

log = logging.getLogger(__name__)

NOTIFY_SOCKET = "NOTIFY_SOCKET"
"""The variable with which a service manager asks to be told."""

MISSING = "%s is set, but %s is not installed, so there are no %s: pip install 'n8n-runner[%s]'"


@asynccontextmanager
async def watched(runner: TaskRunner, outlet: Outlet) -> AsyncIterator[None]:
    """Have the runner watched as its configuration asks for. The status server comes first: others take a while.

    Raises:
        CannotListen: the address of the status server cannot be had.
    """
    config = runner.config
    async with AsyncExitStack() as stack:
        if config.health_check_server_enabled:
            await _serve_status(stack, runner, outlet)
        if config.sentry_dsn:
            await _report_errors(stack, config)
        if config.otlp_endpoint:
            await _trace_tasks(stack, runner)
        stack.enter_context(CauseWatch(runner, SystemClock()))
        if NOTIFY_SOCKET in os.environ:
            _tell_service_manager(stack, runner)
        yield


def _tell_service_manager(stack: AsyncExitStack, runner: TaskRunner) -> None:
    from runner.cli.service import ServiceManager

    stack.enter_context(ServiceManager(runner, os.environ))


async def _serve_status(stack: AsyncExitStack, runner: TaskRunner, outlet: Outlet) -> None:
    from runner.observe.server import StatusServer

    config = runner.config
    server = StatusServer(
        runner,
        host=config.health_check_server_host,
        port=config.health_check_server_port,
        names=config.health_check_server_names,
        log_lines_dropped=lambda: outlet.dropped,
    )
    await stack.enter_async_context(server)


async def _report_errors(stack: AsyncExitStack, config: TaskRunnerConfig) -> None:
    try:
        from runner.observe.error_reports import ErrorReports
    except ImportError:
        log.warning(MISSING, "N8N_SENTRY_DSN", "sentry-sdk", "error reports", "sentry")
        return
    try:
        reports = ErrorReports(config)
    except ValueError as error:
        log.warning("N8N_SENTRY_DSN cannot be used, so there are no error reports: %s", type(error).__name__)
        return
    await stack.enter_async_context(reports)


async def _trace_tasks(stack: AsyncExitStack, runner: TaskRunner) -> None:
    try:
        from runner.observe.spans import exporting_to
    except ImportError:
        log.warning(MISSING, "OTEL_EXPORTER_OTLP_ENDPOINT", "opentelemetry", "spans of tasks", "otel")
        return
    spans = await stack.enter_async_context(exporting_to(runner.config.otlp_endpoint, runner.runner_id))
    stack.callback(runner.observe(spans))
