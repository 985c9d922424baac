"""The causes behind n8n's «Task request timed out», each said once in the log, with what to do."""

from __future__ import annotations

import asyncio
import logging

import pytest
from msgspec import Raw

from runner import TaskRequest, TaskRunner, TaskRunnerConfig
from runner.observe.causes import CAUSES, CauseWatch
from statemachine import ConnectionState
from tests.scripted_broker import ScriptedBroker
from tests.support import AUTH_TOKEN, ManualClock


class Waiting:
    """An executor whose tasks last until they are told to end."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def start(self) -> None:
        pass

    async def execute(self, request: TaskRequest) -> Raw:
        await self.may_end.wait()
        return Raw(b"[]")

    async def close(self) -> None:
        pass


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "runner.observe.causes"]


def runner_of(
    broker: ScriptedBroker, clock: ManualClock, executor: Waiting | None = None, heartbeat: float = 1000
) -> TaskRunner:
    config = TaskRunnerConfig(
        auth_token=AUTH_TOKEN,
        task_broker_uri=broker.uri,
        max_concurrency=2,
        task_timeout=3600,
        heartbeat_interval=heartbeat,
    )
    return TaskRunner(config, executor=executor or Waiting(), clock=clock)


async def test_a_runner_that_does_not_get_through_says_where_to_look_once_for_each_time(
    scripted: ScriptedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    runner, began = runner_of(scripted, clock), clock.now()
    scripted.statuses.extend([503] * 20)
    with caplog.at_level(logging.WARNING), CauseWatch(runner, clock):
        async with runner:
            for _ in range(20):
                await runner.reached(ConnectionState.BACKOFF)
                assert len(said(caplog)) == (clock.now() - began >= 40)
                await clock.advance(5)
            (words,) = said(caplog)
            assert "HTTP 503" in words
            assert scripted.uri in words
            assert "N8N_RUNNERS_MODE=external" in words
            connection = await scripted.accept()
            await connection.register()
            await runner.reached(ConnectionState.LISTENING)
            await clock.advance(10)
            scripted.statuses.extend([503] * 20)
            await connection.socket.close(code=1001)
            for _ in range(9):
                await runner.reached(ConnectionState.BACKOFF)
                await clock.advance(5)
            assert len(said(caplog)) == 2


async def test_slots_that_stay_busy_are_said_with_the_variable_that_gives_more(
    scripted: ScriptedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    executor = Waiting()
    runner = runner_of(scripted, clock, executor)
    with caplog.at_level(logging.WARNING), CauseWatch(runner, clock):
        async with runner:
            connection = await scripted.accept()
            await connection.register()
            await connection.give_task("one", {})
            await clock.advance(60)
            await connection.ping_answered()
            assert said(caplog) == []
            connection.forget()
            while not connection.heard("runner:taskoffer"):  # one that is good still
                await clock.advance(1)
            await connection.give_task("two", {})
            await clock.advance(20)
            assert said(caplog) == []
            await clock.advance(60)
            (words,) = said(caplog)
            assert words.startswith("All 2 slots have been busy")
            assert "N8N_RUNNERS_MAX_CONCURRENCY" in words
            executor.may_end.set()
            await connection.expect("runner:taskdone")


async def test_a_silent_broker_is_said(
    scripted: ScriptedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    runner = runner_of(scripted, clock, heartbeat=30)
    with caplog.at_level(logging.WARNING), CauseWatch(runner, clock):
        async with runner:
            connection = await scripted.accept()
            await connection.register()
            await runner.reached(ConnectionState.LISTENING)
            await clock.advance(55)
            assert said(caplog) == []
            await clock.advance(20)
            (words,) = said(caplog)
            assert "The broker has been silent for" in words


async def test_it_looks_no_more_after_its_end(scripted: ScriptedBroker, clock: ManualClock) -> None:
    with CauseWatch(runner_of(scripted, clock), clock):
        assert clock.pending
    assert clock.pending == []


def test_every_cause_is_told_apart() -> None:
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)
