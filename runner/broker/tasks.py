"""A task as the broker and its requester know it."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

import attrs
from msgspec import Raw

from runner.broker.service import TaskService
from runner.protocol.messages import NULL, DoneData


def new_task_id(entropy: random.Random) -> str:
    """A name for one match of a request with an offer. A request that is matched again gets another one."""
    return base64.urlsafe_b64encode(entropy.randbytes(6)).decode()


class RequestState(Enum):
    """Where a requested task stands with the broker."""

    WAITING = "waiting"
    MATCHED = "matched"
    RUNNING = "running"
    ENDED = "ended"


class TaskEnd(Enum):
    """How a task has ended; the value is what a requester is told where no runner had a say."""

    DONE = "The task has a result"
    ERROR = "The task has failed"
    CANCELLED = "Task cancelled by user"
    REQUEST_TIMEOUT = "Task request timed out: it was not matched with a runner"
    TASK_TIMEOUT = "Task execution timed out"
    DRAINING = "Task aborted because this broker is shutting down"
    RUNNER_LOST = "The runner of the task is gone"


@attrs.frozen
class EndOfTask:
    """What a requester gets: how the task ended, with its result or its error object, and what else it leaves behind.

    Parameters:
        custom_data: what the code has noted about its execution.
        static_data: the workflow's static data, all of it, if the code has changed it.
    """

    how: TaskEnd
    result: Raw | None = None
    error: dict[str, Any] | None = None
    custom_data: Raw | None = None
    static_data: Raw | None = None

    @classmethod
    def of(cls, data: DoneData) -> EndOfTask:
        """The end of a task that a runner has done."""
        custom_data = None if data.custom_data == NULL else data.custom_data
        static_data = None if data.static_data == NULL else data.static_data
        return cls(TaskEnd.DONE, data.result, None, custom_data, static_data)

    @classmethod
    def without_runner(cls, how: TaskEnd) -> EndOfTask:
        """An end that no runner reported."""
        return cls(how, error={"message": how.value})


class RequestedTask:
    """One request for a task, from the requester's call to the end."""

    def __init__(
        self,
        task_type: str,
        settings: Raw,
        on_print: Callable[[Raw], None] | None,
        service: TaskService | None,
        request_expired: Callable[[RequestedTask], None],
        window_elapsed: Callable[[RequestedTask], None],
        timed_out: Callable[[RequestedTask], None],
    ) -> None:
        """A request that nobody has heard of yet. The last three are called when its timeouts end."""
        self.task_id = ""
        self.task_type = task_type
        self.settings = settings
        self.service = service
        self.questions: dict[str, asyncio.Task[None]] = {}
        self.state = RequestState.WAITING
        self.deferrals = 0
        self.prints: list[Raw] = []
        self.request_expired = partial(request_expired, self)
        self.window_elapsed = partial(window_elapsed, self)
        self.timed_out = partial(timed_out, self)
        self._on_print = on_print
        self._ended = asyncio.Event()
        self._end: EndOfTask | None = None

    async def end(self) -> EndOfTask:
        """Wait for the end of the task."""
        await self._ended.wait()
        if self._end is None:
            raise AssertionError("conclude() sets the end before it tells of it")
        return self._end

    def printed(self, arguments: Raw) -> None:
        """The code has printed."""
        self.prints.append(arguments)
        if self._on_print is not None:
            self._on_print(arguments)

    def conclude(self, end: EndOfTask) -> None:
        """The task has ended."""
        for question in tuple(self.questions.values()):
            question.cancel()
        self.state = RequestState.ENDED
        self._end = end
        self._ended.set()
