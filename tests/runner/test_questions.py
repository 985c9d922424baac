"""What an executor asks n8n on behalf of its task: a real runner, a scripted broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec import Raw

from runner import N8n, N8nRefused, Outcome, TaskRequest, TaskRunner
from runner.protocol.messages import LOG_NODE_OUTPUT
from runner.tasks.questions import CALLABLE
from tests.runner.test_offers_and_tasks import listening
from tests.scripted_broker import RunnerConnection, ScriptedBroker
from tests.support import ManualClock, settle

Question = Callable[[N8n], Awaitable[Raw | Outcome]]
HTTP = "helpers.httpRequest"


class Asker:
    """An executor whose tasks ask one question, and return the answer or what it was refused with."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.refusals: list[N8nRefused] = []
        self.requests: list[TaskRequest] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def execute(self, request: TaskRequest) -> Raw | Outcome:
        self.requests.append(request)
        try:
            return await self._question(request.n8n)
        except N8nRefused as refused:
            self.refusals.append(refused)
            return Raw(b"[]")


@asynccontextmanager
async def asking(
    scripted: ScriptedBroker, clock: ManualClock, question: Question
) -> AsyncIterator[tuple[Asker, RunnerConnection, TaskRunner]]:
    """A task `t` that asks."""
    asker = Asker(question)
    async with listening(scripted, clock, asker, graceful_shutdown_timeout=1) as (runner, connection):
        await connection.give_task("t", {})
        yield asker, connection, runner


async def test_a_function_is_called_and_its_answer_is_passed_on_as_the_bytes_it_is(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with asking(scripted, clock, lambda n8n: n8n.call(HTTP, Raw(b'[{"url":"u"}]'))) as (_, connection, _):
        rpc = await connection.expect("runner:rpc")
        assert (rpc["taskId"], rpc["name"], rpc["params"]) == ("t", HTTP, [{"url": "u"}])
        answer = {"callId": rpc["callId"], "taskId": "t", "status": "success", "data": {"a": [1.5]}}
        await connection.say("broker:rpcresponse", **answer)
        done = await connection.expect("runner:taskdone")
        assert done["data"] == {"result": {"a": [1.5]}}


async def test_an_answer_without_data_is_null(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async with asking(scripted, clock, lambda n8n: n8n.call(HTTP, Raw(b"[]"))) as (_, connection, _):
        rpc = await connection.expect("runner:rpc")
        await connection.say("broker:rpcresponse", callId=rpc["callId"], taskId="t", status="success")
        assert (await connection.expect("runner:taskdone"))["data"] == {"result": None}


async def test_data_is_asked_for_with_the_parameters_as_they_are(scripted: ScriptedBroker, clock: ManualClock) -> None:
    wanted = b'{"dataOfNodes":["A"],"prevNode":false,"input":{"include":false},"env":false}'
    async with asking(scripted, clock, lambda n8n: n8n.data(Raw(wanted))) as (_, connection, _):
        request = await connection.expect("runner:taskdatarequest")
        assert request["requestParams"]["dataOfNodes"] == ["A"]
        data = {"workflow": {"id": "w"}}
        await connection.say("broker:taskdataresponse", taskId="t", requestId=request["requestId"], data=data)
        assert (await connection.expect("runner:taskdone"))["data"] == {"result": data}


@pytest.mark.parametrize(
    ("data", "message", "description"),
    [
        ("Method not allowed", "Method not allowed", None),
        ({"message": "404 - not there", "description": "Look again", "context": {}}, "404 - not there", "Look again"),
        ({"message": "no"}, "no", None),
        ({}, "n8n could not do this, and does not say why", None),
        ("", "n8n could not do this, and does not say why", None),
        ({"message": 5}, "n8n could not do this, and does not say why", None),
        (None, "n8n could not do this, and does not say why", None),
        ("x" * 2 * 1024**2, "n8n could not do this, and does not say why", None),
    ],
)
async def test_what_n8n_refuses_is_raised_with_what_it_says(
    scripted: ScriptedBroker, clock: ManualClock, data: object, message: str, description: str | None
) -> None:
    async with asking(scripted, clock, lambda n8n: n8n.call(HTTP, Raw(b"[]"))) as (asker, connection, _):
        rpc = await connection.expect("runner:rpc")
        await connection.say("broker:rpcresponse", callId=rpc["callId"], taskId="t", status="error", data=data)
        await connection.expect("runner:taskdone")
        assert [(refused.message, refused.description) for refused in asker.refusals] == [(message, description)]


@pytest.mark.parametrize("name", [LOG_NODE_OUTPUT, "helpers.getSSHClient", "helpers", ""])
async def test_what_may_not_be_called_is_refused_here(scripted: ScriptedBroker, clock: ManualClock, name: str) -> None:
    async with asking(scripted, clock, lambda n8n: n8n.call(name, Raw(b"[]"))) as (asker, connection, _):
        await connection.expect("runner:taskdone")
        assert connection.heard("runner:rpc") == []
        assert [refused.message for refused in asker.refusals] == ["Method not allowed"]


def test_what_may_be_called_is_what_n8n_serves() -> None:
    names = "assertBinaryData getBinaryDataBuffer prepareBinaryData setBinaryDataBuffer binaryToString"
    assert {f"helpers.{name}" for name in f"{names} httpRequest request".split()} == CALLABLE


async def test_answers_find_their_questions_in_any_order_and_wrong_ones_change_nothing(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async def both(n8n: N8n) -> Raw:
        first, second = await asyncio.gather(n8n.call(HTTP, Raw(b"[1]")), n8n.call(HTTP, Raw(b"[2]")))
        return Raw(b"[" + bytes(first) + b"," + bytes(second) + b"]")

    async with asking(scripted, clock, both) as (_, connection, _):
        first, second = [await connection.expect("runner:rpc") for _ in range(2)]
        assert first["callId"] != second["callId"]
        for wrong in ({"callId": "no such", "taskId": "t"}, {"callId": first["callId"], "taskId": "another"}):
            await connection.say("broker:rpcresponse", **wrong, status="success", data="wrong")
        for call, data in ((second, "two"), (second, "wrong"), (first, "one")):
            await connection.say("broker:rpcresponse", callId=call["callId"], taskId="t", status="success", data=data)
        assert (await connection.expect("runner:taskdone"))["data"] == {"result": ["one", "two"]}


async def test_a_question_ends_with_its_task_and_its_answer_is_dropped(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    async with asking(scripted, clock, lambda n8n: n8n.call(HTTP, Raw(b"[]"))) as (asker, connection, runner):
        rpc = await connection.expect("runner:rpc")
        await connection.say("broker:taskcancel", taskId="t", reason="Task cancelled by user")
        assert (await connection.expect("runner:taskerror"))["error"]["message"] == "Task was cancelled"
        await connection.say("broker:rpcresponse", callId=rpc["callId"], taskId="t", status="success", data=1)
        await connection.ping_answered()
        assert connection.heard("runner:taskdone") == []
        assert runner.running_tasks == 0
        with pytest.raises(N8nRefused, match="The task has ended"):
            await asker.requests[0].n8n.call(HTTP, Raw(b"[]"))
        assert connection.heard("runner:rpc") == []


async def test_who_still_waits_when_the_task_has_returned_is_told(scripted: ScriptedBroker, clock: ManualClock) -> None:
    waiting: list[asyncio.Task[Raw]] = []

    async def leave_one_behind(n8n: N8n) -> Raw:
        waiting.append(asyncio.ensure_future(n8n.data(Raw(b"{}"))))
        await settle()
        return Raw(b"[]")

    async with asking(scripted, clock, leave_one_behind) as (_, connection, _):
        await connection.expect("runner:taskdone")
        with pytest.raises(N8nRefused, match="The task has ended"):
            await waiting[0]


async def test_what_goes_beside_the_result_is_sent_with_it(scripted: ScriptedBroker, clock: ManualClock) -> None:
    async def outcome(_: N8n) -> Outcome:
        return Outcome(Raw(b"[1]"), custom_data=Raw(b'{"k":"v"}'), static_data=Raw(b'{"global":{"n":1}}'))

    async with asking(scripted, clock, outcome) as (_, connection, _):
        done = await connection.expect("runner:taskdone")
        assert done["data"] == {"result": [1], "customData": {"k": "v"}, "staticData": {"global": {"n": 1}}}


async def test_a_task_without_an_n8n_is_refused() -> None:
    request = TaskRequest("t", Raw(b"{}"), lambda _: None)
    for asked in (request.n8n.call(HTTP, Raw(b"[]")), request.n8n.data(Raw(b"{}"))):
        with pytest.raises(N8nRefused, match=r"[Tt]here is no n8n"):
            await asked
