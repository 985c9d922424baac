"""What the simulation has found, each as the shortest script that shows it."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec import Raw

from runner import AuthenticationFailed, Count
from runner.protocol.codec import encode
from runner.protocol.messages import ACKNOWLEDGEMENT_WINDOW_ELAPSED, TaskCancel
from statemachine import ConnectionState
from tests.simulation.executor import CLOSING_SHARE
from tests.simulation.network import TO_BROKER, Armed
from tests.simulation.plan import Trouble
from tests.simulation.rules import Moment
from tests.simulation.scripted import Scripted

TASK = Raw(json.dumps({"request": 1, "behaviour": "BRIEF", "seconds": 0.1}).encode())


def test_an_executor_that_cannot_close_does_not_hide_the_refusal() -> None:
    sim = Scripted()
    sim.network.answers.append(Trouble.ANSWER_401)
    sim.executor.failing = Trouble.EXECUTOR_STUCK_CLOSING

    async def script() -> None:
        start = sim.start()
        with pytest.raises(AuthenticationFailed):
            await start
        sim.world.ended()
        sim.check(Moment.ENDED)
        assert sim.runner.counters[Count.CRASHES] == 1

    sim.play(script())


def test_several_accepts_missed_at_once_leave_no_more_offers_than_slots_with_the_broker() -> None:
    sim = Scripted(slots=2)

    async def script() -> None:
        start = await sim.listening()
        sim.network.armed += [Armed(Trouble.LOSE, TO_BROKER, "runner:taskaccepted")] * 2
        for _ in range(2):
            sim.broker.rules.request(TASK)
        await asyncio.sleep(2.001)
        # every answer was lost, so two windows have elapsed in the same moment, each with a cancel of its own
        assert sim.broker.rules.offer_count == 0
        await asyncio.sleep(0.05)
        assert sim.runner.running_tasks == 2
        assert sim.broker.rules.offer_count == 0
        assert sim.runner.counters[Count.TASKS_REJECTED] == 0, "an offer too many was matched"
        await asyncio.sleep(1)
        assert sim.runner.counters[Count.TASKS_DONE] == 2
        await sim.runner.stop()
        await start

    sim.play(script())


def test_an_elapsed_window_right_behind_another_cancel_costs_no_offer_too_many() -> None:
    sim = Scripted(slots=2)

    async def script() -> None:
        start = await sim.listening()
        sim.network.armed += [Armed(Trouble.LOSE, TO_BROKER, "runner:taskaccepted")] * 2
        tasks = [sim.broker.rules.request(TASK) for _ in range(2)]
        await asyncio.sleep(0.1)
        connection = sim.network.current
        assert connection is not None
        before = sim.runner.counters[Count.OFFERS_MADE]
        for task, reason in zip(tasks, ("Task request expired", ACKNOWLEDGEMENT_WINDOW_ELAPSED), strict=True):
            connection.carry_to_runner(encode(TaskCancel(task.task_id, reason)))
        await asyncio.sleep(0.01)
        assert sim.runner.counters[Count.OFFERS_MADE] - before == 2
        await sim.runner.stop()
        await start

    sim.play(script())


def test_a_runner_that_was_refused_and_stopped_at_once_goes_to_rest_in_order() -> None:
    sim = Scripted()
    sim.network.answers.append(Trouble.ANSWER_403)

    async def script() -> None:
        start = sim.start()
        await sim.runner.reached(ConnectionState.AUTH_FAILED)
        await sim.runner.stop()
        await sim.runner.stop()
        await asyncio.wait({start})
        sim.world.ended()
        sim.check(Moment.ENDED)
        assert sim.runner.state is ConnectionState.DISCONNECTED

    sim.play(script())


def test_stop_does_not_wait_for_an_executor_that_takes_long_to_start() -> None:
    sim = Scripted(executor_time=60)

    async def script() -> None:
        start = sim.start()
        await asyncio.sleep(1)
        await sim.runner.stop()
        await start
        assert sim.now < 1 + 60 * CLOSING_SHARE + 0.1
        sim.world.ended()
        sim.check(Moment.ENDED)
        assert sim.runner.path == ()

    sim.play(script())
