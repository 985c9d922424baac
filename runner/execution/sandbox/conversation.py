"""What is said with one worker about one task. Nothing that it says is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs
from msgspec import Raw

from runner.clock import Timeouts
from runner.errors import TaskFailed
from runner.execution.executor import N8n, Outcome
from runner.execution.sandbox import parts, wire
from runner.execution.sandbox.assembly import Assembly
from runner.execution.sandbox.heap import keep_for_the_next
from runner.execution.sandbox.relay import Relay
from runner.execution.sandbox.reports import failure_in, failure_of_end, print_in
from runner.execution.sandbox.worker import LOST, Worker

FIRST_CHUNK = 16 * 1024
CHUNK = 256 * 1024
"""How much is read at a time, in bytes: at first, and once there has been as much."""

OUTPUT_PAUSE = 0.02
"""How long a task has to last until what it writes to its standard output is read, in seconds. Before that the pipe has
room for it, and a short task saves the event loop three system calls."""

MOST_AT_ONCE = 8
"""How many frames are taken before others have their turn, which together takes a fraction of a millisecond. More than
are written together, or else it would stop to read after each time."""

FRAME_LIMITS = {
    wire.PRINT: wire.TEXTS_LIMIT,
    wire.ERROR: wire.TEXTS_LIMIT,
    wire.COMPILED: wire.COMPILED_LIMIT,
    wire.PART: 1 + parts.PART_LIMIT,
    wire.QUESTION: wire.NAME_LIMIT,
    wire.LEAVES: wire.NAME_LIMIT,
    **dict.fromkeys(parts.MEANINGS, parts.PART_LIMIT),
}
"""The kinds of frames that are taken from a worker, and how long each may be, in bytes."""


class NotStarted(Exception):
    """The worker was gone before the task began: another one may take it."""


@attrs.frozen
class Terms:
    """What holds for all conversations of an executor."""

    result_limit: int
    """The longest result, in bytes."""
    max_prints: int
    pauses: Timeouts
    """After which the output of a worker is read; see `OUTPUT_PAUSE`."""


NO_SETTINGS = Raw()


@attrs.define
class Errand:
    """A task as a conversation has to know it."""

    settings: Raw
    """None any more once a worker has them all: they may be large, and it does not need them twice."""
    print: Callable[[Raw], None]
    n8n: N8n


class Conversation:
    """One task, told to one worker."""

    def __init__(self, worker: Worker, errand: Errand, terms: Terms, on_compiled: Callable[[bytes], None]) -> None:
        """A conversation that has not begun; `on_compiled` is given the compiled code, if the worker sends it."""
        self._worker = worker
        self._errand = errand
        self._on_compiled = on_compiled
        self._pauses = terms.pauses
        self._assembly = Assembly(terms.result_limit)
        self._relay: Relay | None = None
        self._limit = terms.result_limit
        self._prints_left = terms.max_prints + 1  # and the line about those that were left out
        self._print_bytes_left = wire.PRINTS_LIMIT
        self._cutter = wire.Cutter()
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self._may_compile = False
        self._has_heard_all = True
        self._is_reading = False
        self._is_over = False
        self._chunk = FIRST_CHUNK

    async def hold(self, compiled: bytes, on_told: Callable[[], None]) -> Outcome:
        """Tell the worker its task, and return what it comes to.

        Parameters:
            compiled: the code, if it is known. If not, the first thing that the worker says may be the code.
            on_told: called when the worker has been told all, or cannot be.

        Raises:
            TaskFailed: there is no result.
            NotStarted: the worker was gone before it had heard all of the task, so that no code has run.
        """
        worker = self._worker
        if worker.status is not None:
            raise NotStarted
        self._may_compile = not compiled
        worker.watch(self._ended)
        self._go_on_reading()
        self._pauses.set(worker.output.listen)
        try:
            try:
                await self._tell(compiled)
            finally:
                on_told()
            return await self._outcome
        finally:
            self._is_over = True
            self._pauses.stop(worker.output.listen)
            self._loop.remove_reader(worker.descriptor)
            worker.watch(None)
            if self._relay is not None:
                await self._relay.end()
            if self._outcome.done() and not self._outcome.cancelled():
                self._outcome.exception()  # it may have failed while it was still being told

    async def _tell(self, compiled: bytes) -> None:
        """Send the task. Whether a worker is gone is heard of in other ways; here, that it has not read everything."""
        settings = memoryview(self._errand.settings)
        head = wire.NUMBER.pack(len(compiled)) + compiled
        header = wire.HEADER.pack(wire.TASK, len(head) + len(settings))
        small = len(settings) <= wire.PIECE
        if not small:
            keep_for_the_next()
        pieces: list[bytes | memoryview] = [b"".join((header, head, settings))] if small else [header + head, settings]
        try:
            for piece in pieces:
                await self._loop.sock_sendall(self._worker.line, piece)
        except OSError:
            self._has_heard_all = False

    # What the worker says

    def _received(self) -> bytes | None:
        """What has come: None if nothing has, nothing if nothing will.

        The end of a worker that has left something unread is told as a reset. It reads all of its task first; what
        it has not read may also be an answer.
        """
        try:
            data = self._worker.line.recv(self._chunk)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            self._has_heard_all = self._relay is not None
            return b""
        except OSError:
            return b""
        if len(data) == self._chunk:
            keep_for_the_next()
            self._chunk = CHUNK
        return data

    def _read(self) -> None:
        """Take what has come, a little of it at a time."""
        data = self._received()
        if data is None:
            return
        if not data:
            self._loop.remove_reader(self._worker.descriptor)  # its end is told by its zygote, or else it has hung up
            self._loop.call_later(EXIT_TIMEOUT, self._ended)
            return
        self._cutter.feed(data)
        self._take()

    def _take(self) -> None:
        """Take the frames that are complete; after some, let others have their turn, and read no more meanwhile."""
        if self._outcome.done():
            return
        try:
            for _ in range(MOST_AT_ONCE):
                if self._relay is not None and not self._relay.has_room:
                    self._read_no_more()  # until a question has been answered
                    return
                frame = self._cutter.frame(FRAME_LIMITS)
                if frame is None:
                    self._go_on_reading()
                    return
                self._hear(*frame)
                if self._outcome.done():
                    return
        except TaskFailed as failure:
            self._outcome.set_exception(failure)
        except ValueError:
            self._outcome.set_exception(TaskFailed("The task's process does not keep to the protocol"))
        else:
            self._read_no_more()
            self._loop.call_soon(self._take)

    def _read_no_more(self) -> None:
        self._loop.remove_reader(self._worker.descriptor)
        self._is_reading = False

    def _go_on_reading(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._worker.descriptor, self._read)

    def _hear(self, kind: int, payload: bytes) -> None:
        may_compile, self._may_compile = self._may_compile, False
        self._errand.settings = NO_SETTINGS  # it has read its task before it says anything
        if kind in parts.MEANINGS:
            self._assembly.add(kind, payload)
            if kind == parts.END:
                self._outcome.set_result(self._complete())
        elif kind == wire.PRINT:
            self._prints_left -= 1
            self._print_bytes_left -= len(payload)
            if min(self._prints_left, self._print_bytes_left) < 0:
                raise TaskFailed("The task's process prints more than it may")
            self._errand.print(print_in(payload))
        elif kind == wire.ERROR:
            raise failure_in(payload, self._worker.output.text())
        elif kind == wire.COMPILED and may_compile:
            self._on_compiled(payload)
        elif kind == wire.PART:
            self._asking().part(payload)
        elif kind == wire.QUESTION:
            self._asking().question(payload)
        elif kind == wire.LEAVES:
            self._asking().leaves(payload)
        else:
            raise ValueError(kind)

    def _asking(self) -> Relay:
        """What passes questions on; made for the first one, since most tasks ask nothing."""
        if self._relay is None:
            self._relay = Relay(self._errand.n8n, self._worker.line, self._limit, self._has_room, self._crashed)
        return self._relay

    def _has_room(self) -> None:
        """A question has been answered: go on where `_take` has stopped."""
        if not self._is_over and not self._is_reading:
            self._take()

    def _crashed(self, _: str, error: Exception) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)

    def _complete(self) -> Outcome:
        """The result, and what is left behind beside it."""
        left = {} if self._relay is None else self._relay.left
        return Outcome(self._assembly.result(), left.get(wire.CUSTOM_DATA), left.get(wire.STATIC_DATA))

    def _ended(self) -> None:
        """The worker has ended, or has hung up; what it said before comes first, but for what it asked."""
        if self._relay is not None:
            self._relay.close()
        while not self._outcome.done() and (data := self._received()):
            self._cutter.feed(data)
            self._take_all()
        if not self._outcome.done():
            self._take_all()
        if not self._outcome.done():
            self._outcome.set_exception(self._explained())

    def _take_all(self) -> None:
        try:
            while not self._outcome.done() and (frame := self._cutter.frame(FRAME_LIMITS)):
                self._hear(*frame)
        except TaskFailed as failure:
            self._outcome.set_exception(failure)
        except ValueError:
            self._outcome.set_exception(TaskFailed("The task's process does not keep to the protocol"))

    def _explained(self) -> Exception:
        if not self._has_heard_all:
            return NotStarted()
        status, output = self._worker.status, self._worker.output.text()
        if status == LOST:
            return TaskFailed("The process that tasks are forked from has ended, and this task with it", output or None)
        return failure_of_end(status or 0, output)


EXIT_TIMEOUT = 0.5
"""How long a process that has hung up without an answer may take to exit, in seconds."""
