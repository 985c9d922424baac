"""On a Dask worker: one warm, confined pool, and the lines of the runners that use it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from distributed.core import Status
from msgspec import Raw

from runner import __version__
from runner.config import TaskRunnerConfig
from runner.errors import N8nRefused, RunnerError, TaskFailed
from runner.execution.dask.talk import BadTalk, Comm, Kind, Message, Talk
from runner.execution.executor import Executor, Outcome, TaskRequest
from runner.execution.sandbox.executor import SandboxExecutor
from runner.protocol.codec import STRING_CEILING
from runner.scope import Scope, to_the_end

log = logging.getLogger(__name__)

NO_TOKEN = "none: a Dask worker speaks to no task broker"  # noqa: S105 - there has to be something


class Host:
    """The pool of one Dask worker, which is there while there are lines: without runners there are no processes."""

    def __init__(self, version: str, settings: Mapping[str, Any], slots: int) -> None:
        """A host without lines.

        Parameters:
            version: that of the runner, which has to be this one's.
            settings: how tasks are confined, see `plugin.settings_of`.
            slots: how many tasks a runner may run here at the same time.
        """
        self._version = version
        self._settings = settings
        self._slots = slots
        self._lines: dict[Comm, asyncio.Event] = {}
        self._executor: SandboxExecutor | None = None
        self._changing = asyncio.Lock()

    async def serve(self, comm: Comm) -> Status:
        """Serve one line until it is gone; then all that it has started is gone as well."""
        gone = self._lines[comm] = asyncio.Event()
        try:
            executor = await self._executor_ready()
            await comm.write((Kind.READY.value, self._slots, b""))
            await Desk(comm, executor).serve()
        except RunnerError as error:
            await comm.write((Kind.NOT_READY.value, str(error), b""))
        except OSError:
            log.debug("A runner has hung up")
        finally:
            del self._lines[comm]
            await to_the_end(self._let_go(), "closing a pool without lines")
            gone.set()
        return Status.dont_reply

    async def _executor_ready(self) -> SandboxExecutor:
        if self._version != __version__:
            raise RunnerError(f"it has n8n-runner {__version__}, and the runner is {self._version}: install the same")
        async with self._changing:
            if self._executor is None:
                given: dict[str, Any] = {
                    name: tuple(value) if isinstance(value, list) else value for name, value in self._settings.items()
                }
                config = TaskRunnerConfig(auth_token=NO_TOKEN, max_concurrency=max(1, self._slots), **given)
                executor = SandboxExecutor(config)
                try:
                    await executor.start()
                except BaseException:
                    await executor.close()
                    raise
                self._executor = executor
            return self._executor

    async def _let_go(self) -> None:
        async with self._changing:
            executor = self._executor
            if executor is not None and not self._lines:
                self._executor = None
                await executor.close()

    async def close(self) -> None:
        """Hang up on every runner, and return when nothing is left here."""
        lines = dict(self._lines)
        for comm in lines:
            comm.abort()
        for gone in lines.values():
            await gone.wait()


class Desk:
    """The worker's side of a line: it runs a task at a time, and passes on what the task says."""

    def __init__(self, comm: Comm, executor: Executor) -> None:
        """A desk without a task."""
        self._comm = comm
        self._executor = executor
        self._talk = Talk(comm, STRING_CEILING)
        self._scope = Scope(_crashed)
        self._task: asyncio.Task[None] | None = None
        self._questions: dict[int, asyncio.Future[Raw]] = {}
        self._asked = 0

    async def serve(self) -> None:
        """Do as the runner says until the line is gone. Raises OSError then, when the task is gone too."""
        self._scope.spawn(self._talk.send(), "sending to a runner")
        try:
            while True:
                self._take(await self._talk.hear())
        except BadTalk as error:
            log.warning("A runner was hung up on: %s", error)
        finally:
            await self._scope.cancel()
            self._comm.abort()

    def _take(self, message: Message) -> None:
        match message:
            case Message(Kind.TASK, (str(task_id), str(task_type)), settings):
                request = TaskRequest(task_id, Raw(settings), self._print, self, task_type)
                self._task = self._scope.spawn(self._run(request), f"task {task_id}")
                self._task.add_done_callback(self._ended)
            case Message(Kind.CANCEL) if self._task is not None:
                self._task.cancel()
            case Message(Kind.ANSWER, (int(number),), answer):
                if (waiting := self._waiting(number)) is not None:
                    waiting.set_result(Raw(answer))
            case Message(Kind.REFUSAL, (int(number), str(why), more)):
                if (waiting := self._waiting(number)) is not None:
                    waiting.set_exception(N8nRefused(why, more))

    async def _run(self, request: TaskRequest) -> None:
        try:
            outcome = await self._executor.execute(request)
        except TaskFailed as failure:
            self._talk.say(Kind.FAILED, document=msgspec.json.encode(failure.as_error_object()))
        else:
            left = outcome if isinstance(outcome, Outcome) else Outcome(outcome)
            documents = [
                None if each is None else bytes(each) for each in (left.result, left.custom_data, left.static_data)
            ]
            sizes = [None if each is None else len(each) for each in documents]
            self._talk.say(Kind.DONE, *sizes, document=b"".join(each or b"" for each in documents))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say what `_run` could not: that it was cancelled, perhaps before its first step, or crashed."""
        self._task = None
        if task.cancelled():
            self._talk.say(Kind.CANCELLED)
        elif (error := task.exception()) is not None:
            failure = TaskFailed(f"The executor failed: {type(error).__name__}")
            self._talk.say(Kind.FAILED, document=msgspec.json.encode(failure.as_error_object()))

    # What the task says and asks

    def _print(self, arguments: Raw) -> None:
        self._talk.say(Kind.PRINT, document=bytes(arguments))

    async def call(self, name: str, params: Raw) -> Raw:
        """Have the runner ask n8n; see `N8n`."""
        return await self._ask(name, params)

    async def data(self, wanted: Raw) -> Raw:
        """Have the runner ask n8n for data; see `N8n`."""
        return await self._ask(None, wanted)

    async def _ask(self, name: str | None, what: Raw) -> Raw:
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        try:
            self._talk.say(Kind.QUESTION, number, name, document=bytes(what))
            return await answer
        finally:
            del self._questions[number]

    def _waiting(self, number: int) -> asyncio.Future[Raw] | None:
        waiting = self._questions.get(number)
        return None if waiting is None or waiting.done() else waiting


def _crashed(name: str, error: Exception) -> None:
    log.error("%s failed, which is a bug", name, exc_info=error)
