"""Offers, and the tasks in flight: a real runner, real processes, a broker that says what the test tells it to."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from msgspec import Raw

from runner import Count, Executor, TaskFailed, TaskRequest, TaskRunner, TaskRunnerConfig
from runner.broker import EmbeddedBroker, TaskEnd
from runner.protocol.messages import ACKNOWLEDGEMENT_WINDOW_ELAPSED, RejectReason
from runner.tasks.task import time_allowed
from statemachine import ConnectionState
from tests.scripted_broker import RunnerConnection, ScriptedBroker
from tests.support import (
    AUTH_TOKEN,
    ManualClock,
    code_settings,
    config_for,
    error_of,
    eventually,
    printed,
    result_of,
    run_code,
    settle,
)

S = ConnectionState
FOREVER = "import time\ntime.sleep(600)"


class Gate:
    """An executor whose tasks wait for the test, and that knows what became of them."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[TaskRequest] = asyncio.Queue()
        self.running: set[str] = set()
        self.outcomes: dict[str, asyncio.Future[Raw]] = {}
        self.cleanup = 0

    async def start(self) -> None: ...

    async def close(self) -> None:
        assert not self.running

    async def execute(self, request: TaskRequest) -> Raw:
        self.running.add(request.task_id)
        self.outcomes[request.task_id] = asyncio.get_running_loop().create_future()
        self.started.put_nowait(request)
        try:
            return await self.outcomes[request.task_id]
        finally:
            await settle(self.cleanup)
            self.running.discard(request.task_id)

    def finish(self, task_id: str, result: bytes = b"[]") -> None:
        self.outcomes[task_id].set_result(Raw(result))


@asynccontextmanager
async def listening(
    scripted: ScriptedBroker, clock: ManualClock, executor: Executor | None = None, **more: Any
) -> AsyncIterator[tuple[TaskRunner, RunnerConnection]]:
    """A registered runner and the broker's end of its connection."""
    config = TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri, **more)
    async with TaskRunner(config, clock=clock, executor=executor) as runner:
        connection = await scripted.accept()
        await connection.register()
        await runner.reached(S.LISTENING)
        yield runner, connection
        stopping = asyncio.get_running_loop().create_task(runner.stop())
        await settle()
        await clock.advance(config.graceful_shutdown_timeout)
        await stopping


async def give_task_as_n8n(connection: RunnerConnection, task_id: str, settings: Any) -> None:
    """Accept an offer for a task, and send its settings, written as n8n writes them: without a space."""
    await connection.say("broker:taskofferaccept", taskId=task_id, offerId=await connection.offer())
    await connection.expect("runner:taskaccepted")
    message = {"type": "broker:tasksettings", "taskId": task_id, "settings": settings}
    await connection.say_bytes(json.dumps(message, separators=(",", ":")).encode())


# Offers


async def test_every_free_slot_is_offered_with_a_whole_validity_of_five_seconds_and_a_bit(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock, max_concurrency=7) as (runner, connection):
        offers = [await connection.expect("runner:taskoffer") for _ in range(7)]
        assert len({offer["offerId"] for offer in offers}) == 7
        assert all(isinstance(offer["validFor"], int) and 5000 <= offer["validFor"] <= 5500 for offer in offers)
        assert {offer["taskType"] for offer in offers} == {"python"}
        await connection.ping_answered()
        assert connection.heard("runner:taskoffer") == []
        assert runner.open_offers == 7


async def test_an_offer_is_honoured_for_its_validity_and_a_tenth_of_a_second(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock, max_concurrency=1) as (_, connection):
        offer = await connection.expect("runner:taskoffer")
        await clock.advance(offer["validFor"] / 1000 + 0.09)
        await connection.say("broker:taskofferaccept", taskId="in-time", offerId=offer["offerId"])
        assert (await connection.expect("runner:taskaccepted"))["taskId"] == "in-time"


async def test_an_expired_offer_is_replaced_at_once_and_rejected_with_the_known_text(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock, max_concurrency=1) as (runner, connection):
        old = await connection.expect("runner:taskoffer")
        await clock.advance(old["validFor"] / 1000 + 0.11)
        new = await connection.expect("runner:taskoffer")
        assert new["offerId"] != old["offerId"]
        await connection.say("broker:taskofferaccept", taskId="late", offerId=old["offerId"])
        assert await connection.expect("runner:taskrejected") == {
            "type": "runner:taskrejected",
            "taskId": "late",
            "reason": "Offer expired - not accepted within validity window",
        }
        assert runner.counters[Count.OFFERS_EXPIRED] == 1


async def test_one_timer_serves_all_offers(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock, max_concurrency=50, max_connection_age=0) as (_, connection):
        for _ in range(50):
            await connection.expect("runner:taskoffer")
        assert len(clock.pending) == 1


async def test_an_unknown_offer_is_rejected(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock) as (_, connection):
        await connection.say("broker:taskofferaccept", taskId="t", offerId="never made")
        assert (await connection.expect("runner:taskrejected"))["reason"] == RejectReason.OFFER_EXPIRED


async def test_an_offer_is_good_for_one_task(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock) as (_, connection):
        offer = await connection.offer()
        await connection.say("broker:taskofferaccept", taskId="one", offerId=offer)
        await connection.say("broker:taskofferaccept", taskId="two", offerId=offer)
        assert (await connection.expect("runner:taskaccepted"))["taskId"] == "one"
        assert (await connection.expect("runner:taskrejected"))["taskId"] == "two"


async def test_a_task_that_is_already_here_is_not_taken_twice(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock) as (runner, connection):
        for _ in range(2):
            await connection.say("broker:taskofferaccept", taskId="same", offerId=await connection.offer())
        await connection.expect("runner:taskaccepted")
        assert (await connection.expect("runner:taskrejected"))["reason"] == RejectReason.DUPLICATE
        assert runner.running_tasks == 1


async def test_offers_and_tasks_together_never_exceed_the_slots(scripted: ScriptedBroker, clock: ManualClock) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, max_concurrency=3) as (runner, connection):
        for number in range(3):
            await connection.give_task(f"t{number}", {})
            await gate.started.get()
            assert runner.open_offers + runner.running_tasks == 3
        await clock.advance(20)
        assert runner.open_offers == 0
        gate.finish("t1")
        await connection.expect("runner:taskdone")
        await connection.offer()
        assert (runner.open_offers, runner.running_tasks) == (1, 2)
        await connection.ping_answered()
        assert connection.heard("runner:taskoffer") == []
        gate.finish("t0")
        gate.finish("t2")


async def test_a_slot_that_falls_free_is_offered_right_behind_the_terminal_message(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, max_concurrency=1) as (_, connection):
        await connection.give_task("t", {})
        gate.finish((await gate.started.get()).task_id)
        kinds = [(await connection.receive() or {})["type"] for _ in range(2)]
        assert kinds == ["runner:taskdone", "runner:taskoffer"]


async def test_when_the_acknowledgement_window_elapsed_everything_is_offered_afresh(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock, max_concurrency=3) as (runner, connection):
        old = {await connection.offer() for _ in range(3)}
        await connection.say("broker:taskcancel", taskId="unheard", reason=ACKNOWLEDGEMENT_WINDOW_ELAPSED)
        await connection.ping_answered()
        assert connection.heard("runner:taskoffer") == [], "there may be more of these to hear"
        await clock.advance(0)
        new = {await connection.offer() for _ in range(3)}
        assert not old & new
        assert runner.counters[Count.OFFERS_FORGOTTEN] == 3
        await connection.say("broker:taskofferaccept", taskId="t", offerId=old.pop())
        assert (await connection.expect("runner:taskrejected"))["reason"] == RejectReason.OFFER_EXPIRED


async def test_any_other_cancel_leaves_the_offers_alone(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock, max_concurrency=3) as (runner, connection):
        for _ in range(3):
            await connection.offer()
        await connection.say("broker:taskcancel", taskId="unheard", reason="Task request expired")
        await connection.ping_answered()
        assert connection.heard("runner:taskoffer") == []
        assert runner.open_offers == 3


async def test_accepts_are_answered_while_all_slots_are_busy_and_a_task_is_being_killed(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock, max_concurrency=2) as (_, connection):
        await connection.give_task("a", json.loads(bytes(code_settings(FOREVER))))
        await connection.say("broker:taskcancel", taskId="a", reason="Task cancelled by user")
        await connection.say("broker:taskofferaccept", taskId="b", offerId=await connection.offer())
        async with asyncio.timeout(1):
            assert (await connection.expect("runner:taskaccepted"))["taskId"] == "b"


async def test_a_window_that_elapses_on_a_task_of_ours_costs_no_offer(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, max_concurrency=1) as (_, connection):
        await connection.give_task("t", {})
        await gate.started.get()
        await connection.say("broker:taskcancel", taskId="t", reason=ACKNOWLEDGEMENT_WINDOW_ELAPSED)
        await connection.expect("runner:taskerror")
        await clock.advance(0)
        offer = await connection.offer()
        await connection.ping_answered()
        assert connection.heard("runner:taskoffer") == []
        await connection.say("broker:taskofferaccept", taskId="next", offerId=offer)
        await connection.expect("runner:taskaccepted")


async def test_the_offer_of_a_duplicate_is_used_up(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock, max_concurrency=2) as (runner, connection):
        await connection.say("broker:taskofferaccept", taskId="t", offerId=await connection.offer())
        await connection.say("broker:taskofferaccept", taskId="t", offerId=await connection.offer())
        await connection.expect("runner:taskrejected")
        await connection.offer()
        assert (runner.open_offers, runner.running_tasks) == (1, 1)


# Drain


async def test_a_drain_right_behind_the_registration_changes_nothing(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    config = TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri, max_concurrency=1)
    async with TaskRunner(config, clock=clock) as runner:
        connection = await scripted.accept()
        await connection.register()
        await connection.say("broker:drain")
        await runner.reached(S.LISTENING)
        await connection.offer()


async def test_a_draining_broker_is_offered_what_falls_free(scripted: ScriptedBroker, clock: ManualClock) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, max_concurrency=1) as (runner, connection):
        offer = await connection.offer()
        await connection.say("broker:drain")
        for task_id in ("open", "waits"):
            await connection.say("broker:taskofferaccept", taskId=task_id, offerId=offer)
            await connection.expect("runner:taskaccepted")
            await connection.say("broker:tasksettings", taskId=task_id, settings={})
            await gate.started.get()
            gate.finish(task_id, b'[{"json":{}}]')
            assert (await connection.expect("runner:taskdone"))["data"] == {"result": [{"json": {}}]}
            offer = await connection.offer()
        await connection.socket.close(code=1001)
        await runner.reached(S.BACKOFF)
        assert runner.open_offers == 0


async def test_a_draining_broker_gets_the_results_of_what_runs_and_of_what_waits(clock: ManualClock) -> None:
    config: dict[str, Any] = {"max_concurrency": 1}
    async with EmbeddedBroker(AUTH_TOKEN) as broker, TaskRunner(config_for(broker, **config), clock=clock) as runner:
        await runner.reached(S.LISTENING)
        code = code_settings("import time\ntime.sleep(0.3)\nreturn {'done': True}")
        tasks = [broker.request(code) for _ in range(3)]
        await eventually(lambda: runner.running_tasks == 1)
        await broker.drain()
        for task in tasks:
            assert result_of(await task.end()) == [{"json": {"done": True}}]
        await runner.reached(S.BACKOFF)
    assert broker.violations == []


# Tasks


async def test_a_task_runs_end_to_end_and_prints_on_the_way(broker: EmbeddedBroker) -> None:
    async with TaskRunner(config_for(broker)) as runner:
        await runner.reached(S.LISTENING)
        task = broker.request(code_settings("print('got', 1)\nreturn [{'json': {'n': _items[0]['json']['n'] * 2}}]"))
        assert result_of(await task.end()) == [{"json": {"n": 42}}]
        assert printed(task.prints) == [["'got'", "1"]]


async def test_each_item_mode_pairs_items(broker: EmbeddedBroker) -> None:
    async with TaskRunner(config_for(broker)) as runner:
        await runner.reached(S.LISTENING)
        items = [{"json": {"n": n}} for n in range(3)]
        code = "n = _item['json']['n']\nreturn None if n == 1 else {'n': n * 10}"
        end = await run_code(broker, code, items, mode="runOnceForEachItem")
        assert result_of(end) == [
            {"json": {"n": 0}, "pairedItem": {"item": 0}},
            {"json": {"n": 20}, "pairedItem": {"item": 2}},
        ]


async def test_a_failing_task_says_message_line_and_description(broker: EmbeddedBroker) -> None:
    async with TaskRunner(config_for(broker)) as runner:
        await runner.reached(S.LISTENING)
        error = error_of(await run_code(broker, "x = 1\n\nraise ValueError('no good')"))
        assert (error["message"], error["lineNumber"]) == ("no good", 3)
        assert "Line 3: raise ValueError('no good')" in error["description"]


async def test_a_cancelled_task_is_killed_and_has_one_last_word(broker: EmbeddedBroker) -> None:
    async with TaskRunner(config_for(broker)) as runner:
        await runner.reached(S.LISTENING)
        task = broker.request(code_settings(FOREVER))
        await eventually(lambda: runner.running_tasks == 1)
        broker.rules.cancel(task)
        assert (await task.end()).how is TaskEnd.CANCELLED
        await eventually(lambda: runner.running_tasks == 0)
        assert runner.counters[Count.TASKS_CANCELLED] == 1


@pytest.mark.parametrize("moment", ["before the settings", "right behind the settings", "while it runs"])
async def test_a_cancel_is_answered_with_task_was_cancelled_at_any_moment(
    scripted: ScriptedBroker, clock: ManualClock, moment: str
) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate) as (runner, connection):
        await connection.say("broker:taskofferaccept", taskId="t", offerId=await connection.offer())
        await connection.expect("runner:taskaccepted")
        if moment != "before the settings":
            await connection.say("broker:tasksettings", taskId="t", settings={})
        if moment == "while it runs":
            await gate.started.get()
        await connection.say("broker:taskcancel", taskId="t", reason="Task cancelled by user")
        error = await connection.expect("runner:taskerror")
        assert (error["taskId"], error["error"]["message"]) == ("t", "Task was cancelled")
        await connection.ping_answered()
        assert connection.heard("runner:taskerror") + connection.heard("runner:taskdone") == []
        assert (runner.running_tasks, gate.running) == (0, set())


async def test_a_task_that_takes_too_long_is_killed_with_the_known_text(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, task_timeout=1) as (runner, connection):
        await connection.give_task("t", {})
        await gate.started.get()
        await clock.advance(0.89)
        assert runner.running_tasks == 1
        await clock.advance(0.01)
        error = (await connection.expect("runner:taskerror"))["error"]
        assert error["message"] == "Task execution timed out after 1 second"
        assert (runner.running_tasks, runner.counters[Count.TASKS_TIMED_OUT]) == (0, 1)


@pytest.mark.parametrize(("timeout", "allowed"), [(1, 0.9), (10, 9), (60, 58.8), (300, 294)])
def test_our_timeout_comes_before_one_of_the_broker_of_the_same_length(timeout: float, allowed: float) -> None:
    assert time_allowed(timeout) == pytest.approx(allowed)


async def test_the_timeout_counts_from_the_settings(scripted: ScriptedBroker, clock: ManualClock) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, task_timeout=11) as (_, connection):
        await connection.say("broker:taskofferaccept", taskId="t", offerId=await connection.offer())
        await connection.expect("runner:taskaccepted")
        await clock.advance(9)
        await connection.say("broker:tasksettings", taskId="t", settings={})
        await gate.started.get()
        await clock.advance(9)
        gate.finish("t")
        await connection.expect("runner:taskdone")


async def test_settings_that_never_come_free_the_slot_after_the_task_timeout(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock, max_concurrency=1, task_timeout=30) as (_, connection):
        await connection.say("broker:taskofferaccept", taskId="t", offerId=await connection.offer())
        await connection.expect("runner:taskaccepted")
        await clock.advance(30)
        error = (await connection.expect("runner:taskerror"))["error"]
        assert error["message"] == "Task settings did not come within 30 seconds"
        await connection.offer()


async def test_settings_for_an_unknown_task_and_settings_twice_change_nothing(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate) as (runner, connection):
        await connection.say("broker:tasksettings", taskId="stranger", settings={})
        await connection.give_task("t", {"first": True})
        await connection.say("broker:tasksettings", taskId="t", settings={"first": False})
        await connection.ping_answered()
        assert json.loads(bytes((await gate.started.get()).settings)) == {"first": True}
        assert gate.started.empty()
        assert runner.running_tasks == 1
        gate.finish("t")
        await connection.expect("runner:taskdone")


async def test_a_lost_connection_kills_its_tasks_before_backoff_and_their_results_never_come(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    gate.cleanup = 5
    async with listening(scripted, clock, gate, max_concurrency=2) as (runner, connection):
        await connection.give_task("running", {})
        await gate.started.get()
        await connection.say("broker:taskofferaccept", taskId="waiting", offerId=await connection.offer())
        await connection.expect("runner:taskaccepted")
        await connection.socket.close(code=1001)
        await runner.reached(S.BACKOFF)
        assert (gate.running, runner.running_tasks, runner.open_offers) == (set(), 0, 0)
        assert len(clock.pending) == 1, "only the retry timer runs"
        await clock.advance(5)
        again = await scripted.accept()
        await again.register()
        assert {(await again.receive() or {})["type"] for _ in range(2)} == {"runner:taskoffer"}
        await again.ping_answered()
        assert again.heard("runner:taskerror") + again.heard("runner:taskdone") == []
        assert runner.counters[Count.TASKS_LOST] == 2


async def test_an_offer_of_a_lost_connection_is_not_honoured_on_the_next(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock, max_concurrency=1) as (runner, connection):
        old = await connection.offer()
        await connection.socket.close()
        await runner.reached(S.BACKOFF)
        await clock.advance(5)
        again = await scripted.accept()
        await again.register()
        await again.offer()
        await again.say("broker:taskofferaccept", taskId="t", offerId=old)
        assert (await again.expect("runner:taskrejected"))["reason"] == RejectReason.OFFER_EXPIRED


# Shutting down


async def test_while_shutting_down_accepts_are_rejected_and_results_still_sent(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, max_concurrency=2) as (runner, connection):
        await connection.give_task("t", {})
        await gate.started.get()
        offer = await connection.offer()
        runner.request_stop("the test")
        await runner.reached(S.SHUTTING_DOWN)
        await connection.say("broker:taskofferaccept", taskId="late", offerId=offer)
        rejected = await connection.expect("runner:taskrejected")
        assert (rejected["taskId"], rejected["reason"]) == ("late", "Runner is shutting down")
        await clock.advance(9.9)
        gate.finish("t", b'"kept"')
        assert (await connection.expect("runner:taskdone"))["data"]["result"] == "kept"
        await connection.over.wait()
        assert connection.socket.close_code == 1000


async def test_what_outlasts_the_graceful_timeout_is_killed_and_reported(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, graceful_shutdown_timeout=3) as (runner, connection):
        await connection.give_task("t", {})
        await gate.started.get()
        runner.request_stop("the test")
        await runner.reached(S.SHUTTING_DOWN)
        await clock.advance(2.9)
        assert gate.running == {"t"}
        await clock.advance(0.1)
        assert "shutting down" in (await connection.expect("runner:taskerror"))["error"]["message"]
        await runner.reached(S.DISCONNECTED)
        assert runner.counters[Count.TASKS_KILLED] == 1


async def test_without_a_graceful_timeout_tasks_are_killed(scripted: ScriptedBroker, clock: ManualClock) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate, graceful_shutdown_timeout=0) as (runner, connection):
        await connection.give_task("t", {})
        await gate.started.get()
        stopping = asyncio.get_running_loop().create_task(runner.stop())
        await runner.reached(S.SHUTTING_DOWN)
        await clock.advance(0)
        await stopping
        assert gate.running == set()


async def test_a_broker_that_goes_first_during_shutdown_ends_the_tasks(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate) as (runner, connection):
        await connection.give_task("t", {})
        await gate.started.get()
        runner.request_stop("the test")
        await runner.reached(S.SHUTTING_DOWN)
        await connection.socket.close(code=1001)
        async with asyncio.timeout(5):
            await runner.reached(S.DISCONNECTED)
        assert gate.running == set()


# What a broker should not send


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"[1, 2]",
        b"{",
        b"not json",
        b'{"no": "type"}',
        b'{"type": 7}',
        b'{"type": "broker:taskofferaccept"}',
        b'{"type": "broker:taskofferaccept", "taskId": 1, "offerId": "x"}',
        b'{"type": "broker:tasksettings", "taskId": "t"}',
        b'{"type": "broker:taskcancel", "taskId": ["t"], "reason": "x"}',
        b'{"type": "broker:from-the-future", "what": 1}',
        b'{"type": "broker:taskcancel", "taskId": "\xff", "reason": "x"}',
        b"[" * 50_000,
    ],
)
async def test_what_is_malformed_or_unknown_changes_nothing(
    scripted: ScriptedBroker, clock: ManualClock, frame: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(scripted, clock) as (runner, connection):
        await connection.say_bytes(frame)
        await connection.ping_answered()
        assert (runner.state, runner.running_tasks, runner.open_offers) == (S.LISTENING, 0, 5)
        counts = runner.counters[Count.MESSAGES_MALFORMED], runner.counters[Count.MESSAGES_UNKNOWN]
        assert counts == ((0, 1) if b"future" in frame else (1, 0))


async def test_a_malformed_message_is_logged_with_the_reason_and_without_the_payload(
    scripted: ScriptedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(scripted, clock) as (_, connection):
        await connection.say("broker:taskcancel", taskId={"personal": "data"}, reason="x")
        await connection.ping_answered()
    assert "TaskCancel has a bad taskId" in caplog.text
    assert "personal" not in caplog.text


async def test_a_binary_frame_is_malformed(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock) as (runner, connection):
        await connection.socket.send_bytes(b'{"type": "broker:drain"}')
        await connection.ping_answered()
        assert runner.counters[Count.MESSAGES_MALFORMED] == 1


async def test_a_second_registration_and_a_second_info_request_are_harmless(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock) as (runner, connection):
        await connection.register()
        await connection.ping_answered()
        assert runner.state is S.LISTENING


async def test_half_an_emoji_reaches_the_code_and_comes_back(broker: EmbeddedBroker) -> None:
    async with TaskRunner(config_for(broker)) as runner:
        await runner.reached(S.LISTENING)
        settings = Raw(bytes(code_settings("return _items", [{"json": {"half": "HALF"}}])).replace(b"HALF", b"\\ud83d"))
        end = await broker.request(settings).end()
        assert result_of(end) == [{"json": {"half": "\ud83d"}}]


# Executors that misbehave


class Broken(Gate):
    """An executor with a bug."""

    async def execute(self, request: TaskRequest) -> Raw:
        raise RuntimeError("a bug with secrets in it")


async def test_a_bug_in_an_executor_costs_one_task(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock, Broken(), max_concurrency=1) as (runner, connection):
        for number in range(3):
            await connection.give_task(f"t{number}", {})
            error = (await connection.expect("runner:taskerror"))["error"]
            assert error["message"] == "The executor failed: RuntimeError"
        assert (runner.state, runner.counters[Count.CRASHES]) == (S.LISTENING, 3)


class Failing(Gate):
    """An executor whose tasks fail with every detail that n8n shows."""

    async def execute(self, request: TaskRequest) -> Raw:
        raise TaskFailed("message", "description", lineNumber=3, itemIndex=0)


async def test_the_details_of_a_failure_reach_the_broker(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock, Failing()) as (_, connection):
        await connection.give_task("t", {})
        assert (await connection.expect("runner:taskerror"))["error"] == {
            "message": "message",
            "description": "description",
            "lineNumber": 3,
            "itemIndex": 0,
        }


class Unwritable(Gate):
    """An executor that reports what no JSON can hold."""

    async def execute(self, request: TaskRequest) -> Raw:
        raise TaskFailed("the message", lineNumber=object())


async def test_a_failure_that_cannot_be_written_is_sent_as_its_message(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with listening(scripted, clock, Unwritable(), max_concurrency=1) as (runner, connection):
        await connection.give_task("t", {})
        assert (await connection.expect("runner:taskerror"))["error"] == {"message": "the message"}
        await connection.offer()
        assert runner.running_tasks == 0


class Untyped(Gate):
    """An executor that returns something else than it should."""

    async def execute(self, request: TaskRequest) -> Raw:
        return object()  # type: ignore[return-value]


async def test_a_result_of_the_wrong_type_costs_one_task(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with listening(scripted, clock, Untyped(), max_concurrency=1) as (runner, connection):
        await connection.give_task("t", {})
        error = (await connection.expect("runner:taskerror"))["error"]
        assert error["message"] == "The executor failed: TypeError"
        await connection.offer()
        assert runner.running_tasks == 0


async def test_a_finished_task_keeps_nothing_large_until_the_collector_comes(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()
    large = json.dumps("x" * 1_000_000)
    async with listening(scripted, clock, gate, max_concurrency=1) as (_, connection):
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for number in range(10):
                await connection.give_task(f"t{number}", large)
                gate.finish((await gate.started.get()).task_id, large.encode())
                await connection.expect("runner:taskdone")
                gate.outcomes.clear()
            await settle()
            assert tracemalloc.get_traced_memory()[0] < 5_000_000
        finally:
            tracemalloc.stop()
            gc.enable()


async def test_large_settings_are_gone_when_the_executor_has_let_go_of_them(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    gate = Gate()

    class LetsGo(Gate):
        async def execute(self, request: TaskRequest) -> Raw:
            gate_request = attrs.evolve(request, settings=Raw(b"{}"))
            del request
            return await gate.execute(gate_request)

    async with listening(scripted, clock, LetsGo(), max_concurrency=1) as (_, connection):
        large = {"items": ["x" * 10_000_000]}
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            await give_task_as_n8n(connection, "t", large)
            await gate.started.get()
            await settle()
            current, peak = tracemalloc.get_traced_memory()
            assert peak > 10_000_000
            assert current < 5_000_000
        finally:
            tracemalloc.stop()
            gc.enable()
        gate.finish("t")
        await connection.expect("runner:taskdone")


@pytest.mark.parametrize("items", [0, 50_000], ids=["small", "large"])
async def test_the_log_says_how_a_task_ended_and_where_it_comes_from(
    scripted: ScriptedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture, items: int
) -> None:
    caplog.set_level("INFO", logger="runner.tasks.task")
    gate = Gate()
    origin = 'node "A \\ "node" \U0001f600" (a2) in workflow "A workflow" (w1)'
    settings = json.loads(bytes(code_settings("", [1] * items, nodeName='A \\ "node" \U0001f600')))
    async with listening(scripted, clock, gate, max_concurrency=1) as (_, connection):
        for name in ("done", "failed"):
            await give_task_as_n8n(connection, name, settings)
            await gate.started.get()
            await clock.advance(1.5)
            if name == "done":
                gate.finish(name)
            else:
                gate.outcomes[name].set_exception(TaskFailed("no luck"))
            await connection.expect("runner:task" + name.replace("failed", "error"))
        await connection.say("broker:taskofferaccept", taskId="unstarted", offerId=await connection.offer())
        await connection.say("broker:taskcancel", taskId="unstarted", reason="r")
        await connection.expect("runner:taskerror")
    assert [message for message in caplog.messages if message.startswith(("Completed", "Failed"))] == [
        f"Completed task done in 1500ms (2 bytes) for {origin}",
        f"Failed task failed in 1500ms: no luck for {origin}",
        'Failed task unstarted in 0ms: Task was cancelled for node "unknown" (unknown) in workflow "unknown" (unknown)',
    ]


async def test_a_print_after_the_end_of_a_task_is_not_sent(scripted: ScriptedBroker, clock: ManualClock) -> None:
    gate = Gate()
    async with listening(scripted, clock, gate) as (_, connection):
        await connection.give_task("t", {})
        request = await gate.started.get()
        request.print(Raw(b'["before"]'))
        gate.finish("t")
        await connection.expect("runner:taskdone")
        request.print(Raw(b'["after"]'))
        await connection.ping_answered()
        assert [rpc["params"] for rpc in connection.heard("runner:rpc")] == [["before"]]
