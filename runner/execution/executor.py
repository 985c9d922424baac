"""The executor protocol: all that the rest of the runner knows of how a task is run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import attrs
from msgspec import Raw

from runner.errors import N8nRefused


class N8n(Protocol):
    """The n8n that a task comes from, as far as the task may ask it. There is no answer after the task has ended."""

    async def call(self, name: str, params: Raw) -> Raw:
        """Have n8n call one of its functions, and return what that returns.

        Waits as long as n8n takes, and no longer than the task may run.

        Parameters:
            name: one of `runner.protocol.messages.FUNCTIONS`, such as `helpers.httpRequest`.
            params: its arguments, a JSON list. Bytes are `{"type": "Buffer", "data": [...]}`, also in the answer.

        Raises:
            N8nRefused: it has failed, or may not be called; says what n8n says.
        """

    async def data(self, wanted: Raw) -> Raw:
        """What n8n knows of the execution that the task belongs to, such as the items of other nodes.

        Waits as long as n8n takes, and no longer than the task may run.

        Parameters:
            wanted: the `requestParams` of a `runner:taskdatarequest`.

        Raises:
            N8nRefused: the task has ended.
        """


class Nobody:
    """In place of an n8n, for tasks that come from none."""

    async def call(self, name: str, params: Raw) -> Raw:
        """Refuse."""
        raise N8nRefused(f"{name} cannot be called: there is no n8n to call it")

    async def data(self, wanted: Raw) -> Raw:
        """Refuse."""
        raise N8nRefused("There is no n8n to ask for data")


PYTHON = "python"
"""The task type of n8n's Python Code node."""


TASK_LOG = logging.getLogger("runner.task")
"""The logger of what executors have to say about single tasks."""


def _plain_log() -> logging.LoggerAdapter[logging.Logger]:
    return logging.LoggerAdapter(TASK_LOG, {})


@attrs.frozen
class TaskRequest:
    """One task to run.

    Parameters:
        task_id: the broker's name for it.
        settings: what the broker sent along, a JSON value that nobody has looked into.
        print: to be called with the arguments of each `print`, a JSON list, as it happens. Harmless at any time.
        n8n: to be asked on behalf of the task.
        task_type: the type that it was requested as.
        log: a logger for what there is to say about the task. That of a runner says which task it is: its records have
            a `task`, the `TaskIdentity`.
    """

    task_id: str
    settings: Raw
    print: Callable[[Raw], None] = attrs.field(repr=False, eq=False)
    n8n: N8n = attrs.field(factory=Nobody, repr=False, eq=False)
    task_type: str = PYTHON
    log: logging.LoggerAdapter[logging.Logger] = attrs.field(factory=_plain_log, repr=False, eq=False)


@attrs.frozen
class Outcome:
    """What a task leaves behind: JSON that may be spliced into a message.

    Parameters:
        result: what the next node gets.
        custom_data: what is to be kept with the execution, an object of texts by name.
        static_data: the static data of the workflow, all of it, if the task has changed it.
    """

    result: Raw
    custom_data: Raw | None = None
    static_data: Raw | None = None


class Executor(Protocol):
    """Runs tasks of one type, several at a time.

    What a task does is the executor's business: bad settings, failing code, dying processes and forged results all
    come out of `execute` as `TaskFailed`. Any other exception is a bug of the executor.

    How many tasks it is given at a time is `max_concurrency`, unless it is a `Limited` one, which says so itself.
    """

    async def start(self) -> None:
        """Get ready. Called before the runner connects; what cannot work at all raises `RunnerError` here.

        Cancelled when the runner is told to stop meanwhile; `close` is called in any case.
        """

    async def execute(self, request: TaskRequest) -> Raw | Outcome:
        """Run a task and return its result, JSON that may be spliced into a message; or that with what goes beside it.

        When this is cancelled, everything that the task has started is killed and gone before it returns.

        Raises:
            TaskFailed: the task has no result; says why.
        """

    async def close(self) -> None:
        """Let go of everything. Called when no task is left."""


@attrs.frozen
class LayerStatus:
    """What one layer of the confinement of tasks achieved: `complete`, `partial` or `missing`, and why not more."""

    layer: str
    achieved: str
    why: str


@attrs.frozen
class ExecutorStatus:
    """What an executor tells of itself.

    Parameters:
        layers: what confines the tasks.
        running: the process of each task that runs in one of its own.
        waiting: the processes that wait for a task.
        others: its further processes, which tasks come from.
        workers_started: how many processes for tasks there have been.
        zygotes_started: how many processes there have been that they come from.
    """

    layers: tuple[LayerStatus, ...] = ()
    running: Mapping[str, int] = attrs.Factory(dict)
    waiting: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    workers_started: int = 0
    zygotes_started: int = 0


@runtime_checkable
class Inspectable(Protocol):
    """What an executor may have beside the methods of `Executor`."""

    def status(self) -> ExecutorStatus:
        """What it tells of itself at this moment. Returns at once."""


@runtime_checkable
class Limited(Protocol):
    """An executor that says itself how many tasks it takes at a time."""

    @property
    def concurrency(self) -> int | None:
        """How many; None for the runner's `max_concurrency`. It may change: it is asked before each offer."""


@runtime_checkable
class Elastic(Limited, Protocol):
    """An executor whose concurrency changes by itself, as its machines come and go."""

    def watch(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` from now on, on the event loop, whenever the concurrency has changed by itself."""
