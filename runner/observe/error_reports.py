"""Reports of the runner's own bugs to Sentry. Imported only where they are asked for, and its client is installed.

What is reported is what is logged as an error with an exception: nothing that users' code does is. A report has the
words of the log line without what was put into them, the types of the exceptions and where they were raised, and the
ids of the task. Texts of exceptions and variables stay here: they may hold items, and secrets.
"""

from __future__ import annotations

import asyncio
import logging
import platform
from typing import Any, Self

from sentry_sdk.client import Client
from sentry_sdk.utils import event_from_exception

import runner
from runner.config import TaskRunnerConfig
from runner.observe.logs import task_of

PATIENCE = 1.0
"""How long the last reports may take, in seconds."""

OURS = ("runner", "asyncio")
"""The loggers whose errors are reported, with those below them."""


class ErrorReports(logging.Handler):
    """Sends errors with exceptions to Sentry, while the context lasts."""

    def __init__(self, config: TaskRunnerConfig) -> None:
        """A handler that is not installed yet.

        Raises:
            ValueError: the address of the project cannot be used.
        """
        super().__init__(logging.ERROR)
        self._client: Any = Client(
            dsn=config.sentry_dsn,
            release=f"n8n-runner@{runner.__version__}",
            environment=config.environment or "unknown",
            server_name=config.deployment_name or "unknown",
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
            shutdown_timeout=PATIENCE,
        )
        self._tags = {
            "server_type": "task_runner",
            "n8n_version": config.n8n_version or "unknown",
            "python": platform.python_version(),
        }

    async def __aenter__(self) -> Self:
        """Begin to report."""
        for name in OURS:
            logging.getLogger(name).addHandler(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Report no more, once what is on its way has been sent."""
        for name in OURS:
            logging.getLogger(name).removeHandler(self)
        await asyncio.to_thread(self._client.close, timeout=PATIENCE)

    def emit(self, record: logging.LogRecord) -> None:
        """Report a record, if it is about an exception."""
        if not record.exc_info or record.exc_info[0] is None:
            return
        event, _ = event_from_exception(record.exc_info, client_options=self._client.options)
        for value in event["exception"]["values"]:
            value["value"] = ""
        event |= {
            "level": "error",
            "logger": record.name,
            "logentry": {"message": str(record.msg)},
            "tags": {**self._tags, **_ids(record)},
        }
        self._client.capture_event(event)


def _ids(record: logging.LogRecord) -> dict[str, str]:
    task = task_of(record)
    if task is None:
        return {}
    return {"task_id": task.task_id, "node_id": task.node_id, "workflow_id": task.workflow_id}
