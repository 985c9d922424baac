"""A runner is ready when its channel is: what is said of it is true at every moment."""

from __future__ import annotations

import random

import pytest

from runner import Readiness, TaskRunner, TaskRunnerConfig
from runner.observe.counters import Counters
from runner.observe.observers import Observers
from runner.observe.readiness import readiness_of
from runner.tasks.offers import GRACE, SPREAD, VALIDITY, Offers
from statemachine import ConnectionState
from tests.runner.test_offers_and_tasks import Gate
from tests.scripted_broker import RunnerConnection, ScriptedBroker
from tests.support import AUTH_TOKEN, ManualClock, eventually

S = ConnectionState
HEARTBEAT = 10_000


def runner_of(scripted: ScriptedBroker, clock: ManualClock) -> TaskRunner:
    config = TaskRunnerConfig(
        auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri, heartbeat_interval=HEARTBEAT, max_connection_age=0
    )
    return TaskRunner(config, clock=clock, executor=Gate())


async def connected(scripted: ScriptedBroker) -> RunnerConnection:
    connection = await scripted.accept()
    await connection.say("broker:inforequest")
    await connection.expect("runner:info")
    return connection


async def test_a_runner_is_ready_from_its_registration_to_the_loss_of_its_connection(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    runner = runner_of(scripted, clock)
    assert runner.readiness.reasons == ("The connection is in disconnected, not in listening",)
    async with runner:
        connection = await connected(scripted)
        await runner.reached(S.AUTHENTICATED)
        assert runner.readiness.reasons == ("The connection is in authenticated, not in listening",)
        await connection.say("broker:runnerregistered")
        await runner.reached(S.LISTENING)
        assert runner.readiness == Readiness()
        assert runner.readiness.is_ready
        await connection.socket.close(code=1001)
        await runner.reached(S.BACKOFF)
        (reason,) = runner.readiness.reasons
        assert reason == "The connection is in backoff, not in listening: the broker is going away (code 1001)"
        await clock.advance(5)
        await (await connected(scripted)).say("broker:runnerregistered")
        await runner.reached(S.LISTENING)
        assert runner.readiness.is_ready
    assert not runner.readiness.is_ready


@pytest.mark.parametrize("sign", ["ping", "pong", "message", "binary frame"])
async def test_a_silent_broker_makes_it_unready_until_there_is_a_sign_of_life(
    sign: str, scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with runner_of(scripted, clock) as runner:
        connection = await connected(scripted)
        await connection.say("broker:runnerregistered")
        await runner.reached(S.LISTENING)
        await clock.advance(2 * HEARTBEAT)
        assert runner.readiness.is_ready
        await clock.advance(1)
        (reason,) = runner.readiness.reasons
        assert reason == "The broker has been silent for 20001 s; something should be heard every 10000 s"
        if sign == "ping":
            await connection.socket.ping()
        elif sign == "pong":
            await connection.socket.pong()
        elif sign == "message":
            await connection.say("broker:of-the-future")
        else:
            await connection.socket.send_bytes(b"\0")
        await eventually(lambda: runner.readiness.is_ready, "ready again")


def test_a_free_slot_without_an_offer_is_told_from_one_that_has_just_been_freed() -> None:
    clock, free = ManualClock(), 2
    offers = Offers(
        "python", clock, Counters(), Observers(lambda: None), lambda: free, lambda _: None, random.Random(1)
    )
    offers.start()
    assert offers.missing_for == 0
    stuck = VALIDITY + SPREAD + GRACE + 3
    clock._now += stuck  # nothing rings: what offers again is stuck
    assert 3 <= offers.missing_for <= 3 + SPREAD
    free = 0
    assert offers.missing_for == 0


def test_every_reason_is_given() -> None:
    readiness = readiness_of(S.LISTENING, why="", silent_for=61, heartbeat_interval=30, offers_missing_for=1.5)
    assert readiness.reasons == (
        "The broker has been silent for 61 s; something should be heard every 30 s",
        "A free slot has not been offered for 2 s",
    )
    assert readiness_of(S.LISTENING, why="", silent_for=60, heartbeat_interval=30, offers_missing_for=1).is_ready
