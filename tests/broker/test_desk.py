"""What running tasks ask of the embedded broker, said word by word, and who answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from runner.broker import TaskEnd
from runner.broker.limits import MAX_QUESTIONS
from runner.broker.service import CallFailed, NodeTypeWanted
from runner.protocol.messages import FUNCTIONS, LOG_NODE_OUTPUT
from tests.broker.by_hand import SETTINGS, HandMadeRunner, Message, connected, listening
from tests.support import result_of

ITEMS = [{"json": {"n": number}} for number in range(4)]
DATA = {
    "workflow": {"id": "w", "name": "W", "nodes": [], "staticData": {"global": {"seen": 3}}},
    "inputData": {"main": [ITEMS]},
    "connectionInputSource": {"main": [{"previousNode": "Before", "previousNodeOutput": 0}]},
    "envProviderState": {"env": {"HOME": "/root"}, "isEnvAccessBlocked": False, "isProcessAvailable": True},
    "runExecutionData": {
        "version": 1,
        "resultData": {
            "runData": {"First": ["its runs"], "Second": ["its runs"], "Before": ["its runs"]},
            "pinData": {"First": ["pinned"], "Before": ["pinned"]},
            "metadata": {"key": "value"},
        },
    },
    "mode": "manual",
}
NOTHING = {"dataOfNodes": [], "prevNode": False, "input": {"include": False}, "env": False}


class Answering:
    """A service that answers calls with a function, and remembers them."""

    def __init__(self, answer: Callable[[str, Sequence[Any]], Awaitable[Any]] | None = None) -> None:
        self._answer = answer
        self.calls: list[tuple[str, list[Any]]] = []

    async def data(self) -> Mapping[str, Any]:
        return DATA

    async def node_types(self, wanted: Sequence[NodeTypeWanted]) -> Sequence[Mapping[str, Any]]:
        return [{"name": each.name, "version": [each.version]} for each in wanted]

    async def call(self, name: str, arguments: Sequence[Any]) -> Any:
        self.calls.append((name, list(arguments)))
        return await self._answer(name, arguments) if self._answer else None


async def called(runner: HandMadeRunner, task_id: str, name: str, params: Any) -> Message:
    await runner.say("runner:rpc", callId="c1", taskId=task_id, name=name, params=params)
    answer = await runner.hear()
    assert (answer.pop("type"), answer.pop("callId"), answer.pop("taskId")) == ("broker:rpcresponse", "c1", task_id)
    return answer


async def asked(runner: HandMadeRunner, task_id: str, **wanted: Any) -> Any:
    await runner.say("runner:taskdatarequest", requestId="q1", taskId=task_id, requestParams={**NOTHING, **wanted})
    answer = await runner.hear()
    assert (answer.pop("type"), answer.pop("requestId"), answer.pop("taskId")) == (
        "broker:taskdataresponse",
        "q1",
        task_id,
    )
    return answer["data"]


# Data


async def test_what_was_not_asked_for_is_left_out_and_all_else_is_there() -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering())
        data = await asked(runner, await runner.take("a"))
        results = DATA["runExecutionData"]["resultData"]  # type: ignore[index]
        assert data == {
            **DATA,
            "inputData": {},
            "envProviderState": {"env": {}, "isEnvAccessBlocked": False, "isProcessAvailable": True},
            "runExecutionData": {"version": 1, "resultData": {**results, "runData": {}, "pinData": {}}},
        }


@pytest.mark.parametrize(
    ("wanted", "nodes"),
    [
        ({"dataOfNodes": ["First"]}, {"First"}),
        ({"dataOfNodes": ["First", "Nobody"]}, {"First"}),
        ({"dataOfNodes": ["First"], "prevNode": True}, {"First", "Before"}),
        ({"dataOfNodes": "all"}, {"First", "Second", "Before"}),
    ],
)
async def test_the_data_of_nodes_is_sent_by_name(wanted: dict[str, Any], nodes: set[str]) -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering())
        results = (await asked(runner, await runner.take("a"), **wanted))["runExecutionData"]["resultData"]
        assert set(results["runData"]) == nodes
        assert set(results["pinData"]) == nodes & {"First", "Before"}
        assert results["metadata"] == {"key": "value"}


@pytest.mark.parametrize(
    ("wanted", "items"),
    [
        ({"include": True}, ITEMS),
        ({"include": True, "chunk": {"startIndex": 1, "count": 2}}, ITEMS[1:3]),
        ({"include": True, "chunk": {"startIndex": 3, "count": 100}}, ITEMS[3:]),
    ],
)
async def test_items_come_whole_or_in_part(wanted: dict[str, Any], items: list[Any]) -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering())
        data = await asked(runner, await runner.take("a"), input=wanted)
        assert data["inputData"] == {"main": [items]}


async def test_the_environment_comes_when_asked_for() -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering())
        data = await asked(runner, await runner.take("a"), env=True)
        assert data["envProviderState"]["env"] == {"HOME": "/root"}


@pytest.mark.parametrize("params", [None, {}, [], {**NOTHING, "input": True}, {**NOTHING, "dataOfNodes": [1]}])
async def test_a_data_request_that_cannot_be_read_is_a_violation_and_has_no_answer(params: Any) -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering())
        task_id = await runner.take("a")
        await runner.say("runner:taskdatarequest", requestId="bad", taskId=task_id, requestParams=params)
        assert (await asked(runner, task_id))["mode"] == "manual", "the first answer is that to the second request"
        assert ["cannot be read" in violation.what for violation in broker.violations] == [True]


async def test_node_types_are_described() -> None:
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering())
        task_id = await runner.take("a")
        wanted = [{"name": "n8n-nodes-base.code", "version": 2}, {"name": "n8n-nodes-base.set", "version": 3.4}]
        await runner.say("runner:nodetypesrequest", requestId="q", taskId=task_id, requestParams=wanted)
        assert await runner.hear() == {
            "type": "broker:nodetypes",
            "taskId": task_id,
            "requestId": "q",
            "nodeTypes": [{"name": each["name"], "version": [each["version"]]} for each in wanted],
        }


# Calls


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != LOG_NODE_OUTPUT])
async def test_each_function_reaches_the_service(name: str) -> None:
    async def answer(_: str, arguments: Sequence[Any]) -> Any:
        return {"given": list(arguments)}

    service = Answering(answer)
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=service)
        answered = await called(runner, await runner.take("a"), name, [0, "file"])
        assert answered == {"status": "success", "data": {"given": [0, "file"]}}
        assert service.calls == [(name, [0, "file"])]


@pytest.mark.parametrize("name", ["helpers.getBinaryPath", "getNode", "__proto__", "helpers", ""])
async def test_no_other_function_does(name: str) -> None:
    service = Answering()
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=service)
        answered = await called(runner, await runner.take("a"), name, [])
        assert (answered, service.calls) == ({"status": "error", "data": "Method not allowed"}, [])


async def test_bytes_travel_as_n8ns_buffers_both_ways() -> None:
    async def answer(_: str, arguments: Sequence[Any]) -> Any:
        return {"reversed": arguments[0][::-1], "rest": [b"\x00"]}

    service = Answering(answer)
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=service)
        buffer = {"type": "Buffer", "data": [1, 2, 255]}
        answered = await called(runner, await runner.take("a"), "helpers.prepareBinaryData", [buffer, [buffer]])
        assert service.calls[0][1] == [b"\x01\x02\xff", [buffer]], "as in n8n, only an argument itself is a buffer"
        assert answered["data"] == {
            "reversed": {"type": "Buffer", "data": [255, 2, 1]},
            "rest": [{"type": "Buffer", "data": [0]}],
        }


@pytest.mark.parametrize("params", [{}, "text", None, [{"type": "Buffer", "data": [256]}]])
async def test_arguments_that_cannot_be_read_are_a_violation_and_an_error(params: Any) -> None:
    service = Answering()
    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=service)
        answered = await called(runner, await runner.take("a"), "helpers.httpRequest", params)
        assert answered["status"] == "error"
        assert answered["data"].startswith("The arguments cannot be read")
        assert (len(broker.violations), service.calls) == (1, [])


async def test_a_call_that_fails_says_why() -> None:
    async def answer(_: str, __: Sequence[Any]) -> Any:
        raise CallFailed("There is no such thing", description="Look elsewhere", status=404)

    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering(answer))
        answered = await called(runner, await runner.take("a"), "helpers.httpRequest", [])
        assert answered["status"] == "error"
        assert answered["data"] == {
            "message": "There is no such thing",
            "name": "NodeOperationError",
            "description": "Look elsewhere",
            "status": 404,
        }


async def test_without_a_service_every_call_fails_and_data_is_missing() -> None:
    async with listening() as broker, connected(broker) as runner:
        task = broker.request(SETTINGS)
        task_id = await runner.take("a")
        answered = await called(runner, task_id, "helpers.httpRequest", [])
        assert "does not serve helpers.httpRequest" in answered["data"]
        await runner.say("runner:taskdatarequest", requestId="q", taskId=task_id, requestParams=NOTHING)
        assert "data" not in await runner.hear()
        await runner.say("runner:taskdone", taskId=task_id, data={"result": []})
        assert result_of(await task.end()) == []
        assert broker.violations == []


# Ends and bounds


async def test_answers_come_in_the_order_in_which_they_are_ready() -> None:
    first_may_go = asyncio.Event()

    async def answer(_: str, arguments: Sequence[Any]) -> Any:
        if arguments == ["first"]:
            await first_may_go.wait()
        return arguments[0]

    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering(answer))
        task_id = await runner.take("a")
        await runner.say("runner:rpc", callId="1", taskId=task_id, name="helpers.request", params=["first"])
        await runner.say("runner:rpc", callId="2", taskId=task_id, name="helpers.request", params=["second"])
        assert (await runner.hear())["data"] == "second"
        first_may_go.set()
        assert (await runner.hear())["data"] == "first"


@pytest.mark.parametrize("end", ["done", "cancelled", "lost"])
async def test_what_a_task_has_asked_is_cancelled_with_it(end: str) -> None:
    asked_for, cancelled = asyncio.Event(), asyncio.Event()

    async def answer(_: str, __: Sequence[Any]) -> Any:
        asked_for.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with listening() as broker, connected(broker) as runner:
        task = broker.request(SETTINGS, service=Answering(answer))
        task_id = await runner.take("a")
        await runner.say("runner:rpc", callId="1", taskId=task_id, name="helpers.httpRequest", params=[])
        async with asyncio.timeout(5):
            await asked_for.wait()
            if end == "done":
                await runner.say("runner:taskdone", taskId=task_id, data={"result": []})
            elif end == "cancelled":
                broker.rules.cancel(task)
                assert (await runner.hear())["type"] == "broker:taskcancel"
            else:
                await runner.socket.close()
            await task.end()
            await cancelled.wait()
        if end != "lost":
            broker.request(SETTINGS)
            await runner.take("b")  # the next words that it hears: no answer has come late


async def test_what_is_asked_for_tasks_that_are_gone_is_not_answered() -> None:
    service = Answering()
    async with listening() as broker, connected(broker) as runner:
        task = broker.request(SETTINGS, service=service)
        task_id = await runner.take("a")
        broker.rules.cancel(task)
        assert (await runner.hear())["type"] == "broker:taskcancel"
        await runner.say("runner:rpc", callId="1", taskId=task_id, name="helpers.httpRequest", params=[])
        await runner.say("runner:taskdatarequest", requestId="2", taskId=task_id, requestParams=NOTHING)
        broker.request(SETTINGS)
        await runner.take("b")
        assert (service.calls, broker.violations) == ([], [])


async def test_how_much_a_task_may_ask_at_once_is_bounded() -> None:
    may_go = asyncio.Event()

    async def answer(_: str, __: Sequence[Any]) -> Any:
        await may_go.wait()

    async with listening() as broker, connected(broker) as runner:
        broker.request(SETTINGS, service=Answering(answer))
        task_id = await runner.take("a")
        for number in range(MAX_QUESTIONS + 1):
            call = f"call {number}"
            await runner.say("runner:rpc", callId=call, taskId=task_id, name="helpers.httpRequest", params=[])
        refused = await runner.hear()
        assert (refused["callId"], refused["status"]) == (f"call {MAX_QUESTIONS}", "error")
        assert "Too many calls at once" in refused["data"]
        await runner.say("runner:taskdatarequest", requestId="q", taskId=task_id, requestParams=NOTHING)
        await runner.nothing_more()
        assert [f"more than {MAX_QUESTIONS}" in violation.what for violation in broker.violations] == [True]
        may_go.set()
        answers = [await runner.hear() for _ in range(MAX_QUESTIONS)]
        assert {answer["status"] for answer in answers} == {"success"}
        assert (await asked(runner, task_id))["mode"] == "manual", "and then there is room again"


async def test_a_broken_service_ends_the_task_at_once_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(_: str, __: Sequence[Any]) -> Any:
        raise ZeroDivisionError("on purpose")

    async with listening() as broker, connected(broker) as runner:
        task = broker.request(SETTINGS, service=Answering(answer))
        task_id = await runner.take("a")
        await runner.say("runner:rpc", callId="1", taskId=task_id, name="helpers.httpRequest", params=[])
        cancel = await runner.hear()
        assert cancel["type"] == "broker:taskcancel"
        end = await task.end()
        assert (end.how, end.error) == (TaskEnd.ERROR, {"message": cancel["reason"]})
        assert "ZeroDivisionError: on purpose" in cancel["reason"]
        assert "helpers.httpRequest" in caplog.text


async def test_what_a_task_leaves_behind_reaches_whoever_asked_for_it() -> None:
    async with listening() as broker, connected(broker) as runner:
        task = broker.request(SETTINGS)
        left = {"result": [], "customData": {"key": "value"}, "staticData": {"global": {"n": 1}}}
        await runner.say("runner:taskdone", taskId=await runner.take("a"), data=left)
        end = await task.end()
        assert end.custom_data is not None
        assert end.static_data is not None
        assert (bytes(end.custom_data), bytes(end.static_data)) == (b'{"key": "value"}', b'{"global": {"n": 1}}')
        task = broker.request(SETTINGS)
        await runner.say("runner:taskdone", taskId=await runner.take("b"), data={"result": [], "customData": None})
        end = await task.end()
        assert (end.custom_data, end.static_data) == (None, None)
