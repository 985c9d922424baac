"""The embedded broker against a runner that is written out by hand: its addresses, its checks, its rules."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref

import aiohttp
import pytest
from msgspec import Raw

from runner.broker import EmbeddedBroker, TaskEnd
from runner.protocol.messages import ACKNOWLEDGEMENT_WINDOW_ELAPSED
from tests.broker.by_hand import SETTINGS, Message, connected, listening
from tests.support import AUTH_TOKEN, ManualClock, printed, result_of


async def upgrade(broker: EmbeddedBroker, query: str = "?id=r", **headers: str) -> int:
    """The status that an upgrade is answered with."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(f"{broker.uri}/runners/_ws{query}", headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Addresses and checks


async def test_health_is_static() -> None:
    async with listening() as broker, aiohttp.ClientSession() as session:
        answer = await session.get(f"{broker.uri}/healthz")
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (json.dumps({"token": AUTH_TOKEN}), 200),
        (json.dumps({"token": "wrong"}), 403),
        (json.dumps({"token": 7}), 400),
        (json.dumps([AUTH_TOKEN]), 400),
        ("{", 400),
        ("", 400),
    ],
)
async def test_the_token_exchange(body: str, status: int) -> None:
    async with listening() as broker, aiohttp.ClientSession() as session:
        answer = await session.post(f"{broker.uri}/runners/auth", data=body)
        assert answer.status == status
        if status == 200:
            token = (await answer.json())["data"]["token"]
            assert len(token) == 64
            assert await upgrade(broker, **bearer(token)) == 101


async def test_the_exchange_takes_five_a_second(clock: ManualClock) -> None:
    async with listening(clock) as broker, aiohttp.ClientSession() as session:

        async def exchange() -> int:
            async with session.post(f"{broker.uri}/runners/auth", json={"token": AUTH_TOKEN}) as answer:
                return answer.status

        assert [await exchange() for _ in range(6)] == [200] * 5 + [429]
        await clock.advance(1)
        assert await exchange() == 200


async def test_upgrades_are_checked_in_the_order_of_n8n(clock: ManualClock) -> None:
    async with listening(clock) as broker:
        assert await upgrade(broker, query="") == 400
        assert await upgrade(broker) == 401
        assert await upgrade(broker, Authorization="Basic abc") == 401
        assert await upgrade(broker, **bearer("unknown")) == 403
        token = broker.grant_token()
        assert await upgrade(broker, query="", **bearer(token)) == 400
        assert await upgrade(broker, **bearer(token)) == 429
        await clock.advance(1)
        assert await upgrade(broker, **bearer(token)) == 101, "none of these used the token up"
        assert await upgrade(broker, **bearer(token)) == 403, "but the connection did"
        async with aiohttp.ClientSession() as session, session.get(f"{broker.uri}/elsewhere/_ws") as answer:
            assert answer.status == 404


async def test_a_grant_token_is_good_for_thirty_seconds(clock: ManualClock) -> None:
    async with listening(clock) as broker:
        fresh, stale = broker.grant_token(), broker.grant_token()
        await clock.advance(29.9)
        assert await upgrade(broker, **bearer(fresh)) == 101
        await clock.advance(0.2)
        assert await upgrade(broker, **bearer(stale)) == 403


async def test_upgrades_are_refused_while_draining() -> None:
    async with listening() as broker:
        await broker.drain()
        assert await upgrade(broker, **bearer(broker.grant_token())) == 503


# Matching


async def test_requests_are_matched_first_in_first_out() -> None:
    async with listening() as broker, connected(broker) as runner:
        first = broker.request(SETTINGS)
        second = broker.request(SETTINGS)
        assert await runner.take("a") == first.task_id
        assert await runner.take("b") == second.task_id
        assert broker.violations == []


async def test_requests_are_matched_with_offers_of_their_own_type_alone() -> None:
    async with listening() as broker, connected(broker, registered=False) as runner:
        await runner.register("python", "own")
        python, own = broker.request(SETTINGS), broker.request(SETTINGS, "own")
        for offer_id, task_type in (("a", "own"), ("b", "own"), ("c", "python")):
            await runner.offer(offer_id, task_type=task_type)
        accepts = [await runner.hear() for _ in range(2)]
        assert [(accept["offerId"], accept["taskId"]) for accept in accepts] == [
            ("a", own.task_id),
            ("c", python.task_id),
        ]
        broker.request(SETTINGS)
        await runner.nothing_more()
        assert broker.rules.offer_count == 1
        assert broker.violations == []


async def test_an_offer_waits_for_a_request(clock: ManualClock) -> None:
    async with listening(clock) as broker, connected(broker) as runner:
        await runner.offer("a", 5000)
        await runner.nothing_more()
        assert broker.rules.offer_count == 1
        await clock.advance(4.9)
        task = broker.request(SETTINGS)
        assert await runner.matched() == task.task_id


async def test_an_expired_offer_is_not_matched_and_an_endless_one_always(clock: ManualClock) -> None:
    async with listening(clock) as broker, connected(broker) as runner:
        await runner.offer("short", 1000)
        await runner.offer("endless", -1)
        await runner.nothing_more()
        await clock.advance(1000)
        assert broker.rules.offer_count == 1


async def test_a_rejected_request_is_matched_again_at_once() -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS)
        await runner.offer("a")
        await runner.offer("b")
        first = await runner.matched()
        await runner.say("runner:taskrejected", taskId=first, reason="no")
        assert await runner.matched() != first
        assert broker.violations == []


async def test_a_deferred_request_waits_for_the_next_offer() -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS)
        await runner.offer("a")
        await runner.offer("b")
        await runner.say("runner:taskdeferred", taskId=await runner.matched())
        await runner.nothing_more()
        assert broker.rules.offer_count == 1
        await runner.offer("c")
        await runner.matched()


async def test_a_window_that_elapses_throws_all_offers_of_the_runner_away(clock: ManualClock) -> None:
    async with listening(clock) as broker, connected(broker) as runner:
        task = broker.request(SETTINGS)
        await runner.offer("a")
        await runner.offer("b", -1)
        unheard = await runner.matched()
        await runner.nothing_more()
        await clock.advance(2)
        assert await runner.hear() == {
            "type": "broker:taskcancel",
            "taskId": unheard,
            "reason": ACKNOWLEDGEMENT_WINDOW_ELAPSED,
        }
        assert broker.rules.offer_count == 0
        await runner.say("runner:taskaccepted", taskId=unheard)
        assert await runner.take("c") == task.task_id
        assert broker.violations == [], "an answer that crosses the cancel is no violation"


async def test_three_windows_in_a_row_are_one_too_many(clock: ManualClock) -> None:
    async with listening(clock) as broker, connected(broker) as runner:
        broker.request(SETTINGS)
        for number in range(3):
            await runner.offer(f"o{number}")
            await runner.matched()
            await clock.advance(2)
            assert (await runner.hear())["type"] == "broker:taskcancel"
        assert await runner.hung_up() == 1002


async def test_a_silent_idle_runner_is_hung_up_on_after_two_expired_requests(clock: ManualClock) -> None:
    async with listening(clock, request_timeout=10) as broker, connected(broker) as runner:
        first = broker.request(SETTINGS)
        await clock.advance(3)
        second = broker.request(SETTINGS)
        await clock.advance(7)
        assert (await first.end()).how is TaskEnd.REQUEST_TIMEOUT
        await clock.advance(3)
        assert (await second.end()).how is TaskEnd.REQUEST_TIMEOUT
        assert await runner.hung_up() == 1002


# Running tasks


async def test_results_errors_and_prints_reach_the_requester() -> None:
    async with listening() as broker, connected(broker) as runner:
        heard: list[Raw] = []
        good = broker.request(SETTINGS, on_print=heard.append)
        task_id = await runner.take("a")
        await runner.say("runner:rpc", callId="c", taskId=task_id, name="logNodeOutput", params=["'hi'"])
        answer = await runner.hear()
        assert (answer["type"], answer["callId"], answer["status"]) == ("broker:rpcresponse", "c", "success")
        await runner.say("runner:taskdone", taskId=task_id, data={"result": [{"json": {}}], "staticData": {}})
        assert result_of(await good.end()) == [{"json": {}}]
        assert printed(good.prints) == printed(heard) == [["'hi'"]]

        bad = broker.request(SETTINGS)
        await runner.say("runner:taskerror", taskId=await runner.take("b"), error={"message": "no"})
        assert (await bad.end()).error == {"message": "no"}
        assert broker.violations == []


async def test_only_logging_is_a_function_here() -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS)
        await runner.say("runner:rpc", callId="c", taskId=await runner.take("a"), name="fs.read", params=[])
        answer = await runner.hear()
        assert (answer["status"], answer["data"]) == ("error", "Method not allowed")


async def test_the_task_timeout_counts_from_the_settings(clock: ManualClock) -> None:
    async with listening(clock, task_timeout=8) as broker, connected(broker) as runner:
        task = broker.request(SETTINGS)
        task_id = await runner.take("a")
        await clock.advance(8)
        cancel = {"type": "broker:taskcancel", "taskId": task_id, "reason": "Task execution timed out"}
        assert await runner.hear() == cancel
        assert (await task.end()).how is TaskEnd.TASK_TIMEOUT
        await runner.say("runner:taskerror", taskId=task_id, error={"message": "Task was cancelled"})
        await runner.nothing_more()
        assert broker.violations == [], "one last word about a cancelled task is allowed"
        await runner.say("runner:taskerror", taskId=task_id, error={"message": "again"})
        await runner.nothing_more()
        assert len(broker.violations) == 1


async def test_tasks_of_a_runner_that_is_gone_have_failed_and_its_unanswered_matches_go_to_another() -> None:
    async with listening() as broker, connected(broker, "other") as other:
        async with connected(broker) as runner:
            running = broker.request(SETTINGS)
            await runner.take("a")
            matched = broker.request(SETTINGS)
            await runner.offer("b")
            await runner.matched()
        assert (await running.end()).how is TaskEnd.RUNNER_LOST
        assert await other.take("c") == matched.task_id


async def test_draining_waits_for_what_runs_and_hangs_up_with_1001() -> None:
    async with listening() as broker, connected(broker) as runner:
        running = broker.request(SETTINGS)
        task_id = await runner.take("a")
        draining = asyncio.get_running_loop().create_task(broker.drain())
        assert await runner.hear() == {"type": "broker:drain"}
        assert (await broker.request(SETTINGS).end()).how is TaskEnd.DRAINING
        assert not draining.done()
        await runner.say("runner:taskdone", taskId=task_id, data={"result": []})
        assert result_of(await running.end()) == []
        assert await runner.hung_up() == 1001
        await draining


async def test_a_second_connection_with_an_id_evicts_the_first_with_1000() -> None:
    async with listening() as broker, connected(broker, "same") as first, connected(broker, "same") as second:
        assert await first.hung_up() == 1000
        broker.request(SETTINGS)
        await second.take("a")


# Requesters


async def test_whoever_waits_for_a_task_hears_of_its_end_also_when_others_have_given_up() -> None:
    async with listening() as broker, connected(broker) as runner:
        task = broker.request(SETTINGS)
        impatient, patient = asyncio.create_task(task.end()), asyncio.create_task(task.end())
        task_id = await runner.take("a")
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        await runner.say("runner:taskdone", taskId=task_id, data={"result": [1]})
        assert result_of(await patient) == [1]
        assert await task.end() is await patient


async def test_a_task_that_has_ended_is_no_garbage_that_has_to_be_looked_for() -> None:
    async with listening() as broker, connected(broker) as runner:
        gc.collect()
        gc.disable()
        try:
            task = broker.request(SETTINGS)
            task_id = await runner.take("a")
            await runner.say("runner:taskdone", taskId=task_id, data={"result": [1]})
            await task.end()
            known = weakref.ref(task)
            del task
            assert known() is None
        finally:
            gc.enable()


# Strictness


@pytest.mark.parametrize(
    ("message", "violation"),
    [
        ({"type": "runner:nonsense"}, "not known"),
        ({"type": "runner:taskoffer", "offerId": "o", "taskType": "python", "validFor": 5000.5}, "validFor"),
        ({"type": "runner:taskoffer", "offerId": "o", "taskType": "python", "validFor": 0}, "valid for 0 ms"),
        ({"type": "runner:taskoffer", "offerId": "o", "taskType": "cobol", "validFor": 1}, "does not serve"),
        ({"type": "runner:taskaccepted", "taskId": "t"}, "was not asked"),
        ({"type": "runner:taskrejected", "taskId": "t", "reason": ""}, "was not asked"),
        ({"type": "runner:taskdeferred", "taskId": "t"}, "was not asked"),
        ({"type": "runner:taskdone", "taskId": "t", "data": {"result": 1}}, "does not run"),
        ({"type": "runner:taskdone", "taskId": "t", "data": {}}, "no result"),
        ({"type": "runner:taskerror", "taskId": "t", "error": {"message": "m"}}, "does not run"),
        ({"type": "runner:rpc", "callId": "c", "taskId": "t", "name": "x", "params": []}, "does not run"),
        ({"type": "runner:info", "name": "again", "types": []}, "twice"),
    ],
)
async def test_what_a_runner_must_not_send_is_a_violation(message: Message, violation: str) -> None:
    async with listening() as broker, connected(broker) as runner:
        await runner.say(message.pop("type"), **message)
        await runner.nothing_more()
        assert [violation in found.what for found in broker.violations] == [True], broker.violations


async def test_the_same_offer_twice_is_a_violation() -> None:
    async with listening() as broker, connected(broker) as runner:
        await runner.offer("a")
        await runner.offer("a")
        await runner.nothing_more()
        assert len(broker.violations) == 1


async def test_anything_before_the_info_is_a_violation() -> None:
    async with listening() as broker, connected(broker, registered=False) as runner:
        await runner.offer("a")
        await runner.nothing_more()
        assert "before it was registered" in broker.violations[0].what


async def test_text_that_is_not_utf8_ends_the_connection_as_n8n_does() -> None:
    async with listening() as broker, connected(broker) as runner:
        await runner.socket.send_frame(b'{"type":"runner:taskaccepted","taskId":"\xff"}', aiohttp.WSMsgType.TEXT)
        assert await runner.hung_up() == 1007
        assert "not UTF-8" in broker.violations[0].what


async def test_two_terminal_messages_are_a_violation() -> None:
    async with listening() as broker, connected(broker) as runner:
        task = broker.request(SETTINGS)
        task_id = await runner.take("a")
        for _ in range(2):
            await runner.say("runner:taskdone", taskId=task_id, data={"result": []})
        await runner.nothing_more()
        assert (await task.end()).how is TaskEnd.DONE
        assert len(broker.violations) == 1


async def test_a_broker_that_restarts_keeps_its_port_and_forgets_its_tokens() -> None:
    broker = EmbeddedBroker(AUTH_TOKEN)
    async with broker:
        uri, token = broker.uri, broker.grant_token()
    async with broker:
        assert broker.uri == uri
        assert await upgrade(broker, **bearer(token)) == 403


async def test_a_broker_that_goes_ends_its_tasks() -> None:
    async with listening() as broker, connected(broker) as runner:
        running = broker.request(SETTINGS)
        await runner.take("a")
        waiting = broker.request(SETTINGS)
    assert [(await task.end()).how for task in (running, waiting)] == [TaskEnd.RUNNER_LOST, TaskEnd.DRAINING]
