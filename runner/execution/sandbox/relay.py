"""Between a task's process and n8n: what the one asks, the other answers. Nothing that the process says is believed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import msgspec
from msgspec import Raw

from runner.errors import N8nRefused
from runner.execution.executor import N8n
from runner.execution.sandbox import wire
from runner.execution.sandbox.assembly import Assembly
from runner.execution.sandbox.shapes import check_left, check_question
from runner.protocol.messages import FUNCTIONS, LOG_NODE_OUTPUT
from runner.scope import OnCrash, Scope

MOST_HELD = 64 * 1024**2
"""How much the open questions of a task may take, in bytes, with the answers that it has not read: then no more is
taken. A single one may take more."""

SUBJECTS = frozenset(FUNCTIONS) - {LOG_NODE_OUTPUT} | {wire.DATA}
"""What may be asked for."""

LEFT_BEHIND = frozenset({wire.CUSTOM_DATA, wire.STATIC_DATA})
"""What may be left behind."""


class Relay:
    """The questions of one task, from the process that asks to n8n, and the answers back.

    A process that asks faster than n8n answers, or does not read its answers, is not listened to until it has some of
    them; so it can go on neither with asking nor with its result, and in the end the task timeout kills it.
    """

    def __init__(
        self, n8n: N8n, line: socket.socket, limit: int, on_room: Callable[[], None], on_crash: OnCrash
    ) -> None:
        """A relay without questions.

        Parameters:
            line: where the answers go.
            limit: how long a question, or what is left behind, may be, in bytes.
            on_room: called each time that a question has been answered, so that there may be room for another.
            on_crash: hears of what went wrong beside what n8n refuses, which is a bug.
        """
        self._n8n = n8n
        self._line = line
        self._limit = min(limit, wire.QUESTION_LIMIT)
        self._on_room = on_room
        self._scope = Scope(on_crash)
        self._writing = asyncio.Lock()
        self._assembly = self._new_assembly()
        self._is_closed = False
        self._open: dict[int, int] = {}
        """What each open question takes, in bytes, by its number."""
        self.left: dict[str, Raw] = {}
        """What the task has left behind so far, by name."""

    @property
    def has_room(self) -> bool:
        """Whether another question can be taken."""
        return len(self._open) < wire.MOST_OPEN and sum(self._open.values()) <= MOST_HELD

    def part(self, payload: bytes) -> None:
        """Take a part of what is going to be asked or left behind.

        Raises:
            ValueError: it is empty.
            TaskFailed: it does not belong here, or there is too much of it.
        """
        if not payload:
            raise ValueError("a part has no kind")
        self._assembly.add(payload[0], memoryview(payload)[1:])

    def question(self, payload: bytes) -> None:
        """Take a question, which is asked at once.

        Raises:
            ValueError: no honest process would ask it.
            TaskFailed: it is not complete.
        """
        number = int.from_bytes(payload[: wire.NUMBER.size], "big")
        subject = payload[wire.NUMBER.size :].decode("ascii")
        if subject not in SUBJECTS or number in self._open:
            raise ValueError(f"the question {number} for {subject} may not be asked")
        what = self._complete()
        check_question(subject, what)
        if self._is_closed:
            return
        self._open[number] = memoryview(what).nbytes
        self._scope.spawn(self._answer(number, subject, what), f"question {number} for {subject}")

    def leaves(self, payload: bytes) -> None:
        """Take what is left behind.

        Raises:
            ValueError: no honest process would leave it.
            TaskFailed: it is not complete.
        """
        name = payload.decode("ascii")
        what = self._complete()
        if name not in LEFT_BEHIND:
            raise ValueError(f"{name} cannot be left behind")
        check_left(name, what)
        self.left[name] = what

    def _complete(self) -> Raw:
        """What the parts so far are; the next one begins something new."""
        assembly, self._assembly = self._assembly, self._new_assembly()
        return assembly.result()

    def _new_assembly(self) -> Assembly:
        return Assembly(self._limit, "What the code asks n8n")

    async def _answer(self, number: int, subject: str, what: Raw) -> None:
        is_refused = False
        try:
            answer = await (self._n8n.data(what) if subject == wire.DATA else self._n8n.call(subject, what))
        except N8nRefused as refused:
            is_refused = True
            answer = Raw(msgspec.json.encode({"message": refused.message, "description": refused.description}))
        del what  # which may be large
        await self._tell(wire.ANSWERED.pack(number, is_refused), number, memoryview(answer))
        del self._open[number]
        self._on_room()

    async def _tell(self, head: bytes, number: int, answer: memoryview) -> None:
        """Send an answer as fast as the process reads. That it is gone is heard of in other ways."""
        self._open[number] = answer.nbytes
        header = wire.HEADER.pack(wire.ANSWER, len(head) + answer.nbytes) + head
        loop = asyncio.get_running_loop()
        async with self._writing:
            with contextlib.suppress(OSError):
                await loop.sock_sendall(self._line, header)
                await loop.sock_sendall(self._line, answer)

    def close(self) -> None:
        """Ask nothing any more: nobody is there to hear the answer."""
        self._is_closed = True

    async def end(self) -> None:
        """Drop every question, and return when the last is gone."""
        await self._scope.cancel()
