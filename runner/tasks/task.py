"""One task in flight: the performer of its machine's effects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec
from msgspec import Raw

from runner.clock import Clock, Timeouts
from runner.config import TaskRunnerConfig
from runner.errors import TaskFailed
from runner.execution.executor import PYTHON, TASK_LOG, Executor, Outcome, TaskRequest
from runner.observe.counters import Count, Counters
from runner.observe.observers import Observer, Observers, TaskIdentity, TaskOutcome
from runner.protocol.codec import payload_limit
from runner.protocol.messages import (
    LOG_NODE_OUTPUT,
    NULL,
    DoneData,
    Rpc,
    RpcResponse,
    RunnerMessage,
    TaskAccepted,
    TaskDataResponse,
    TaskDone,
    TaskError,
)
from runner.tasks.origin import Origin
from runner.tasks.questions import Questions
from runner.tasks.task_log import SAYS_IT, TaskLog
from statemachine import TaskEffect, TaskEvent, TaskMachine, TaskState

if TYPE_CHECKING:  # made only when somebody observes
    from runner.observe.events import RunningTask, TaskFinished

log = logging.getLogger(__name__)
user_log = logging.getLogger("runner.user_code")

NO_SETTINGS = Raw(b"{}")
UNKNOWN = Origin()


class Channel(Protocol):
    """The connection that a task came by, as far as a task has to know it."""

    def send(self, message: RunnerMessage) -> None:
        """Send a message; drop it if the connection is gone."""

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], name: str, on_end: Callable[[], None] | None = None
    ) -> asyncio.Task[None]:
        """Start a coroutine that ends with the connection at the latest; `on_end` is called when it has."""


OUTCOMES = {
    TaskEvent.DONE: (TaskOutcome.DONE, Count.TASKS_DONE),
    TaskEvent.FAILED: (TaskOutcome.FAILED, Count.TASKS_FAILED),
    TaskEvent.CANCEL: (TaskOutcome.CANCELLED, Count.TASKS_CANCELLED),
    TaskEvent.TIMEOUT: (TaskOutcome.TIMED_OUT, Count.TASKS_TIMED_OUT),
    TaskEvent.KILL: (TaskOutcome.KILLED, Count.TASKS_KILLED),
    TaskEvent.LOST: (TaskOutcome.LOST, Count.TASKS_LOST),
}
"""The events that decide about a task: what is told of it, and what is counted."""


def in_seconds(seconds: float) -> str:
    """`1 second`, `2 seconds`, `0.5 seconds`."""
    return f"{seconds:g} second" + ("" if seconds == 1 else "s")


def time_allowed(task_timeout: float) -> float:
    """After how many seconds a task is given up, so that ours comes before the broker's timeout of the same length.

    The broker counts from when it sends the settings, and in n8n's internal mode its timeout kills the whole runner. So
    ours is earlier by the larger of a second and 2 %, though never by more than a tenth.
    """
    return task_timeout - min(max(1.0, 0.02 * task_timeout), 0.1 * task_timeout)


class TaskInFlight:
    """A task from its accepted offer to its terminal message."""

    def __init__(
        self,
        task_id: str,
        task_type: str,
        channel: Channel,
        executor: Executor,
        config: TaskRunnerConfig,
        clock: Clock,
        timeouts: Timeouts,
        counters: Counters,
        observers: Observers,
        on_finished: Callable[[TaskInFlight], None],
    ) -> None:
        """Accept the task, and wait for its settings.

        Parameters:
            channel: the connection that it came by. Everything about this task is said there or nowhere.
            timeouts: after which it is given up.
            on_finished: called once, when the slot of the task is free.
        """
        self.task_id = task_id
        self.task_type = task_type
        self._channel = channel
        self._executor = executor
        self._config = config
        self._clock = clock
        self._counters = counters
        self._observers = observers
        self._machine = TaskMachine()
        self._timeouts = timeouts
        self._settings = NO_SETTINGS
        self._settings_bytes = 0
        self._origin = UNKNOWN
        self._identity = TaskIdentity(task_id)
        self._accepted_at = clock.now()
        self._started_at: float | None = None
        self._ended_as = TaskOutcome.LOST
        self._execution: asyncio.Task[None] | None = None
        self._outcome: Outcome | None = None
        self._failure: TaskFailed | None = None
        self._prints = 0
        self._questions = Questions(task_id, channel.send)
        self._on_finished = on_finished
        self._restart_timer()
        channel.send(TaskAccepted(task_id))
        counters.add(Count.TASKS_ACCEPTED)
        self._tell("Accepted task %s", task_id)

    @property
    def state(self) -> TaskState:
        """Where the task stands."""
        return self._machine.state

    def seen(self) -> RunningTask:
        """The task as others may see it."""
        from runner.observe.events import RunningTask

        age = self._clock.now() - self._accepted_at
        return RunningTask(self._identity, self.state.value, age, self._settings_bytes)

    # What can happen to it

    def start(self, settings: Raw) -> None:
        """The settings came."""
        if self.state is not TaskState.ACCEPTED:
            self._log.warning("Ignored further settings for task %s", self.task_id)
            return
        self._settings = settings
        self._settings_bytes = len(memoryview(settings))
        self._origin = origin = Origin.of(settings)
        self._identity = TaskIdentity(
            self.task_id, origin.node_id, origin.node_name, origin.workflow_id, origin.workflow_name
        )
        self._fire(TaskEvent.SETTINGS)

    def answer(self, message: RpcResponse | TaskDataResponse) -> None:
        """The broker answers what was asked on behalf of this task."""
        self._questions.answer(message)

    def cancel(self, reason: str) -> None:
        """The broker has given the task up."""
        self._abort(TaskEvent.CANCEL, "Task was cancelled", reason)

    def time_out(self) -> None:
        """The task timeout has passed."""
        limit = in_seconds(self._config.task_timeout)
        if self.state is TaskState.ACCEPTED:
            self._abort(TaskEvent.TIMEOUT, f"Task settings did not come within {limit}")
        else:
            self._abort(TaskEvent.TIMEOUT, f"Task execution timed out after {limit}")

    def kill(self) -> None:
        """The runner stops, and waits no longer."""
        grace = in_seconds(self._config.graceful_shutdown_timeout)
        self._abort(TaskEvent.KILL, f"Task was killed because the runner is shutting down (it was given {grace})")

    def lose(self) -> None:
        """Its connection is gone."""
        self._abort(TaskEvent.LOST, "The connection that it came by has ended")

    def _abort(self, event: TaskEvent, message: str, reason: str = "") -> None:
        if self.state not in {TaskState.ACCEPTED, TaskState.RUNNING}:
            return
        self._failure = TaskFailed(message)
        self._log.warning("Aborted task %s: %s%s", self.task_id, message, f" ({reason})" if reason else "")
        self._fire(event)

    def _fire(self, event: TaskEvent) -> None:
        """Fire an event and perform what it asks for."""
        step = self._machine.fire(event)
        if step.after is not step.before and event in OUTCOMES:
            self._ended_as, count = OUTCOMES[event]
            self._counters.add(count)
        for effect in step.effects:
            try:
                self._PERFORMERS[effect](self)
            except Exception:  # noqa: BLE001 - logged, and a bug in one effect must not keep the others from being tried
                self._log.exception("Task %s: the effect %s failed, which is a bug", self.task_id, effect.value)
                self._counters.add(Count.CRASHES)

    # What is done about it

    def _restart_timer(self) -> None:
        self._timeouts.set(self.time_out)

    def _stop_timer(self) -> None:
        self._timeouts.stop(self.time_out)

    def _start_execution(self) -> None:
        self._started_at = self._clock.now()
        if self._observers:
            from runner.observe.events import TaskStarted

            waited = self._started_at - self._accepted_at
            self._observers.tell(Observer.on_task_started, TaskStarted(self._identity, waited, self._settings_bytes))
        # on_end is for one that is cancelled before its first step, which never gets to the end of _execute
        self._execution = self._channel.spawn(self._execute(), f"task {self.task_id}", self._execution_ended)

    def _abort_execution(self) -> None:
        self._questions.end()
        if self._execution is not None:
            self._execution.cancel()

    async def _execute(self) -> None:
        """Have the executor run the task, and keep what came of it."""
        try:
            returned = await self._executor.execute(self._request())
            self._outcome = _outcome(returned, payload_limit(self._config.max_payload_size))
        except TaskFailed as failure:
            self._failure = self._failure or failure
        except Exception as error:  # noqa: BLE001 - logged; whatever an executor does, the task gets its end
            self._log.exception("The executor failed on task %s, which is a bug", self.task_id)
            self._counters.add(Count.CRASHES)
            self._failure = self._failure or TaskFailed(f"The executor failed: {type(error).__name__}")
        self._execution_ended()  # now, and not a turn of the event loop later

    def _request(self) -> TaskRequest:
        """What the executor is asked for. From here on the settings, which may be large, are its own to let go of."""
        settings, self._settings = self._settings, NO_SETTINGS
        task_log = TaskLog(TASK_LOG, self._identity)
        return TaskRequest(self.task_id, settings, self._print, self._questions, self.task_type, task_log)

    def _execution_ended(self) -> None:
        """Hear of the end of the execution, however it came about: by itself, or because it was aborted."""
        if self.state is TaskState.FINISHED:
            return
        self._questions.end()
        if self.state is TaskState.ABORTING:
            self._fire(TaskEvent.GONE)
        elif self._failure is None and self._outcome is not None:
            self._fire(TaskEvent.DONE)
        else:
            self._fire(TaskEvent.FAILED)

    def _print(self, arguments: Raw) -> None:
        """Show what the code printed: in n8n, and in the runner's own log."""
        if self.state is not TaskState.RUNNING:
            return
        self._prints += 1
        self._channel.send(Rpc(f"{self.task_id}-{self._prints}", self.task_id, LOG_NODE_OUTPUT, arguments))
        if user_log.isEnabledFor(logging.INFO):
            printed = " ".join(map(str, msgspec.json.decode(arguments, type=list[Any])))
            TaskLog(user_log, self._identity).info("[user code] %s", printed)

    def _send_terminal(self) -> None:
        outcome = self._outcome
        if self._failure is None and outcome is not None:
            done = DoneData(outcome.result, outcome.custom_data or NULL, outcome.static_data or NULL)
            self._channel.send(TaskDone(self.task_id, done))
            self._log_end("Completed", f" ({len(memoryview(outcome.result))} bytes)")
        else:
            failure = self._failure or TaskFailed("Task was cancelled")
            self._send_error(failure)
            self._log_end("Failed", f": {failure.message}")

    def _send_error(self, failure: TaskFailed) -> None:
        """Send a failure; of one that cannot be written as JSON, which is an executor's bug, the message."""
        try:
            self._channel.send(TaskError(self.task_id, failure.as_error_object()))
        except (TypeError, ValueError, OverflowError):
            self._counters.add(Count.CRASHES)
            self._channel.send(TaskError(self.task_id, {"message": str(failure.message)}))

    def _free_slot(self) -> None:
        """Let go of what may be large, as nobody knows when the collector comes, and tell that the slot is free."""
        if self._observers:
            self._observers.tell(Observer.on_task_finished, self._finished())
        self._settings = NO_SETTINGS
        self._outcome = self._failure = self._execution = None
        self._on_finished(self)

    @property
    def _log(self) -> TaskLog:
        """Made afresh, or task and log would keep each other alive."""
        return TaskLog(log, self._identity)

    def _finished(self) -> TaskFinished:
        """What is told of its end."""
        from runner.observe.events import TaskFinished

        now, failure = self._clock.now(), self._failure
        started = now if self._started_at is None else self._started_at
        line = None if failure is None else failure.details.get("lineNumber")
        return TaskFinished(
            self._identity,
            self._ended_as,
            waited=started - self._accepted_at,
            duration=now - started,
            settings_bytes=self._settings_bytes,
            result_bytes=0 if failure is not None or self._outcome is None else len(memoryview(self._outcome.result)),
            error="" if failure is None else str(failure.message),
            line=line if isinstance(line, int) else None,
        )

    def _whence(self) -> str:
        """Where it comes from, in words. Tasks of other types than n8n's own seldom say."""
        if self.task_type != PYTHON and self._origin == UNKNOWN:
            return f'a request of the type "{self.task_type}"'
        return str(self._origin)

    def _log_end(self, how: str, what: str) -> None:
        if log.isEnabledFor(logging.INFO):
            duration = round((self._clock.now() - self._accepted_at) * 1000)
            self._tell("%s task %s in %dms%s for %s", how, self.task_id, duration, what, self._whence())

    def _tell(self, words: str, *arguments: object) -> None:
        """Log what names this task. Not by an adapter, whose steps each task would pay for twice."""
        log.info(words, *arguments, extra={"task": self._identity, **SAYS_IT})

    _PERFORMERS: ClassVar[dict[TaskEffect, Callable[[TaskInFlight], None]]] = {
        TaskEffect.START_EXECUTION: _start_execution,
        TaskEffect.RESTART_TIMER: _restart_timer,
        TaskEffect.STOP_TIMER: _stop_timer,
        TaskEffect.ABORT_EXECUTION: _abort_execution,
        TaskEffect.SEND_TERMINAL: _send_terminal,
        TaskEffect.FREE_SLOT: _free_slot,
    }
    """What is done about each effect. Not kept in each task, where it would keep the task alive."""


def _outcome(returned: Raw | Outcome, limit: int) -> Outcome:
    """What an executor has returned.

    Raises:
        TypeError: it is not what an executor may return.
        TaskFailed: the result, with what is left beside it, has more than `limit` bytes. All of it is one message: one
            that is too long costs the connection, and with it all tasks of others.
    """
    if not isinstance(returned, Raw | Outcome):
        raise TypeError(f"an executor has to return msgspec.Raw or an Outcome, not {type(returned).__name__}")
    outcome = returned if isinstance(returned, Outcome) else Outcome(returned)
    beside = sum(len(memoryview(part)) for part in (outcome.custom_data, outcome.static_data) if part is not None)
    size = len(memoryview(outcome.result)) + beside
    if size > limit:
        what = "The result, with the custom and static data beside it," if beside else "The result"
        raise TaskFailed(
            f"{what} is too large: it has {size} bytes, and at most {limit} can be sent to n8n",
            "N8N_RUNNERS_MAX_PAYLOAD says how large a message may be; n8n itself takes at most 512 MiB.",
        )
    return outcome
