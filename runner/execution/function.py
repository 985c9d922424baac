"""Own task types: an executor that runs each task in a coroutine function of the program that embeds the runner."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, overload

import attrs
import msgspec
from msgspec import Raw

from runner.errors import ConfigurationError, N8nRefused, TaskFailed
from runner.execution.executor import N8n, Outcome, TaskRequest
from runner.protocol.codec import STRING_CEILING, MalformedMessage, check_json, read_json, write_json

S = TypeVar("S")


@attrs.frozen
class TaskContext:
    """What a function is handed beside the settings of its task.

    Parameters:
        task_id: the broker's name for the task.
        task_type: the type that it was requested as.
        log: a logger whose records carry the identity of the task, a `TaskIdentity`, as their attribute `task`.
        n8n: to be asked on behalf of the task, while it runs.
    """

    task_id: str
    task_type: str
    log: logging.LoggerAdapter[logging.Logger] = attrs.field(repr=False)
    n8n: N8n = attrs.field(repr=False)
    _print: Callable[[Raw], None] = attrs.field(repr=False)

    def print(self, *values: object) -> None:
        """Show values to whoever has requested the task, each as text. Harmless when the task has ended."""
        self._print(write_json([str(value) for value in values]))


Function = Callable[[S, TaskContext], Awaitable[object]]
"""What runs a task: it gets the settings and the context, and returns the result."""


class FunctionExecutor(Generic[S]):
    """Runs each task in a coroutine function, on the event loop of the runner, in this process.

    What the function returns is the result: anything that msgspec writes as JSON, or an `Outcome`. What it raises is
    the failure: a `TaskFailed` as it is, any other exception by its name and text, with the traceback in the log. When
    the task is cancelled, has timed out, or has lost its connection, the function is cancelled; its slot is free when
    it has ended. The function has no sandbox: it is trusted as much as the rest of the program.
    """

    @overload
    def __init__(
        self: FunctionExecutor[dict[str, Any]],
        function: Function[dict[str, Any]],
        *,
        concurrency: int | None = None,
    ) -> None: ...

    @overload
    def __init__(self, function: Function[S], settings: type[S], *, concurrency: int | None = None) -> None: ...

    def __init__(
        self,
        function: Function[Any],
        settings: type[Any] = dict,
        *,
        concurrency: int | None = None,
    ) -> None:
        """An executor that runs tasks in `function`.

        Parameters:
            settings: what the settings of a task are read as, such as an attrs class, a dataclass or a
                `msgspec.Struct`. Members that it does not name are ignored.
            concurrency: how many tasks may run at the same time; unless given, the runner's `max_concurrency`.

        Raises:
            ConfigurationError: `function` is not a coroutine function, or the concurrency is not positive.
        """
        self._name = getattr(function, "__qualname__", type(function).__name__)
        problems = []
        if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)):
            problems.append(f"{self._name} cannot run tasks: it is no coroutine function. Define it with `async def`")
        if concurrency is not None and concurrency < 1:
            problems.append(f"the concurrency of {self._name} has to be 1 or more, and is {concurrency}")
        if problems:
            raise ConfigurationError(problems)
        self.concurrency = concurrency
        self._function = function
        self._type = settings
        self._decoder = msgspec.json.Decoder(settings)

    async def start(self) -> None:
        """Nothing has to be got ready."""

    async def close(self) -> None:
        """Nothing has to be let go of."""

    async def execute(self, request: TaskRequest) -> Outcome:
        """Run one task.

        Raises:
            TaskFailed: the settings are not what the function needs, it has raised, or its result is not JSON.
        """
        settings = self._read(request.settings)
        context = TaskContext(request.task_id, request.task_type, request.log, request.n8n, request.print)
        try:
            returned = await self._function(settings, context)
        except TaskFailed:
            raise
        except N8nRefused as refused:
            raise TaskFailed(refused.message, refused.description) from refused
        except Exception as error:
            request.log.exception("%s raised an exception", self._name)
            text = str(error)
            name = type(error).__name__
            raise TaskFailed(f"{name}: {text}" if text else name) from error
        return self._write(returned)

    def _read(self, document: Raw) -> S:
        """The settings as the type that the function asks for."""
        try:
            try:
                settings: S = self._decoder.decode(document)
            except msgspec.ValidationError:
                raise
            except (ValueError, RecursionError):  # such as a text that n8n has cut in the middle of an emoji
                settings = msgspec.convert(read_json(memoryview(document)), self._type)
        except (MalformedMessage, msgspec.ValidationError) as error:
            raise TaskFailed(f"The settings of this task are not what {self._name} needs: {error}") from error
        return settings

    def _write(self, returned: object) -> Outcome:
        """What the function has returned, as JSON that may be spliced into a message."""
        try:
            match returned:
                case Outcome():
                    for part in (returned.result, returned.custom_data, returned.static_data):
                        if part is not None:
                            check_json(memoryview(part), STRING_CEILING)
                    return returned
                case Raw():
                    return Outcome(check_json(memoryview(returned), STRING_CEILING))
                case _:
                    return Outcome(write_json(returned))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise TaskFailed(f"What {self._name} returned cannot be sent as JSON: {error}") from error
