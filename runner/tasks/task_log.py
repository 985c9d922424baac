"""Log records about one task, each of which says which task it is about."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from runner.observe.observers import TaskIdentity

SAYS_IT = {"names_task": True}
"""To be passed as `extra` with a message whose words say already which task it is, as far as that is known."""


class TaskLog(logging.LoggerAdapter[logging.Logger]):
    """A logger for what concerns one task: records have its identity as `task`."""

    def __init__(self, logger: logging.Logger, task: TaskIdentity) -> None:
        """An adapter of `logger`."""
        super().__init__(logger)
        self._task = task

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the identity to a record that is made."""
        return msg, {**kwargs, "extra": {**kwargs.get("extra", {}), "task": self._task}}
