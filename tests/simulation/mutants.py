"""Bugs, made on purpose: each breaks the product in one place, and names the rules that have to notice.

A mutant is a function that patches the product. Each is small: a line that somebody could
forget, or turn round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from runner import Observer, Readiness, TaskOutcome
from runner.clock import Alarm
from runner.connection.effects import ConnectionEffects
from runner.connection.link import Link
from runner.execution.executor import PYTHON
from runner.observe.observers import Observers
from runner.protocol.messages import Drain, RejectReason, TaskAccepted, TaskDone, TaskError, TaskOffer
from runner.scope import Scope
from runner.task_runner import TaskRunner
from runner.tasks.offers import Offers
from runner.tasks.served import ServedType
from runner.tasks.task import TaskInFlight
from runner.tasks.workload import TaskWorkload
from statemachine import ConnectionEffect, TaskState

Patch = pytest.MonkeyPatch


@attrs.frozen
class Mutant:
    """A bug, and the rules one of which has to be the first that it breaks."""

    name: str
    rules: frozenset[str]
    apply: Callable[[Patch], None]


_mutants: list[Mutant] = []


def _mutant(*rules: str) -> Callable[[Callable[[Patch], None]], None]:
    def make(apply: Callable[[Patch], None]) -> None:
        _mutants.append(Mutant(apply.__name__, frozenset(rules), apply))

    return make


def _nothing(*_: Any, **__: Any) -> None:
    """What a mutant does instead."""


def _skip_effect(patch: Patch, skipped: ConnectionEffect) -> None:
    """Let one effect of the connection not be performed."""
    perform = ConnectionEffects.perform

    async def perform_others(self: ConnectionEffects, effect: ConnectionEffect, number: int) -> None:
        if effect is not skipped:
            await perform(self, effect, number)

    patch.setattr(ConnectionEffects, "perform", perform_others)


# The connection


@_mutant("timers_stop_first", "retry_timer")
def retry_timer_not_stopped(patch: Patch) -> None:
    _skip_effect(patch, ConnectionEffect.STOP_RETRY_TIMER)


@_mutant("registration_timer", "every_attempt_ends")
def registration_timer_not_started(patch: Patch) -> None:
    _skip_effect(patch, ConnectionEffect.START_REGISTRATION_TIMER)


@_mutant("back_in_listening", "every_attempt_ends")
def retried_after_a_minute(patch: Patch) -> None:
    patch.setattr("runner.connection.effects.retry_delay", lambda spread, entropy: 60.0)


@_mutant("refused_by_401_and_403_alone")
def too_many_requests_is_a_refusal(patch: Patch) -> None:
    patch.setattr("runner.connection.failures.REFUSALS", frozenset({401, 403, 429}))
    patch.setattr("runner.connection.failures.STATUS_MEANINGS", {401: "", 403: "", 429: ""})


@_mutant("no_socket_without_connection", "lost_leaves_nothing")
def socket_of_a_lost_connection_kept(patch: Patch) -> None:
    async def cancel(self: Link) -> None:
        self._die()
        await self._scope.cancel()

    patch.setattr(Link, "cancel", cancel)


@_mutant("lost_leaves_nothing", "coroutines_are_current", "rest_is_empty", "nothing_is_left")
def scope_not_awaited(patch: Patch) -> None:
    async def cancel(self: Scope) -> None:
        self._cancelled = True
        for task in tuple(self._tasks):
            task.cancel()

    patch.setattr(Scope, "cancel", cancel)


# Offers


@_mutant("offers_in_listening", "offers_while_listening")
def offers_kept_over_a_connection(patch: Patch) -> None:
    patch.setattr(Offers, "stop", _nothing)


@_mutant("never_above_the_slots")
def slots_offered_twice(patch: Patch) -> None:
    def refresh(self: Offers) -> None:
        if self._making:
            for _ in range(self._free_slots()):
                self._offer()
        self._set_alarm()

    patch.setattr(Offers, "refresh", refresh)


@_mutant("every_free_slot_is_offered")
def expired_offers_not_renewed(patch: Patch) -> None:
    def expire(self: Offers) -> None:
        self._open.clear()

    patch.setattr(Offers, "_expire", expire)


@_mutant("never_above_the_slots")
def offers_renewed_for_each_elapsed_window(patch: Patch) -> None:
    def forget(self: Offers) -> None:
        self._holding = False
        self._open.clear()
        self.refresh()

    patch.setattr(Offers, "forget", forget)


@_mutant("every_free_slot_is_offered")
def thrown_away_offers_believed_open(patch: Patch) -> None:
    patch.setattr(Offers, "forget", _nothing)


@_mutant("every_free_slot_is_offered")
def no_offers_to_a_broker_that_drains(patch: Patch) -> None:
    def stop_offers(self: TaskWorkload, _: Drain) -> None:
        for served in self._types.values():
            served.offers._making = False

    patch.setattr(TaskWorkload, "_on_drain", stop_offers)


@_mutant("never_above_the_slots")
def slots_of_a_type_taken_from_the_configuration(patch: Patch) -> None:
    def free_slots(self: ServedType) -> int:
        return self._max_concurrency - self.running

    patch.setattr(ServedType, "_free_slots", free_slots)


@_mutant("every_free_slot_is_offered")
def one_type_starves_the_other(patch: Patch) -> None:
    def free_slots(self: ServedType) -> int:
        return self._max_concurrency - self.running if self._limited is None else 0

    patch.setattr(ServedType, "_free_slots", free_slots)


@_mutant("offers_while_listening")
def offers_made_while_shutting_down(patch: Patch) -> None:
    on_finished = TaskWorkload._on_finished

    def finish_and_offer(self: TaskWorkload, task: TaskInFlight) -> None:
        on_finished(self, task)
        if self._refusing:
            self._send(TaskOffer("late", PYTHON, 5000))

    patch.setattr(TaskWorkload, "_on_finished", finish_and_offer)


# Tasks


@_mutant("one_terminal_message")
def terminal_sent_twice(patch: Patch) -> None:
    send = TaskInFlight._send_terminal

    def send_twice(self: TaskInFlight) -> None:
        send(self)
        if self._failure is not None:  # after a failure, as if an error handler repeated it
            send(self)

    # the table of performers holds the function itself
    performers = {**TaskInFlight._PERFORMERS}
    performers.update({effect: send_twice for effect, function in performers.items() if function is send})
    patch.setattr(TaskInFlight, "_PERFORMERS", performers)


@_mutant("every_task_has_an_end", "results_before_the_end", "never_above_the_slots")
def no_terminal_for_a_cancelled_task(patch: Patch) -> None:
    send = TaskInFlight._send_error

    def send_others(self: TaskInFlight, failure: Any) -> None:
        if failure.message != "Task was cancelled":
            send(self, failure)

    patch.setattr(TaskInFlight, "_send_error", send_others)


@_mutant("tasks_stay_on_their_connection")
def results_sent_on_a_later_connection(patch: Patch) -> None:
    send, start, kept = Link.send, Link.start, list[Any]()

    def send_or_keep(self: Link, message: Any) -> None:
        if self._alive:
            send(self, message)
        elif isinstance(message, TaskDone | TaskError):
            kept.append(message)

    def start_with_the_old(self: Link, *callbacks: Any) -> None:
        start(self, *callbacks)
        if self.number == 1:  # of another runner
            kept.clear()
        while kept:
            send(self, kept.pop(0))

    patch.setattr(Link, "send", send_or_keep)
    patch.setattr(Link, "start", start_with_the_old)


@_mutant("every_free_slot_is_offered")
def slot_leaked_by_a_failed_task(patch: Patch) -> None:
    finished = TaskWorkload._on_finished

    def leak(self: TaskWorkload, task: TaskInFlight) -> None:
        finished(self, task)
        if task._prints:
            served = self._types[task.task_type]
            served._max_concurrency = max(1, served._max_concurrency - 1)

    patch.setattr(TaskWorkload, "_on_finished", leak)


@_mutant("each_task_is_told_finished_once")
def ends_of_lost_tasks_not_told(patch: Patch) -> None:
    tell = Observers.tell

    def tell_others(self: Observers, method: Any, event: Any) -> None:
        if getattr(event, "outcome", None) is not TaskOutcome.LOST:
            tell(self, method, event)

    patch.setattr(Observers, "tell", tell_others)


@_mutant("each_task_is_told_finished_once")
def ends_of_aborted_tasks_told_twice(patch: Patch) -> None:
    abort = TaskInFlight._abort

    def abort_and_tell(self: TaskInFlight, *arguments: Any) -> None:
        was_running = self.state is TaskState.RUNNING
        abort(self, *arguments)
        if was_running:
            self._observers.tell(Observer.on_task_finished, self._finished())

    patch.setattr(TaskInFlight, "_abort", abort_and_tell)


@_mutant("every_accept_is_answered")
def stray_accepts_not_answered(patch: Patch) -> None:
    send = TaskWorkload._send

    def send_others(self: TaskWorkload, message: Any) -> None:
        if getattr(message, "reason", "") != RejectReason.OFFER_EXPIRED:
            send(self, message)

    patch.setattr(TaskWorkload, "_send", send_others)


@_mutant("accepts_are_answered_in_time", "every_accept_is_answered", "accepted_before_it_ends")
def accepts_answered_late(patch: Patch) -> None:
    send = Link.send

    def send_late(self: Link, message: Any) -> None:
        if isinstance(message, TaskAccepted):
            asyncio.get_running_loop().call_later(3, send, self, message)
        else:
            send(self, message)

    patch.setattr(Link, "send", send_late)


@_mutant("results_reach_their_requesters")
def results_mixed_up(patch: Patch) -> None:
    ended, last = TaskInFlight._execution_ended, list[Any]()

    def mix_up(self: TaskInFlight) -> None:
        if self._outcome is not None:
            last.append(self._outcome)
            self._outcome = last.pop(0) if len(last) > 1 else self._outcome
        ended(self)

    patch.setattr(TaskInFlight, "_execution_ended", mix_up)


# The end


@_mutant("stop_ends_in_time")
def graceful_timeout_without_an_end(patch: Patch) -> None:
    patch.setattr(TaskWorkload, "_kill_tasks", _nothing)


@_mutant("stop_ends_in_time")
def stop_waits_for_the_executor_to_start(patch: Patch) -> None:
    patch.setattr("runner.task_runner._Run.interrupt_start", _nothing)


@_mutant("shutdown_spares_tasks")
def tasks_not_spared_at_shutdown(patch: Patch) -> None:
    shut_down = TaskWorkload.shut_down

    def kill_at_once(self: TaskWorkload) -> None:
        shut_down(self)
        self._kill_tasks()

    patch.setattr(TaskWorkload, "shut_down", kill_at_once)


@_mutant("broker_gone_kills")
def tasks_outlive_the_broker_in_a_shutdown(patch: Patch) -> None:
    _skip_effect(patch, ConnectionEffect.KILL_TASKS)


@_mutant("results_before_the_end")
def closed_before_the_tasks_have_ended(patch: Patch) -> None:
    async def drained(self: TaskWorkload) -> None:
        self._grace.stop()

    patch.setattr(TaskWorkload, "drained", drained)


@_mutant("nothing_is_left")
def idle_handlers_left_behind(patch: Patch) -> None:
    stop = Alarm.stop

    def stop_others(self: Alarm) -> None:
        if getattr(self._callback, "__name__", "") != "_kill_tasks":
            stop(self)

    patch.setattr(Alarm, "stop", stop_others)


@_mutant("start_ends_as_documented")
def a_running_runner_starts_again(patch: Patch) -> None:
    start = TaskRunner.start

    async def start_anyway(self: TaskRunner) -> None:
        if self._run is None:
            await start(self)

    patch.setattr(TaskRunner, "start", start_anyway)


@_mutant("readiness_is_the_truth")
def heartbeats_not_noted(patch: Patch) -> None:
    patch.setattr(Link, "heard_at", property(lambda self: 0.0, _nothing), raising=False)


@_mutant("readiness_is_the_truth")
def ready_while_it_connects(patch: Patch) -> None:
    patch.setattr(TaskRunner, "readiness", property(lambda self: Readiness()))


@_mutant("readiness_is_the_truth")
def offers_thought_missing(patch: Patch) -> None:
    patch.setattr(Offers, "missing_for", property(lambda self: 2.0))


MUTANTS = tuple(_mutants)
"""Every bug that the simulation is known to find."""
