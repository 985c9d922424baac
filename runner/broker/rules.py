"""The rules of a task broker, without any I/O: it matches requests with offers, and times everything.

Runners are peers that frames are sent to and come from; who carries them is `runner.broker.server`'s business. The
rules are those of n8n 2.41:

- Requests wait in one queue, first in, first out, and are matched with offers of their type as both come.
- A match has to be acknowledged within two seconds. If it is not, the request goes back to the head of the queue
  and *all* open offers of that runner are thrown away; after three such windows in a row it is unresponsive.
- The task timeout counts from the settings. A task whose runner is gone has failed.
- Once draining, nothing new is taken; what runs may end.

Where n8n shrugs, this broker takes notes: whatever a runner should not have sent is a `Violation`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Raw

from runner.broker.desk import Desk
from runner.broker.limits import (
    EVICTED,
    GOING_AWAY,
    MAX_DEFERRALS,
    NOT_UTF8,
    UNRESPONSIVE,
    BrokerLimits,
    Violation,
)
from runner.broker.runners import ConnectedRunner, Offer, Peer
from runner.broker.service import TaskService
from runner.broker.tasks import EndOfTask, RequestedTask, RequestState, TaskEnd, new_task_id
from runner.clock import Alarm, Clock, Timeouts
from runner.protocol.codec import STRING_CEILING, MalformedMessage, check_utf8, decode_runner_message, encode
from runner.protocol.messages import (
    ACKNOWLEDGEMENT_WINDOW_ELAPSED,
    BrokerMessage,
    Drain,
    Info,
    InfoRequest,
    NodeTypesRequest,
    Rpc,
    RunnerMessage,
    RunnerRegistered,
    TaskAccepted,
    TaskCancel,
    TaskDataRequest,
    TaskDeferred,
    TaskDone,
    TaskError,
    TaskOffer,
    TaskOfferAccept,
    TaskRejected,
    TaskSettings,
)

log = logging.getLogger(__name__)

Question = Rpc | TaskDataRequest | NodeTypesRequest
Ask = Callable[[ConnectedRunner, RequestedTask, Any], None]


class TaskBroker:
    """Matches requests with the offers of runners, and carries what they say to each other."""

    def __init__(self, clock: Clock, limits: BrokerLimits | None = None, entropy: random.Random | None = None) -> None:
        """A broker without runners and without requests. `entropy` is for the names of tasks."""
        self._entropy = entropy or random.SystemRandom()
        self.limits = limits or BrokerLimits()
        self.violations: list[Violation] = []
        self.draining = False
        self._clock = clock
        self._runners: dict[Peer, ConnectedRunner] = {}
        self._queue: list[RequestedTask] = []
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._requests = Timeouts(clock, self.limits.request_timeout)
        self._windows = Timeouts(clock, self.limits.accept_timeout)
        self._runs = Timeouts(clock, self.limits.task_timeout)
        self.desk = Desk(self._send, self._violation, self._give_up)
        self._handlers: dict[type[RunnerMessage], Callable[[ConnectedRunner, Any], None]] = {
            Info: self._on_info,
            TaskOffer: self._on_offer,
            TaskAccepted: self._on_accepted,
            TaskRejected: self._on_rejected,
            TaskDeferred: self._on_deferred,
            TaskDone: self._on_done,
            TaskError: self._on_error,
            Rpc: partial(self._on_question, ask=self.desk.call),
            TaskDataRequest: partial(self._on_question, ask=self.desk.data),
            NodeTypesRequest: partial(self._on_question, ask=self.desk.node_types),
        }

    @property
    def runner_ids(self) -> list[str]:
        """The runners that are registered."""
        return [runner.runner_id for runner in self._runners.values() if runner.registered]

    @property
    def offer_count(self) -> int:
        """How many offers are open, of all runners."""
        now = self._clock.now()
        return sum(len(runner.open_offers(now)) for runner in self._runners.values())

    # The requester's side

    def request(
        self,
        settings: Raw,
        task_type: str = "python",
        on_print: Callable[[Raw], None] | None = None,
        service: TaskService | None = None,
    ) -> RequestedTask:
        """Ask for a task to be run.

        Parameters:
            settings: what the task is, JSON that the broker does not look into.
            on_print: called with the arguments of each `print` of the code, a JSON list.
            service: serves what the code asks for; without one, data is null and every call fails.
        """
        task = RequestedTask(
            task_type, settings, on_print, service, self._request_expired, self._window_elapsed, self._task_timed_out
        )
        if self.draining:
            task.conclude(EndOfTask.without_runner(TaskEnd.DRAINING))
            return task
        self._busy += 1
        self._idle.clear()
        self._requests.set(task.request_expired)
        self._queue.append(task)
        self._match()
        return task

    def cancel(self, task: RequestedTask, reason: str = TaskEnd.CANCELLED.value) -> None:
        """Give a task up."""
        if task.state is not RequestState.ENDED:
            self._tell_cancelled(task, reason)
            self._conclude(task, EndOfTask.without_runner(TaskEnd.CANCELLED))

    async def drain(self) -> None:
        """Take nothing new, wait until what runs has ended (or the drain timeout has passed), and hang up."""
        self.draining = True
        for runner in tuple(self._runners.values()):
            self._send(runner, Drain())
        deadline = Alarm(self._clock, self._idle.set)
        deadline.set(self.limits.drain_timeout)
        try:
            await self._idle.wait()
        finally:
            deadline.stop()
        for runner in tuple(self._runners.values()):
            runner.peer.close(GOING_AWAY, "the broker is shutting down")

    def close(self) -> None:
        """End every task: there is no broker any more."""
        running = [task for runner in self._runners.values() for task in runner.tasks.values()]
        for task in (*self._queue, *running):
            self._conclude(task, EndOfTask.without_runner(TaskEnd.DRAINING))
        for timeouts in (self._requests, self._windows, self._runs):
            timeouts.stop_all()

    # The transport's side

    def connect(self, runner_id: str, peer: Peer) -> None:
        """A runner has connected."""
        runner = self._runners[peer] = ConnectedRunner(runner_id, peer)
        self._send(runner, InfoRequest())

    def disconnect(self, peer: Peer) -> None:
        """A connection is gone, and with it the runner's offers and tasks."""
        runner = self._runners.pop(peer, None)
        if runner is None:
            return
        for task in tuple(runner.tasks.values()):
            if task.state is RequestState.MATCHED:
                self._requeue(task)
            else:
                self._conclude(task, EndOfTask.without_runner(TaskEnd.RUNNER_LOST))
        self._match()

    def receive(self, peer: Peer, frame: bytes) -> None:
        """Hear one text frame of a runner."""
        runner = self._runners.get(peer)
        if runner is None:
            return  # evicted or hung up on: what it still says is not heard
        try:
            if len(frame) > STRING_CEILING:
                raise MalformedMessage(f"it has {len(frame)} bytes, more than n8n can take in")
            check_utf8(frame)
            message = decode_runner_message(frame)
        except UnicodeDecodeError:
            self._violation(runner, "a frame that is not UTF-8")
            peer.close(NOT_UTF8, "invalid UTF-8")
        except MalformedMessage as malformed:
            self._violation(runner, f"a malformed message: {malformed}")
        else:
            if not runner.registered and not isinstance(message, Info):
                self._violation(runner, f"{type(message).__name__} before it was registered")
            else:
                self._handlers[type(message)](runner, message)

    def _violation(self, runner: ConnectedRunner, what: str) -> None:
        log.warning("Runner %s sent %s", runner.runner_id, what)
        self.violations.append(Violation(runner.runner_id, what))

    def _send(self, runner: ConnectedRunner, message: BrokerMessage) -> None:
        runner.peer.send(encode(message))

    # Registration and offers

    def _on_info(self, runner: ConnectedRunner, message: Info) -> None:
        if runner.registered:
            self._violation(runner, "its info twice")
            return
        for other in tuple(self._runners.values()):
            if other is not runner and other.registered and other.runner_id == runner.runner_id:
                self.disconnect(other.peer)
                other.peer.close(EVICTED, "another runner has this id")
        runner.types = frozenset(message.types)
        runner.registered = True
        self._send(runner, RunnerRegistered())

    def _on_offer(self, runner: ConnectedRunner, message: TaskOffer) -> None:
        if message.task_type not in runner.types:
            self._violation(runner, f"an offer of the type {message.task_type!r}, which it does not serve")
        elif message.offer_id in runner.used_offers:
            self._violation(runner, f"the offer {message.offer_id} twice")
        elif message.valid_for < 1 and message.valid_for != -1:
            self._violation(runner, f"an offer that is valid for {message.valid_for} ms")
        else:
            expiry = math.inf if message.valid_for == -1 else self._clock.now() + message.valid_for / 1000
            runner.use(message.offer_id)
            runner.offers[message.offer_id] = Offer(message.task_type, expiry)
            self._match()

    def _match(self) -> None:
        """Match requests with offers, both in the order in which they came."""
        if not self._queue:
            return
        now = self._clock.now()
        for task in tuple(self._queue):
            for runner in self._runners.values():
                offers = runner.open_offers(now, task.task_type)
                if offers:
                    self._propose(task, runner, offers[0])
                    break

    def _propose(self, task: RequestedTask, runner: ConnectedRunner, offer_id: str) -> None:
        del runner.offers[offer_id]
        self._queue.remove(task)
        task.task_id = new_task_id(self._entropy)
        runner.tasks[task.task_id] = task
        task.state = RequestState.MATCHED
        self._windows.set(task.window_elapsed)
        self._send(runner, TaskOfferAccept(task.task_id, offer_id))

    def _requeue(self, task: RequestedTask) -> None:
        """Put a request back to the head of the queue."""
        self._forget_runner(task)
        self._windows.stop(task.window_elapsed)
        task.state = RequestState.WAITING
        self._queue.insert(0, task)

    # Answers to a match

    def _matched(self, runner: ConnectedRunner, task_id: str, what: str) -> RequestedTask | None:
        """The task that a runner answers about, if it is waiting for an answer."""
        task = runner.tasks.get(task_id)
        if task is not None and task.state is RequestState.MATCHED:
            runner.missed_windows = 0
            return task
        if task_id not in runner.given_up:
            self._violation(runner, f"{what} for the task {task_id}, about which it was not asked")
        return None

    def _on_accepted(self, runner: ConnectedRunner, message: TaskAccepted) -> None:
        task = self._matched(runner, message.task_id, "an acceptance")
        if task is not None:
            task.state = RequestState.RUNNING
            self._requests.stop(task.request_expired)
            self._windows.stop(task.window_elapsed)
            self._runs.set(task.timed_out)
            self._send(runner, TaskSettings(task.task_id, task.settings))

    def _on_rejected(self, runner: ConnectedRunner, message: TaskRejected) -> None:
        task = self._matched(runner, message.task_id, "a rejection")
        if task is not None:
            self._requeue(task)
            self._match()

    def _on_deferred(self, runner: ConnectedRunner, message: TaskDeferred) -> None:
        task = self._matched(runner, message.task_id, "a deferral")
        if task is None:
            return
        self._requeue(task)
        task.deferrals += 1
        if task.deferrals <= MAX_DEFERRALS:
            self._requests.set(task.request_expired)

    # What a running task says

    def _running(self, runner: ConnectedRunner, task_id: str, what: str) -> RequestedTask | None:
        """The task that a runner speaks of, if it runs."""
        task = runner.tasks.get(task_id)
        if task is not None and task.state is RequestState.RUNNING:
            return task
        if task_id not in runner.given_up:
            self._violation(runner, f"{what} for the task {task_id}, which it does not run")
        return None

    def _on_done(self, runner: ConnectedRunner, message: TaskDone) -> None:
        self._on_terminal(runner, message.task_id, EndOfTask.of(message.data))

    def _on_error(self, runner: ConnectedRunner, message: TaskError) -> None:
        if not isinstance(message.error.get("message"), str):
            self._violation(runner, f"an error without a message for the task {message.task_id}")
        self._on_terminal(runner, message.task_id, EndOfTask(TaskEnd.ERROR, error=message.error))

    def _on_terminal(self, runner: ConnectedRunner, task_id: str, end: EndOfTask) -> None:
        task = self._running(runner, task_id, "a terminal message")
        runner.given_up.discard(task_id)  # it has had its last word
        if task is not None:
            runner.missed_windows = 0
            self._conclude(task, end)

    def _on_question(self, runner: ConnectedRunner, message: Question, ask: Ask) -> None:
        what = f"a call of {message.name}" if isinstance(message, Rpc) else f"a {type(message).__name__}"
        task = self._running(runner, message.task_id, what)
        if task is not None:
            ask(runner, task, message)

    # Clocks that run out

    def _window_elapsed(self, task: RequestedTask) -> None:
        runner = self._runner_of(task)
        self._tell_cancelled(task, ACKNOWLEDGEMENT_WINDOW_ELAPSED)
        self._requeue(task)
        if runner is not None and runner.miss_window():
            self._hang_up(runner, "it missed three acknowledgement windows")
        self._match()

    def _request_expired(self, task: RequestedTask) -> None:
        if task.state is RequestState.MATCHED:
            self._tell_cancelled(task, "Task request expired")
        self._conclude(task, EndOfTask.without_runner(TaskEnd.REQUEST_TIMEOUT))
        now = self._clock.now()
        for runner in tuple(self._runners.values()):
            if runner.let_request_expire(now):
                self._hang_up(runner, "it is idle and offers nothing")

    def _task_timed_out(self, task: RequestedTask) -> None:
        self._tell_cancelled(task, TaskEnd.TASK_TIMEOUT.value)
        self._conclude(task, EndOfTask.without_runner(TaskEnd.TASK_TIMEOUT))

    # Ends

    def _give_up(self, task: RequestedTask, why: str) -> None:
        """End a task because of something on this side."""
        self._tell_cancelled(task, why)
        self._conclude(task, EndOfTask(TaskEnd.ERROR, error={"message": why}))

    def _runner_of(self, task: RequestedTask) -> ConnectedRunner | None:
        return next((runner for runner in self._runners.values() if task.task_id in runner.tasks), None)

    def _tell_cancelled(self, task: RequestedTask, reason: str) -> None:
        runner = self._runner_of(task)
        if runner is not None:
            runner.given_up.add(task.task_id)
            self._send(runner, TaskCancel(task.task_id, reason))

    def _forget_runner(self, task: RequestedTask) -> None:
        runner = self._runner_of(task)
        if runner is not None:
            del runner.tasks[task.task_id]

    def _conclude(self, task: RequestedTask, end: EndOfTask) -> None:
        self._forget_runner(task)
        if task.state is RequestState.WAITING:
            self._queue.remove(task)
        self._requests.stop(task.request_expired)
        self._windows.stop(task.window_elapsed)
        self._runs.stop(task.timed_out)
        task.conclude(end)
        self._busy -= 1
        if self._busy == 0:
            self._idle.set()

    def _hang_up(self, runner: ConnectedRunner, why: str) -> None:
        log.warning("Runner %s is unresponsive: %s", runner.runner_id, why)
        self.disconnect(runner.peer)
        runner.peer.close(UNRESPONSIVE, why)
