"""A Python task runner for n8n, as a library.

    from runner import TaskRunner, TaskRunnerConfig

    config = TaskRunnerConfig(auth_token="...", task_broker_uri="http://localhost:5679")
    await TaskRunner(config).start()

The names below are the public API. They are imported when they are first used: the processes that tasks run in share
this package, and must not pay for what they do not need.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as in `typing`, which is much more than the processes that tasks run in start with
if TYPE_CHECKING:
    from typing import Any

    from runner.config import TaskRunnerConfig
    from runner.connection.failures import ConnectionLost, Refused, Unreachable
    from runner.connection.transport import SignOfLife, Socket, Transport
    from runner.errors import (
        AlreadyStarted,
        AuthenticationFailed,
        CannotListen,
        ConfigurationError,
        ExtraMissing,
        N8nRefused,
        NoIdleTimeoutHandlerError,
        RunnerError,
        SandboxFailed,
        TaskFailed,
        TransportFailed,
        UnsupportedPlatform,
    )
    from runner.execution.dask.executor import DaskExecutor
    from runner.execution.executor import (
        Elastic,
        Executor,
        ExecutorStatus,
        Inspectable,
        LayerStatus,
        Limited,
        N8n,
        Outcome,
        TaskRequest,
    )
    from runner.execution.function import FunctionExecutor, TaskContext
    from runner.execution.sandbox.executor import SandboxExecutor
    from runner.observe.counters import Count
    from runner.observe.events import (
        ConnectionFailure,
        OfferAccepted,
        RunningTask,
        TaskFinished,
        TaskStarted,
        TaskTurnedAway,
    )
    from runner.observe.observers import FailureKind, Observer, TaskIdentity, TaskOutcome
    from runner.observe.readiness import Readiness
    from runner.observe.server import StatusServer
    from runner.task_runner import TaskRunner

__version__ = "0.1.0"

__all__ = [
    "AlreadyStarted",
    "AuthenticationFailed",
    "CannotListen",
    "ConfigurationError",
    "ConnectionFailure",
    "ConnectionLost",
    "Count",
    "DaskExecutor",
    "Elastic",
    "Executor",
    "ExecutorStatus",
    "ExtraMissing",
    "FailureKind",
    "FunctionExecutor",
    "Inspectable",
    "LayerStatus",
    "Limited",
    "N8n",
    "N8nRefused",
    "NoIdleTimeoutHandlerError",
    "Observer",
    "OfferAccepted",
    "Outcome",
    "Readiness",
    "Refused",
    "RunnerError",
    "RunningTask",
    "SandboxExecutor",
    "SandboxFailed",
    "SignOfLife",
    "Socket",
    "StatusServer",
    "TaskContext",
    "TaskFailed",
    "TaskFinished",
    "TaskIdentity",
    "TaskOutcome",
    "TaskRequest",
    "TaskRunner",
    "TaskRunnerConfig",
    "TaskStarted",
    "TaskTurnedAway",
    "Transport",
    "TransportFailed",
    "Unreachable",
    "UnsupportedPlatform",
]

_HOMES = {
    "AlreadyStarted": "runner.errors",
    "AuthenticationFailed": "runner.errors",
    "CannotListen": "runner.errors",
    "ConfigurationError": "runner.errors",
    "ConnectionFailure": "runner.observe.events",
    "ConnectionLost": "runner.connection.failures",
    "Count": "runner.observe.counters",
    "DaskExecutor": "runner.execution.dask.executor",
    "Elastic": "runner.execution.executor",
    "Executor": "runner.execution.executor",
    "ExecutorStatus": "runner.execution.executor",
    "ExtraMissing": "runner.errors",
    "FailureKind": "runner.observe.observers",
    "FunctionExecutor": "runner.execution.function",
    "Inspectable": "runner.execution.executor",
    "LayerStatus": "runner.execution.executor",
    "Limited": "runner.execution.executor",
    "N8n": "runner.execution.executor",
    "N8nRefused": "runner.errors",
    "NoIdleTimeoutHandlerError": "runner.errors",
    "Observer": "runner.observe.observers",
    "OfferAccepted": "runner.observe.events",
    "Outcome": "runner.execution.executor",
    "Readiness": "runner.observe.readiness",
    "Refused": "runner.connection.failures",
    "RunnerError": "runner.errors",
    "RunningTask": "runner.observe.events",
    "SandboxExecutor": "runner.execution.sandbox.executor",
    "SandboxFailed": "runner.errors",
    "SignOfLife": "runner.connection.transport",
    "Socket": "runner.connection.transport",
    "StatusServer": "runner.observe.server",
    "TaskContext": "runner.execution.function",
    "TaskFailed": "runner.errors",
    "TaskFinished": "runner.observe.events",
    "TaskIdentity": "runner.observe.observers",
    "TaskOutcome": "runner.observe.observers",
    "TaskRequest": "runner.execution.executor",
    "TaskRunner": "runner.task_runner",
    "TaskRunnerConfig": "runner.config",
    "TaskStarted": "runner.observe.events",
    "TaskTurnedAway": "runner.observe.events",
    "Transport": "runner.connection.transport",
    "TransportFailed": "runner.errors",
    "Unreachable": "runner.connection.failures",
    "UnsupportedPlatform": "runner.errors",
}


if not TYPE_CHECKING:  # a checker is to find names that are not there

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that it lives in."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
