"""The executor protocol: all that the rest of the runner knows of how a task is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
from msgspec import Raw


@attrs.frozen
class TaskRequest:
    """One task to run.

    Parameters:
        task_id: the broker's name for it.
        settings: what the broker sent along, a JSON value that nobody has looked into.
        print: to be called with the arguments of each `print`, a JSON list, as it happens. Harmless at any time.
    """

    task_id: str
    settings: Raw
    print: Callable[[Raw], None] = attrs.field(repr=False, eq=False)


class Executor(Protocol):
    """Runs tasks of one type, several at a time.

    What a task does is the executor's business: bad settings, failing code, dying processes and forged results all
    come out of `execute` as `TaskFailed`. Any other exception is a bug of the executor.
    """

    async def start(self) -> None:
        """Get ready. Called before the runner connects; what cannot work at all raises `RunnerError` here.

        Cancelled when the runner is told to stop meanwhile; `close` is called in any case.
        """

    async def execute(self, request: TaskRequest) -> Raw:
        """Run a task and return its result: JSON that may be spliced into a message.

        When this is cancelled, everything that the task has started is killed and gone before it returns.

        Raises:
            TaskFailed: the task has no result; says why.
        """

    async def close(self) -> None:
        """Let go of everything. Called when no task is left."""
