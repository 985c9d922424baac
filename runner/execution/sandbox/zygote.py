"""The zygote as the runner sees it: told what to be, asked for workers, and heard when these end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Annotated

import attrs
import msgspec
from msgspec import Meta

from runner.clock import Alarm, Clock, Timeouts
from runner.execution.sandbox import session, wire
from runner.execution.sandbox.confinement.report import Report
from runner.execution.sandbox.ends import Ends
from runner.execution.sandbox.order import Order
from runner.execution.sandbox.output import CHUNK, Output
from runner.execution.sandbox.spawn import Spawned
from runner.execution.sandbox.worker import PATIENCE, Worker

log = logging.getLogger(__name__)

FRAME_LIMITS = dict.fromkeys(
    (wire.IMPORTING, wire.READY, wire.FORKED, wire.NOT_FORKED, wire.ENDED, wire.LEFT_THREADS), 1024**2
)
"""The kinds of frames that are taken from a zygote, and how long each may be, in bytes."""

FORK_FRAME = b"".join(wire.pack(wire.FORK, b""))

GONE = "the process that forks workers has ended"

LOOK_INTERVAL = 2.0
"""How often it is seen whether a zygote that owes an answer has said anything, in seconds."""

MOST_SILENT_LOOKS = 5
"""After how many looks in a row at a silent one it is given up. Looks are counted, not time: when the whole machine has
stood still for an hour, all the zygote has missed is one look."""

POLL_INTERVAL = 0.005
"""How often processes are looked after of whose end nobody tells, in seconds."""

Text = Annotated[str, Meta(max_length=10_000)]


class _Readiness(msgspec.Struct):
    """What a zygote says when it is ready."""

    report: list[tuple[Text, Text, Text]]
    problems: list[Text]


class NotReady(Exception):
    """A zygote has ended before it was ready. `module` is the one that it was importing, if it was."""

    def __init__(self, why: str, module: str | None = None) -> None:
        """Say why."""
        self.module = module
        super().__init__(why)


@attrs.define(eq=False)
class _Asked:
    """Somebody waits for a worker."""

    ends: Ends
    on_worker: Callable[[Worker], None]
    on_refusal: Callable[[OSError], None]

    def refuse(self, why: str) -> None:
        """There is none."""
        self.ends.close()
        self.on_refusal(OSError(why))


class ZygoteProcess:
    """A zygote, from its order to its end. `on_end` is called once when it has gone by itself."""

    def __init__(self, spawned: Spawned, clock: Clock, on_end: Callable[[], None]) -> None:
        """A zygote that waits for its order."""
        self.report = Report()
        self.problems: list[str] = []
        self.is_gone = False
        self._spawned = spawned
        self._line = spawned.line
        self._line.setblocking(False)
        self._descriptor = self._line.fileno()
        self._on_end = on_end
        self._cutter = wire.Cutter()
        self._asked: deque[_Asked] = deque()
        self._workers: dict[int, Worker] = {}
        self._dying: set[int] = set()
        """The workers that it has been told to kill."""
        self._patience = Timeouts(clock, PATIENCE)
        self._look = Alarm(clock, self._look_after)
        self._silent_looks = 0
        self._expects_large = False
        self._importing: str | None = None
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        assert spawned.process.stdout is not None  # noqa: S101 - spawn() gives it one
        self._output = Output(os.dup(spawned.process.stdout.fileno()))
        self._output.listen()

    @property
    def pid(self) -> int:
        """Its process, which leads a session of its own."""
        return self._spawned.process.pid

    async def prepare(self, order: Order) -> None:
        """Have it become what it is to be, and return when it can fork.

        Raises:
            NotReady: it ended before.
        """
        self._loop.add_reader(self._descriptor, self._read)
        try:
            if self._spawned.told != order:
                await self._loop.sock_sendall(self._line, b"".join(wire.pack(wire.ORDER, order.to_json())))
        except OSError:
            self._ended()
        await self._ready

    def fork(self, on_worker: Callable[[Worker], None], on_refusal: Callable[[OSError], None]) -> None:
        """Ask for a new worker. Not awaited, which would cost a coroutine and two turns of the event loop for each.

        Parameters:
            on_worker: called with the worker, which is the callee's from then on; later, never by this call.
            on_refusal: called instead if there is none to be had, with the reason; perhaps by this call.
        """
        if self.is_gone:
            on_refusal(OSError(GONE))
            return
        try:
            ends = Ends.make()
        except OSError as error:
            on_refusal(error)
            return
        self._asked.append(_Asked(ends, on_worker, on_refusal))
        self._watch()
        try:
            ends.pass_on(self._line, FORK_FRAME)
        except OSError:
            self._ended()

    def kill(self, worker: int) -> None:
        """Kill a worker that has not ended yet; its end is told as any other."""
        self._say(wire.KILL, wire.NUMBER.pack(worker))
        self._dying.add(worker)
        self._watch()

    def expect_large(self) -> None:
        """Have the workers that it forks from now on be quicker with large tasks."""
        if not self._expects_large:
            self._expects_large = True
            self._say(wire.LARGE, b"")

    def _say(self, kind: int, payload: bytes) -> None:
        """Say something short. The line holds hundreds of thousands of bytes of it."""
        try:
            if not self.is_gone:
                self._line.send(b"".join(wire.pack(kind, payload)))
        except OSError:
            self._ended()

    # Whether it answers

    def _watch(self) -> None:
        """Look after it as long as it owes an answer: without it no task can be ended, nor any connection."""
        if not self._look.is_set and not self.is_gone:
            self._silent_looks = 0
            self._look.set(LOOK_INTERVAL)

    def _look_after(self) -> None:
        if self.is_gone or not (self._asked or self._dying):
            return
        self._silent_looks += 1
        if self._silent_looks < MOST_SILENT_LOOKS:
            self._look.set(LOOK_INTERVAL)
            return
        log.error("The process that forks workers does not answer any more; it is killed, and its tasks with it")
        self._ended()

    # What it says

    def _read(self) -> None:
        try:
            data = self._line.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended()
            return
        self._silent_looks = 0
        self._cutter.feed(data)
        try:
            while frame := self._cutter.frame(FRAME_LIMITS):
                self._hear(*frame)
        except Exception:
            log.exception("The process that forks workers does not keep to the protocol")
            self._ended()

    def _hear(self, kind: int, payload: bytes) -> None:
        if kind == wire.FORKED:
            self._forked(wire.NUMBER.unpack(payload)[0], self._asked.popleft())
        elif kind == wire.ENDED:
            pid, status = wire.END.unpack(payload)
            worker = self._workers.pop(pid, None)
            self._dying.discard(pid)
            if worker is not None:
                worker.ended(status)
        elif kind == wire.NOT_FORKED:
            self._asked.popleft().refuse(payload.decode("utf-8", "replace"))
        elif kind == wire.IMPORTING:
            self._importing = payload.decode()
        elif kind == wire.READY:
            readiness = msgspec.json.decode(payload, type=_Readiness)
            self.report, self.problems = Report(readiness.report), readiness.problems  # type: ignore[arg-type]
            self._importing = None
            self._ready.set_result(None)
        elif kind == wire.LEFT_THREADS:
            self._ready.set_exception(NotReady("it leaves threads running", payload.decode()))
        else:
            raise ValueError(f"a frame of kind {kind}")

    def _forked(self, pid: int, asked: _Asked) -> None:
        output = Output(asked.ends.output)
        worker = Worker(pid, asked.ends.line, output, self._patience, lambda: self.kill(pid))
        self._workers[pid] = worker
        asked.on_worker(worker)

    # Its end

    def _ended(self) -> None:
        """It has gone, or is no use any more: everybody who waits for it hears of it."""
        if self.is_gone:
            return
        self.is_gone = True
        self._loop.remove_reader(self._descriptor)
        self._refuse_all()
        if not self._ready.done():
            self._ready.set_exception(NotReady(self.last_words() or "it ended", self._importing))
        self._on_end()

    def last_words(self) -> str:
        """The last that it has written about itself, such as why it ended; nothing, if it was killed."""
        return self._output.text()[-1000:]

    def _refuse_all(self) -> None:
        while self._asked:
            self._asked.popleft().refuse(GONE)

    async def close(self) -> None:
        """End it and its workers, and return when they are gone."""
        self.is_gone = True
        self._loop.remove_reader(self._descriptor)
        self._look.stop()
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()  # whoever wanted to know has been told
        process = self._spawned.process
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        while not session.kill(process.pid) or process.poll() is None:  # noqa: ASYNC110 - nobody tells of these ends
            await asyncio.sleep(POLL_INTERVAL)
        for worker in [*self._workers.values()]:
            worker.ended(-1)
        self._workers.clear()
        self._patience.stop_all()
        self._refuse_all()
        self._output.close()
        self._spawned.give_up()
