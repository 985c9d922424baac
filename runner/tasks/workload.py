"""Everything that a connection is for: it answers the broker's messages with offers, tasks and rejections."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runner.clock import Alarm, Clock, Timeouts
from runner.config import TaskRunnerConfig
from runner.execution.executor import Executor
from runner.observe.counters import Count, Counters
from runner.observe.observers import Observers, TaskIdentity
from runner.protocol.messages import (
    ACKNOWLEDGEMENT_WINDOW_ELAPSED,
    BrokerMessage,
    Drain,
    RejectReason,
    RpcResponse,
    RunnerMessage,
    TaskCancel,
    TaskDataResponse,
    TaskOfferAccept,
    TaskRejected,
    TaskSettings,
)
from runner.tasks.served import ServedType
from runner.tasks.task import Channel, TaskInFlight, time_allowed
from runner.tasks.task_log import SAYS_IT, TaskLog

if TYPE_CHECKING:  # made only when somebody observes
    from runner.observe.events import RunningTask

log = logging.getLogger(__name__)


class TaskWorkload:
    """The offers and the tasks of one runner."""

    def __init__(
        self,
        config: TaskRunnerConfig,
        clock: Clock,
        counters: Counters,
        observers: Observers,
        executors: Mapping[str, Executor],
        entropy: random.Random,
        on_idle: Callable[[], None],
    ) -> None:
        """A workload without a connection.

        Parameters:
            executors: who runs the tasks of each type that is served.
            entropy: for the offers.
            on_idle: called when there has been no task for the auto shutdown timeout.
        """
        self._config = config
        self._clock = clock
        self._counters = counters
        self._observers = observers
        self._channel: Channel | None = None
        self._tasks: dict[str, TaskInFlight] = {}
        self._no_tasks = asyncio.Event()
        self._no_tasks.set()
        self._types = {
            name: ServedType(name, executor, config.max_concurrency, clock, counters, observers, self._send, entropy)
            for name, executor in executors.items()
        }
        self._refusing = False
        self._counting_idle_time = False
        self._idle = Alarm(clock, on_idle)
        self._grace = Alarm(clock, self._kill_tasks)
        self._timeouts = Timeouts(clock, time_allowed(config.task_timeout))
        self._handlers: dict[type, Callable[[Any], None]] = {
            TaskOfferAccept: self._on_accept,
            TaskSettings: self._on_settings,
            TaskCancel: self._on_cancel,
            RpcResponse: self._on_answer,
            TaskDataResponse: self._on_answer,
            Drain: self._on_drain,
        }

    @property
    def task_types(self) -> list[str]:
        """The task types that are served."""
        return list(self._types)

    @property
    def running_tasks(self) -> int:
        """How many slots are taken."""
        return len(self._tasks)

    @property
    def open_offers(self) -> int:
        """How many slots are on offer."""
        return sum(len(served.offers) for served in self._types.values())

    @property
    def offers_missing_for(self) -> float:
        """How long there has been a free slot without an offer, in seconds; 0 when there is none."""
        return max(served.offers.missing_for for served in self._types.values())

    @property
    def slots(self) -> int:
        """How many tasks may run at the same time, of all types together."""
        return sum(served.slots for served in self._types.values())

    @property
    def tasks(self) -> tuple[RunningTask, ...]:
        """The tasks that hold a slot, in the order in which they were accepted."""
        return tuple(task.seen() for task in self._tasks.values())

    def _send(self, message: RunnerMessage) -> None:
        if self._channel is not None:
            self._channel.send(message)

    # What the connection asks for

    def attach(self, channel: Channel) -> None:
        """From here on, speak on this connection."""
        self._channel = channel
        self._refusing = False
        self._no_tasks = asyncio.Event()  # of this event loop, should the runner have been in another before
        self._no_tasks.set()

    def start_offers(self) -> None:
        """Offer every free slot, and go on offering."""
        for served in self._types.values():
            served.offers.start()

    def stop_offers(self) -> None:
        """Make no more offers and forget the open ones."""
        for served in self._types.values():
            served.offers.stop()

    def start_idle_timer(self) -> None:
        """Count the time without a task, if auto shutdown is on."""
        self._counting_idle_time = self._config.is_auto_shutdown_enabled
        self._watch_idleness()

    def stop_idle_timer(self) -> None:
        """Stop counting."""
        self._counting_idle_time = False
        self._idle.stop()

    def lose_tasks(self) -> None:
        """Abort every task, because its connection is gone."""
        self._take_no_more()
        for task in tuple(self._tasks.values()):
            task.lose()

    def shut_down(self) -> None:
        """From here on, reject what is accepted, and abort the tasks that outlast the graceful timeout."""
        self._take_no_more()
        if self._tasks:
            self._grace.set(self._config.graceful_shutdown_timeout)

    def _take_no_more(self) -> None:
        """The timer of the timeouts, which stays from task to task, ends with the last of them."""
        self._refusing = True
        if not self._tasks:
            self._timeouts.stop_all()

    async def drained(self) -> None:
        """Wait until all tasks have ended."""
        await self._no_tasks.wait()

    def _kill_tasks(self) -> None:
        for task in tuple(self._tasks.values()):
            task.kill()

    # What the broker says

    def receive(self, message: BrokerMessage) -> None:
        """Hear a message of the broker. Returns at once."""
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message)

    def _on_accept(self, message: TaskOfferAccept) -> None:
        served = next((served for served in self._types.values() if message.offer_id in served.offers), None)
        reason = self._why_not(message, served)
        if reason is not None:
            self._counters.add(Count.TASKS_REJECTED)
            self._observers.task_rejected(message.task_id, reason)
            _log_of(message.task_id).info("Rejected task %s: %s", message.task_id, reason, extra=SAYS_IT)
            self._send(TaskRejected(message.task_id, reason))
            if served is not None:
                served.offers.refresh()  # it has used an offer up, and no slot
        elif served is not None and self._channel is not None:
            self._idle.stop()
            self._no_tasks.clear()
            served.running += 1
            self._tasks[message.task_id] = TaskInFlight(
                message.task_id,
                served.name,
                self._channel,
                served.executor,
                self._config,
                self._clock,
                self._timeouts,
                self._counters,
                self._observers,
                self._on_finished,
            )

    def _why_not(self, message: TaskOfferAccept, served: ServedType | None) -> str | None:
        """Why a task cannot be taken, if it cannot. `served` is the type that has been offered, if it has."""
        if self._refusing:
            return RejectReason.SHUTTING_DOWN
        reason = RejectReason.OFFER_EXPIRED if served is None else served.offers.take(message.offer_id)
        if reason is None and message.task_id in self._tasks:
            return RejectReason.DUPLICATE
        return reason

    def _on_settings(self, message: TaskSettings) -> None:
        task = self._tasks.get(message.task_id)
        if task is None:
            _log_of(message.task_id).warning(
                "Ignored settings for a task that is not here: %s", message.task_id, extra=SAYS_IT
            )
        else:
            task.start(message.settings)

    def _on_answer(self, message: RpcResponse | TaskDataResponse) -> None:
        """Pass an answer on; a task that has ended meanwhile needs none."""
        task = self._tasks.get(message.task_id)
        if task is not None:
            task.answer(message)

    def _on_cancel(self, message: TaskCancel) -> None:
        for served in self._types.values():
            served.offers.hold()
        if message.reason == ACKNOWLEDGEMENT_WINDOW_ELAPSED:
            log.warning(
                "The broker did not hear our answer to an accept in time, so that a task may fail in n8n with «Task "
                "request timed out»; offering all slots afresh. If this goes on, the network or this machine is too "
                "slow: look for stalls of the event loop in this log"
            )
            for served in self._types.values():
                served.offers.forget()
        task = self._tasks.get(message.task_id)
        if task is not None:
            task.cancel(message.reason)

    def _on_drain(self, _: Drain) -> None:
        """n8n stops: go on as before, offers included, until it closes the connection.

        It takes no new requests from here on, but those that wait for a runner already are matched to what is offered,
        and it waits for them as for all tasks. Without offers they are stuck: n8n hangs until its own timeout for
        shutting down (30 s), and then ends without an answer to whoever called them.
        """
        log.info(
            "The broker is draining, because n8n stops: what it has is finished before it goes. New tasks fail there "
            "at once, with «Task request timed out»"
        )

    def _on_finished(self, task: TaskInFlight) -> None:
        del self._tasks[task.task_id]
        served = self._types[task.task_type]
        served.running -= 1
        if not self._tasks:
            self._no_tasks.set()
            self._grace.stop()
            if self._refusing:
                self._timeouts.stop_all()
        served.offers.refresh()
        self._watch_idleness()

    def _watch_idleness(self) -> None:
        if self._counting_idle_time and not self._tasks:
            self._idle.set(self._config.auto_shutdown_timeout)


def _log_of(task_id: str) -> TaskLog:
    """The log of a task that is not here."""
    return TaskLog(log, TaskIdentity(task_id))
