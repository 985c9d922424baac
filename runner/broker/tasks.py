"""A task as the broker and its requester know it."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable
from enum import Enum
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
        self._request_expired = request_expired
        self._window_elapsed = window_elapsed
        self._timed_out = timed_out
        self._on_print = on_print
        self._waiters: list[asyncio.Future[EndOfTask]] = []
        self._end: EndOfTask | None = None

    async def end(self) -> EndOfTask:
        """Wait for the end of the task."""
        if self._end is not None:
            return self._end
        waiter: asyncio.Future[EndOfTask] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter

    def printed(self, arguments: Raw) -> None:
        """The code has printed."""
        self.prints.append(arguments)
        if self._on_print is not None:
            self._on_print(arguments)

    def request_expired(self) -> None:
        """It was not matched in time."""
        self._request_expired(self)

    def window_elapsed(self) -> None:
        """The runner that it was matched with has not answered in time."""
        self._window_elapsed(self)

    def timed_out(self) -> None:
        """It has run for too long."""
        self._timed_out(self)

    def conclude(self, end: EndOfTask) -> None:
        """The task has ended."""
        for question in tuple(self.questions.values()):
            question.cancel()
        self.state = RequestState.ENDED
        self._end = end
        for waiter in self._waiters:
            if not waiter.done():  # whoever waited may have been cancelled
                waiter.set_result(end)
        self._waiters.clear()
