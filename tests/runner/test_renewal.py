"""An old connection gives way to a fresh one: at once, never while a task depends on it, and without losing a slot."""

from __future__ import annotations

from typing import Any

import pytest

from runner import TaskRunner, TaskRunnerConfig
from runner.connection.effects import RENEWAL_PATIENCE
from runner.connection.retry import AGE_SPREAD
from runner.protocol.messages import RejectReason
from statemachine import ConnectionEvent, ConnectionState
from tests.runner.test_offers_and_tasks import Gate, give_task_as_n8n
from tests.scripted_broker import RunnerConnection, ScriptedBroker
from tests.support import AUTH_TOKEN, ManualClock, settle

AGE = 600.0
YOUNGER = AGE * (1 - AGE_SPREAD) - 1
S = ConnectionState


def runner_of(scripted: ScriptedBroker, clock: ManualClock, gate: Gate | None = None, **more: Any) -> TaskRunner:
    settings = {"auth_token": AUTH_TOKEN, "max_connection_age": AGE, "heartbeat_interval": 10_000, **more}
    config = TaskRunnerConfig(task_broker_uri=scripted.uri, **settings)
    return TaskRunner(config, clock=clock, executor=gate or Gate())


async def registered(scripted: ScriptedBroker, runner: TaskRunner) -> RunnerConnection:
    connection = await scripted.accept()
    await connection.register()
    await runner.reached(S.LISTENING)
    return connection


def renewals(runner: TaskRunner) -> int:
    return sum(entry.event == ConnectionEvent.RENEW.value for entry in runner.journal)


async def test_a_connection_is_renewed_at_its_age_without_the_delay_of_a_loss(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with runner_of(scripted, clock) as runner:
        for count in range(1, 4):
            await registered(scripted, runner)
            await clock.advance(YOUNGER)
            assert (runner.state, renewals(runner)) == (S.LISTENING, count - 1)
            await clock.advance(AGE - YOUNGER)
            assert renewals(runner) == count
        await registered(scripted, runner)
        assert "backoff" not in runner.path


async def test_a_connection_is_not_renewed_while_a_task_runs_on_it_and_its_result_is_sent_first(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with runner_of(scripted, clock, gate, task_timeout=10 * AGE) as runner:
        connection = await registered(scripted, runner)
        await give_task_as_n8n(connection, "t", {})
        await gate.started.get()
        await clock.advance(3 * AGE)
        assert (runner.state, renewals(runner)) == (S.LISTENING, 0)
        gate.finish("t", b'[{"json":{}}]')
        done = await connection.expect("runner:taskdone")
        assert done["taskId"] == "t"
        await registered(scripted, runner)
        assert renewals(runner) == 1


async def test_a_task_that_comes_in_the_last_moment_has_the_connection_wait_once_more(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with runner_of(scripted, clock, gate, task_timeout=10 * AGE) as runner:
        connection = await registered(scripted, runner)
        await give_task_as_n8n(connection, "one", {})
        await give_task_as_n8n(connection, "two", {})
        await gate.started.get()
        await gate.started.get()
        await clock.advance(AGE)
        gate.finish("one")
        await connection.expect("runner:taskdone")
        await clock.advance(RENEWAL_PATIENCE)
        assert renewals(runner) == 0
        gate.finish("two")
        await connection.expect("runner:taskdone")
        await clock.advance(RENEWAL_PATIENCE)
        await registered(scripted, runner)


async def test_what_is_accepted_while_the_connection_is_being_renewed_is_rejected(
    scripted: ScriptedBroker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with runner_of(scripted, clock) as runner:
        connection = await registered(scripted, runner)
        offer = await connection.offer()
        monkeypatch.setattr(runner._effects, "_post", lambda *_: None)  # the driver is slow to hear of it
        await clock.advance(AGE)
        await connection.say("broker:taskofferaccept", taskId="late", offerId=offer)
        rejected = await connection.expect("runner:taskrejected")
        assert (rejected["taskId"], rejected["reason"]) == ("late", RejectReason.OFFER_EXPIRED)
        monkeypatch.undo()


@pytest.mark.parametrize(
    "settings", [{"max_connection_age": 0}, {"auth_token": "", "grant_token": "good for one connection"}]
)
async def test_a_connection_that_cannot_be_renewed_is_kept(
    scripted: ScriptedBroker, clock: ManualClock, settings: dict[str, Any]
) -> None:
    async with runner_of(scripted, clock, **settings) as runner:
        await registered(scripted, runner)
        await clock.advance(10 * AGE)
        assert (runner.state, renewals(runner)) == (S.LISTENING, 0)


async def test_a_shutdown_during_the_wait_for_a_task_still_ends_with_the_graceful_timeout(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with runner_of(scripted, clock, gate, task_timeout=10 * AGE, graceful_shutdown_timeout=7) as runner:
        connection = await registered(scripted, runner)
        await give_task_as_n8n(connection, "t", {})
        await gate.started.get()
        await clock.advance(AGE)
        runner.request_stop("the test says so")
        await settle()
        await clock.advance(7)
        assert "shutting down" in (await connection.expect("runner:taskerror"))["error"]["message"]
        await runner.reached(S.DISCONNECTED)
