"""What is asked of n8n on behalf of one task, and has not been answered yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Raw

from runner.errors import N8nRefused
from runner.protocol.messages import (
    FUNCTIONS,
    LOG_NODE_OUTPUT,
    METHOD_NOT_ALLOWED,
    Rpc,
    RpcResponse,
    RunnerMessage,
    TaskDataRequest,
    TaskDataResponse,
)

MOST_READ = 1024**2
"""Larger reasons are not read, in bytes: that would take too long on the event loop."""

UNEXPLAINED = "n8n could not do this, and does not say why"
"""What is said in place of n8n's message when there is none: its plain errors lose theirs on the way."""

CALLABLE = frozenset(FUNCTIONS) - {LOG_NODE_OUTPUT}
"""The functions that can be called: all but that for prints, which have a way of their own."""


class _Reason(msgspec.Struct):
    """What is read of an error of n8n's."""

    message: str = ""
    description: str | None = None


_TEXT = msgspec.json.Decoder(str)
_REASON = msgspec.json.Decoder(_Reason)


class Questions:
    """The open questions of one task. They end with it."""

    def __init__(self, task_id: str, send: Callable[[RunnerMessage], None]) -> None:
        """No questions yet; they will be sent with `send`."""
        self._task_id = task_id
        self._send = send
        self._open: dict[str, asyncio.Future[Raw]] = {}
        self._asked = 0
        self._has_ended = False

    async def call(self, name: str, params: Raw) -> Raw:
        """Have n8n call a function; see `N8n`."""
        if name not in CALLABLE:
            raise N8nRefused(METHOD_NOT_ALLOWED, f"{name!r} is no function that code may call.")
        return await self._ask(lambda number: Rpc(number, self._task_id, name, params))

    async def data(self, wanted: Raw) -> Raw:
        """Ask for data of the execution; see `N8n`."""
        return await self._ask(lambda number: TaskDataRequest(self._task_id, number, wanted))

    async def _ask(self, question: Callable[[str], RunnerMessage]) -> Raw:
        if self._has_ended:
            raise _ended()
        self._asked += 1
        number = f"{self._task_id}-question-{self._asked}"
        answer: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            self._send(question(number))
            return await answer
        finally:
            self._open.pop(number, None)

    def answer(self, message: RpcResponse | TaskDataResponse) -> None:
        """Hear an answer. One to what nobody has asked, or waits for any longer, is dropped: so are those to prints."""
        number = message.call_id if isinstance(message, RpcResponse) else message.request_id
        waiting = self._open.get(number)
        if waiting is None or waiting.done():
            return
        if isinstance(message, RpcResponse) and message.status != "success":
            waiting.set_exception(_refusal(message.data))
        else:
            waiting.set_result(message.data)

    def end(self) -> None:
        """The task has ended: nothing is asked any more, and what was asked has no answer."""
        self._has_ended = True
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(_ended())


def _ended() -> N8nRefused:
    return N8nRefused("The task has ended")


def _refusal(data: Raw) -> N8nRefused:
    """An error of n8n's, which is a text, or an object that may say more."""
    if len(memoryview(data)) > MOST_READ:
        return N8nRefused(UNEXPLAINED)
    try:
        return N8nRefused(_TEXT.decode(data) or UNEXPLAINED)
    except (ValueError, RecursionError):
        pass
    try:
        reason = _REASON.decode(data)
    except (ValueError, RecursionError):
        return N8nRefused(UNEXPLAINED)
    return N8nRefused(reason.message or UNEXPLAINED, reason.description)
