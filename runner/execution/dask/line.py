"""The runner's side of a line to a Dask worker: one slot. What comes back is checked like what a child sends."""

from __future__ import annotations

import asyncio
import logging

import attrs
import msgspec
from msgspec import Raw

from runner.errors import N8nRefused, TaskFailed
from runner.execution.dask.talk import BadTalk, Comm, Kind, Message, Talk
from runner.execution.executor import Outcome, TaskRequest
from runner.execution.sandbox.reports import print_in
from runner.protocol.codec import MalformedMessage, check_json
from runner.scope import Scope, to_the_end

log = logging.getLogger(__name__)

CANCEL_PATIENCE = 10.0
"""How long a worker may take to kill a task, in seconds; after that its line is cut, on which it does the same."""


class _Error(msgspec.Struct, omit_defaults=True):
    """A failure, as a worker reports it: the members that a task's process may report, and no others."""

    message: str
    description: str | None = None
    lineNumber: int | None = None  # noqa: N815 - n8n's names
    itemIndex: int | None = None  # noqa: N815


@attrs.define(eq=False)
class _Job:
    """The task that a line runs."""

    request: TaskRequest
    end: asyncio.Future[Outcome]
    questions: Scope


class Line:
    """One slot of a Dask worker, for as long as the worker and the connection live."""

    def __init__(self, worker: str, comm: Comm, limit: int) -> None:
        """A line that the worker has said it is ready on.

        Parameters:
            worker: its address.
            limit: how long a result may be, in bytes.
        """
        self.worker = worker
        self._comm = comm
        self._limit = limit
        self._talk = Talk(comm, 3 * limit)
        self._job: _Job | None = None
        self._is_gone = False

    @property
    def is_free(self) -> bool:
        """Whether it can take a task."""
        return self._job is None and not self._is_gone

    async def live(self) -> None:
        """Hear what the worker says, until the line is gone; a task that runs on it fails then, at once."""
        why = "its connection has ended"
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._talk.send(), name=f"sending to {self.worker}")
            try:
                while True:
                    self._take(await self._talk.hear())
            except OSError:
                pass
            except (BadTalk, MalformedMessage) as error:
                why = f"it does not keep to the protocol: {error}"
                log.warning("The Dask worker %s was hung up on: %s", self.worker, error)
            finally:
                self._is_gone = True
                self._comm.abort()
                sending.cancel()
                self._fail(
                    TaskFailed(f"The Dask worker {self.worker}, on which the task ran, is gone", f"It is: {why}.")
                )

    async def execute(self, request: TaskRequest) -> Outcome:
        """Run a task on the worker.

        Raises:
            TaskFailed: it has failed, or the worker is gone.
        """
        job = self._job = _Job(request, asyncio.get_running_loop().create_future(), Scope(self._crashed))
        self._talk.say(Kind.TASK, request.task_id, request.task_type, document=bytes(request.settings))
        try:
            await asyncio.wait([job.end])
            return job.end.result()
        except asyncio.CancelledError:
            self._talk.say(Kind.CANCEL)
            await to_the_end(self._given_up(job), "ending a task on a Dask worker")
            raise
        finally:
            self._job = None
            await job.questions.cancel()

    async def _given_up(self, job: _Job) -> None:
        """Return when the worker has killed the task, or its line is cut."""
        ended, _ = await asyncio.wait([job.end], timeout=CANCEL_PATIENCE)
        if not ended:
            log.warning("The Dask worker %s has not ended a task in %g s: hung up", self.worker, CANCEL_PATIENCE)
            self._is_gone = True
            self._comm.abort()
        elif not job.end.cancelled():
            job.end.exception()  # nobody asks any more

    def _fail(self, error: Exception) -> None:
        if self._job is not None and not self._job.end.done():
            self._job.end.set_exception(error)

    def _crashed(self, _: str, error: Exception) -> None:
        self._fail(error)

    # What the worker says

    def _take(self, message: Message) -> None:
        job = self._job
        if job is None or job.end.done():
            return  # the last words of a task that was cancelled
        match message:
            case Message(Kind.PRINT, (), texts):
                try:
                    job.request.print(print_in(texts))
                except TaskFailed as failure:
                    raise BadTalk(failure.message) from failure
            case Message(Kind.QUESTION, (int(number), str() | None as name), what):
                job.questions.spawn(self._answer(job, number, name, self._checked(what)), f"question {number}")
            case Message(Kind.DONE, (int(result), custom, static), document):
                job.end.set_result(self._outcome((result, custom, static), document))
            case Message(Kind.FAILED, (), error):
                job.end.set_exception(_failure(error))
            case Message(Kind.CANCELLED):
                job.end.set_exception(TaskFailed("The Dask worker has stopped the task: it is closing"))
            case _:
                raise BadTalk(f"{message.kind} does not belong here")

    def _checked(self, document: bytes) -> Raw:
        return check_json(document, self._limit)

    def _outcome(self, sizes: tuple[int, object, object], document: bytes) -> Outcome:
        parts: list[Raw | None] = []
        start = 0
        for size in sizes:
            if size is None:
                parts.append(None)
                continue
            if not isinstance(size, int) or not 0 <= size <= len(document) - start:
                raise BadTalk("the sizes of a result are wrong")
            parts.append(self._checked(document[start : start + size]))
            start += size
        result, custom, static = parts
        if result is None or start != len(document) or not (_is_object(custom) and _is_object(static)):
            raise BadTalk("a result is not what it should be")
        return Outcome(result, custom, static)

    async def _answer(self, job: _Job, number: int, name: str | None, what: Raw) -> None:
        n8n = job.request.n8n
        try:
            answer = await (n8n.data(what) if name is None else n8n.call(name, what))
        except N8nRefused as refused:
            self._talk.say(Kind.REFUSAL, number, refused.message, refused.description)
        else:
            self._talk.say(Kind.ANSWER, number, document=bytes(answer))


def _is_object(document: Raw | None) -> bool:
    return document is None or bytes(memoryview(document)[:1]) == b"{"


def _failure(document: bytes) -> TaskFailed:
    """The failure that a worker reports."""
    try:
        error = msgspec.json.decode(document, type=_Error)
    except (ValueError, RecursionError) as problem:
        return TaskFailed(f"The Dask worker sent an error that cannot be sent on: {problem}")
    details = {"lineNumber": error.lineNumber, "itemIndex": error.itemIndex}
    given = {name: value for name, value in details.items() if value is not None}
    return TaskFailed(error.message, error.description, **given)
