"""Own task types: coroutine functions as executors, several types in one runner, and what goes wrong with both."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import msgspec
import pytest
from msgspec import Raw

from runner import (
    ConfigurationError,
    Count,
    Executor,
    FunctionExecutor,
    Outcome,
    SandboxExecutor,
    SandboxFailed,
    TaskContext,
    TaskFailed,
    TaskIdentity,
    TaskRequest,
    TaskRunner,
    TaskRunnerConfig,
)
from runner.broker import EmbeddedBroker, EndOfTask, TaskEnd
from statemachine import ConnectionState
from tests.runner.test_offers_and_tasks import Gate
from tests.scripted_broker import RunnerConnection, ScriptedBroker
from tests.support import (
    AUTH_TOKEN,
    ManualClock,
    config_for,
    error_of,
    eventually,
    printed,
    result_of,
    run_code,
    settle,
)

Settings = dict[str, Any]


def as_raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


@asynccontextmanager
async def serving(broker: EmbeddedBroker, executors: dict[str, Executor], **more: Any) -> AsyncIterator[TaskRunner]:
    """A runner of these types that listens."""
    async with TaskRunner(config_for(broker, **more), executors=executors) as runner:
        await runner.reached(ConnectionState.LISTENING)
        yield runner


@asynccontextmanager
async def scripted_serving(
    scripted: ScriptedBroker, executors: dict[str, Executor], clock: ManualClock | None = None, **more: Any
) -> AsyncIterator[tuple[TaskRunner, RunnerConnection]]:
    """The same with a broker that says what the test tells it to."""
    config = TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri, **more)
    async with TaskRunner(config, executors=executors, clock=clock) as runner:
        connection = await scripted.accept()
        await connection.register()
        yield runner, connection


async def run(broker: EmbeddedBroker, settings: object, task_type: str = "own") -> EndOfTask:
    return await asyncio.wait_for(broker.request(as_raw(settings), task_type).end(), 10)


async def echo(settings: Settings, _: TaskContext) -> object:
    return settings


async def execute(function: Any, settings: bytes = b"{}", kind: type[Any] = dict) -> Outcome:
    """One task, without a runner."""
    return await FunctionExecutor(function, kind).execute(TaskRequest("t1", Raw(settings), lambda _: None))


# Settings


@attrs.frozen
class Attrs:
    width: int
    name: str = "unnamed"


@dataclasses.dataclass
class Data:
    width: int
    name: str = "unnamed"


class Struct(msgspec.Struct):
    width: int
    name: str = "unnamed"


@pytest.mark.parametrize("kind", [Attrs, Data, Struct])
async def test_settings_come_as_the_type_that_was_asked_for(broker: EmbeddedBroker, kind: type[Any]) -> None:
    seen = []

    async def function(settings: Any, _: TaskContext) -> int:
        seen.append(settings)
        return int(settings.width)

    async with serving(broker, {"own": FunctionExecutor(function, kind)}):
        assert result_of(await run(broker, {"width": 3, "unknown": [1]})) == 3
    assert seen == [kind(3)]


async def test_without_a_type_settings_are_a_dict(broker: EmbeddedBroker) -> None:
    async with serving(broker, {"own": FunctionExecutor(echo)}):
        assert result_of(await run(broker, {"a": [1, None]})) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (b'{"name":"n"}', "Object missing required field `width`"),
        (b'{"width":"3"}', "Expected `int`, got `str` - at `$.width`"),
        (b"[1]", "Expected `object`, got `array`"),
        (b'{"width":', "it is not one JSON value: "),
        (b'{"x":' + b"[" * 100_000, "it is not one JSON value: "),
    ],
)
async def test_settings_of_another_form_fail_the_task(settings: bytes, problem: str) -> None:
    async def never(_: Attrs, __: TaskContext) -> None:
        raise AssertionError("there are no settings")

    with pytest.raises(TaskFailed) as caught:
        await execute(never, settings, Attrs)
    assert caught.value.message.startswith(
        f"The settings of this task are not what {never.__qualname__} needs: {problem}"
    )


async def test_a_text_that_was_cut_inside_an_emoji_is_read() -> None:
    async def name(settings: Attrs, _: TaskContext) -> str:
        return settings.name

    outcome = await execute(name, rb'{"width":1,"name":"cut \ud83d"}', Attrs)
    assert json.loads(bytes(outcome.result)) == "cut ?"


# The context


async def test_the_function_knows_its_task_and_logs_and_prints_for_it(
    broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def function(_: Settings, task: TaskContext) -> list[str]:
        task.log.info("working")
        task.print("half", 0.5, None, "\ud83d")
        return [task.task_id, task.task_type]

    async with serving(broker, {"own": FunctionExecutor(function)}):
        request = broker.request(as_raw({}), "own")
        assert result_of(await request.end()) == [request.task_id, "own"]
    assert printed(request.prints) == [["half", "0.5", "None", "?"]]
    assert [record.message for record in caplog.records if record.message.endswith('for a request of the type "own"')]
    record = next(record for record in caplog.records if record.message == "working")
    assert record.name == "runner.task"
    task = record.__dict__["task"]
    assert isinstance(task, TaskIdentity)
    assert task.task_id == request.task_id


async def test_the_function_may_ask_n8n(scripted: ScriptedBroker) -> None:
    async def function(_: Settings, task: TaskContext) -> Raw:
        return await task.n8n.call("helpers.httpRequest", Raw(b'[{"url":"u"}]'))

    async with scripted_serving(scripted, {"own": FunctionExecutor(function)}) as (_, connection):
        for status, data in (("success", {"a": 1}), ("error", {"message": "no such host"})):
            await connection.give_task(status, {})
            rpc = await connection.expect("runner:rpc")
            await connection.say("broker:rpcresponse", callId=rpc["callId"], taskId=status, status=status, data=data)
        assert (await connection.expect("runner:taskdone"))["data"] == {"result": {"a": 1}}
        assert (await connection.expect("runner:taskerror"))["error"]["message"] == "no such host"


# Results


@pytest.mark.parametrize(
    ("returned", "result"),
    [
        (None, None),
        (Attrs(1), {"width": 1, "name": "unnamed"}),
        ([Struct(1)], [{"width": 1, "name": "unnamed"}]),
        ({"nan": float("nan"), "cut": "\ud83d"}, {"nan": None, "cut": "?"}),
        (Raw(b'{"a":1}'), {"a": 1}),
        (Outcome(Raw(b"1"), custom_data=Raw(b'{"k":"v"}')), 1),
    ],
)
async def test_what_the_function_returns_is_the_result(
    broker: EmbeddedBroker, returned: object, result: object
) -> None:
    async def function(_: Settings, __: TaskContext) -> object:
        return returned

    async with serving(broker, {"own": FunctionExecutor(function)}):
        assert result_of(await run(broker, {})) == result


def endless() -> list[Any]:
    nested: list[Any] = []
    nested.append(nested)
    return nested


@pytest.mark.parametrize(
    "returned",
    [object(), {1.5j: 1}, endless(), Raw(b"{} }"), Raw(b'"\xff"'), Outcome(Raw(b"1"), static_data=Raw(b"{"))],
    ids=["object", "key", "endless", "two values", "no UTF-8", "static data"],
)
async def test_what_cannot_be_sent_fails_the_task_and_nothing_else(broker: EmbeddedBroker, returned: object) -> None:
    async def function(settings: Settings, _: TaskContext) -> object:
        return returned if settings else "well"

    async with serving(broker, {"own": FunctionExecutor(function)}) as runner:
        error = error_of(await run(broker, {"bad": True}))
        assert error["message"].startswith(f"What {function.__qualname__} returned cannot be sent as JSON: ")
        assert result_of(await run(broker, {})) == "well"
        assert runner.counters[Count.CRASHES] == 0


async def test_a_result_above_the_limit_fails_the_task_and_not_the_connection(broker: EmbeddedBroker) -> None:
    async def function(settings: Settings, _: TaskContext) -> str:
        return "x" * int(settings["size"])

    async with serving(broker, {"own": FunctionExecutor(function)}, max_payload_size=10_000) as runner:
        error = error_of(await run(broker, {"size": 9_000}))
        assert error["message"] == "The result is too large: it has 9002 bytes, and at most 8976 can be sent to n8n"
        assert len(result_of(await run(broker, {"size": 8_000}))) == 8_000
        assert runner.counters[Count.CONNECTIONS_LOST] == 0


async def test_a_result_that_is_too_long_with_what_is_left_beside_it_is_no_end_of_the_connection(
    broker: EmbeddedBroker,
) -> None:
    async def function(_: Settings, __: TaskContext) -> Outcome:
        half = Raw(b'{"a":"' + b"x" * 5_000 + b'"}')
        return Outcome(half, half, half)

    async with serving(broker, {"own": FunctionExecutor(function)}, max_payload_size=10_000) as runner:
        error = error_of(await run(broker, {}))
        assert error["message"].startswith("The result, with the custom and static data beside it, is too large")
        assert runner.counters[Count.CONNECTIONS_LOST] == 0


# Failures


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (TaskFailed("No", "because", lineNumber=3), {"message": "No", "description": "because", "lineNumber": 3}),
        (ValueError("bad value"), {"message": "ValueError: bad value"}),
        (KeyError(), {"message": "KeyError"}),
        (TimeoutError(), {"message": "TimeoutError"}),
    ],
)
async def test_what_the_function_raises_is_the_failure(
    broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture, error: Exception, shown: dict[str, Any]
) -> None:
    async def function(_: Settings, __: TaskContext) -> None:
        raise error

    async with serving(broker, {"own": FunctionExecutor(function)}) as runner:
        assert error_of(await run(broker, {})) == shown
        assert runner.counters[Count.TASKS_FAILED] == 1
        assert runner.counters[Count.CRASHES] == 0
    logged = [record for record in caplog.records if record.name == "runner.task"]
    assert [record.exc_info is not None for record in logged] == [True] * (not isinstance(error, TaskFailed))


def not_a_coroutine(_: Settings, __: TaskContext) -> None: ...


class Called:
    async def __call__(self, settings: Settings, _: TaskContext) -> object:
        return settings


@pytest.mark.parametrize("function", [not_a_coroutine, lambda settings, task: None, partial(not_a_coroutine, {})])
def test_a_function_that_is_no_coroutine_function_is_refused(function: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"cannot run tasks: it is no coroutine function. Define it with `async"
    ):
        FunctionExecutor(function)


@pytest.mark.parametrize("function", [Called(), partial(echo)])
async def test_whatever_is_called_with_await_is_a_function(function: Any) -> None:
    assert json.loads(bytes((await execute(function, b'{"a":1}')).result)) == {"a": 1}


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_concurrency_below_one_is_refused(concurrency: int) -> None:
    with pytest.raises(ConfigurationError, match=f"the concurrency of echo has to be 1 or more, and is {concurrency}"):
        FunctionExecutor(echo, concurrency=concurrency)


# Cancelling


class Slow:
    """A function that waits until it is cancelled, and takes its time to clean up."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, _: Settings, __: TaskContext) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
            await self.may_end.wait()


async def test_a_cancelled_task_cancels_its_function_and_holds_its_slot_until_that_has_ended(
    broker: EmbeddedBroker,
) -> None:
    slow = Slow()
    async with serving(broker, {"own": FunctionExecutor(slow, concurrency=1)}) as runner:
        task = broker.request(as_raw({}), "own")
        await slow.started.wait()
        broker.rules.cancel(task)
        await slow.cancelled.wait()
        await settle()
        assert (runner.running_tasks, runner.open_offers) == (1, 0)
        slow.may_end.set()
        await eventually(lambda: (runner.running_tasks, runner.open_offers) == (0, 1))


async def test_a_timeout_cancels_the_function(scripted: ScriptedBroker, clock: ManualClock) -> None:
    slow = Slow()
    slow.may_end.set()
    executors: dict[str, Executor] = {"own": FunctionExecutor(slow)}
    async with scripted_serving(scripted, executors, clock, task_timeout=20, max_concurrency=1) as (_, connection):
        await connection.give_task("t", {})
        await slow.started.wait()
        await clock.advance(19)
        assert slow.cancelled.is_set()
        assert (await connection.expect("runner:taskerror"))["error"] == {
            "message": "Task execution timed out after 20 seconds"
        }


async def test_a_function_that_swallows_its_cancellation_does_not_make_it_undone(broker: EmbeddedBroker) -> None:
    started = asyncio.Event()

    async def stubborn(_: Settings, __: TaskContext) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "as if nothing had happened"
        return "never"

    async with serving(broker, {"own": FunctionExecutor(stubborn, concurrency=1)}) as runner:
        task = broker.request(as_raw({}), "own")
        await started.wait()
        broker.rules.cancel(task)
        assert (await task.end()).how is TaskEnd.CANCELLED
        await eventually(lambda: runner.counters[Count.TASKS_CANCELLED] == 1)
        assert runner.counters[Count.TASKS_DONE] == 0


async def test_a_lost_connection_cancels_the_function(broker: EmbeddedBroker) -> None:
    slow = Slow()
    async with serving(broker, {"own": FunctionExecutor(slow)}) as runner:
        task = broker.request(as_raw({}), "own")
        await slow.started.wait()
        await broker.drop_connections()
        await slow.cancelled.wait()
        assert runner.state is ConnectionState.LISTENING, "backoff is entered when the function has ended"
        slow.may_end.set()
        await runner.reached(ConnectionState.BACKOFF)
        assert (await task.end()).how is TaskEnd.RUNNER_LOST


async def test_stopping_lets_a_function_end_within_the_graceful_timeout(broker: EmbeddedBroker) -> None:
    gate = asyncio.Event()
    started = asyncio.Event()

    async def function(_: Settings, __: TaskContext) -> str:
        started.set()
        await gate.wait()
        return "in time"

    async with serving(broker, {"own": FunctionExecutor(function)}) as runner:
        task = broker.request(as_raw({}), "own")
        await started.wait()
        runner.request_stop("enough")
        await runner.reached(ConnectionState.SHUTTING_DOWN)
        gate.set()
        assert result_of(await task.end()) == "in time"


async def test_cancelling_start_cancels_the_function(broker: EmbeddedBroker) -> None:
    slow = Slow()
    runner = TaskRunner(config_for(broker), executors={"own": FunctionExecutor(slow)})
    start = asyncio.ensure_future(runner.start())
    broker.request(as_raw({}), "own")
    await slow.started.wait()
    start.cancel()
    await slow.cancelled.wait()
    assert not start.done()
    slow.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert runner.running_tasks == 0


# Several types


async def test_all_types_are_registered_and_offered_each_with_its_own_slots(scripted: ScriptedBroker) -> None:
    executors: dict[str, Executor] = {
        "python": Gate(),
        "one": FunctionExecutor(echo, concurrency=1),
        "three": FunctionExecutor(echo, concurrency=3),
    }
    config = TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri, max_concurrency=2)
    async with TaskRunner(config, executors=executors) as runner:
        connection = await scripted.accept()
        assert (await connection.register())["types"] == ["python", "one", "three"]
        await runner.reached(ConnectionState.LISTENING)
        offers = Counter([(await connection.expect("runner:taskoffer"))["taskType"] for _ in range(6)])
        assert offers == {"python": 2, "one": 1, "three": 3}
        await connection.ping_answered()
        assert connection.heard("runner:taskoffer") == []
        assert runner.open_offers == 6


async def test_a_type_without_free_slots_does_not_keep_the_others_waiting(broker: EmbeddedBroker) -> None:
    gate = Gate()
    executors: dict[str, Executor] = {"busy": gate, "own": FunctionExecutor(echo, concurrency=1)}
    async with serving(broker, executors, max_concurrency=2) as runner:
        waiting = [broker.request(as_raw({}), "busy") for _ in range(3)]
        started = [(await gate.started.get()).task_id for _ in range(2)]
        assert [result_of(await run(broker, {"n": number})) for number in range(3)] == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert gate.started.empty(), "there are two slots"
        assert runner.running_tasks == 2
        for task_id in started:
            gate.finish(task_id)
        gate.finish((await gate.started.get()).task_id)
        assert [(await task.end()).how for task in waiting] == [TaskEnd.DONE] * 3


async def test_an_executor_is_told_the_type_of_each_task_and_started_once(broker: EmbeddedBroker) -> None:
    class Typed:
        def __init__(self) -> None:
            self.life: list[str] = []

        async def start(self) -> None:
            self.life.append("start")

        async def close(self) -> None:
            self.life.append("close")

        async def execute(self, request: TaskRequest) -> Raw:
            return as_raw(request.task_type)

    typed = Typed()
    async with serving(broker, {"a": typed, "b": typed}):
        assert [result_of(await run(broker, {}, task_type)) for task_type in ("b", "a")] == ["b", "a"]
    assert typed.life == ["start", "close"]


async def test_the_number_of_slots_may_change(scripted: ScriptedBroker, clock: ManualClock) -> None:
    class Elastic(Gate):
        concurrency = 1

    elastic = Elastic()
    async with scripted_serving(scripted, {"own": elastic}, clock) as (runner, connection):
        await connection.offer()
        assert runner.open_offers == 1
        elastic.concurrency = 3
        await clock.advance(5.7)  # the offer expires
        assert runner.open_offers == 3
        elastic.concurrency = 0
        await clock.advance(5.7)
        assert runner.open_offers == 0


async def test_python_runs_confined_beside_an_own_type(broker: EmbeddedBroker) -> None:
    config = config_for(broker, max_concurrency=1)
    executors: dict[str, Executor] = {"python": SandboxExecutor(config), "own": FunctionExecutor(echo)}
    async with TaskRunner(config, executors=executors) as runner:
        assert result_of(await run_code(broker, "return [{'n': item['json']['n'] * 2} for item in _items]"))
        assert result_of(await run(broker, {"a": 1})) == {"a": 1}
        assert len(runner.executor_status.layers) > 3, "of the sandbox, which tells"


async def test_an_executor_that_cannot_start_ends_start_and_closes_all(scripted: ScriptedBroker) -> None:
    closed: list[str] = []

    class Closing(Gate):
        def __init__(self, name: str, *, fails: bool) -> None:
            super().__init__()
            self.name, self.fails = name, fails

        async def start(self) -> None:
            if self.fails:
                raise SandboxFailed("not here")

        async def close(self) -> None:
            closed.append(self.name)
            if not self.fails:
                raise RuntimeError("it cannot close either")

    executors: dict[str, Executor] = {"a": Closing("a", fails=False), "b": Closing("b", fails=True)}
    runner = TaskRunner(TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri), executors=executors)
    with pytest.raises(SandboxFailed, match="not here"):
        await runner.start()
    assert closed == ["b", "a"]
    assert scripted.attempts == 0
    assert runner.counters[Count.CRASHES] == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"executor": Gate(), "executors": {"own": Gate()}}, "give one of the two"),
        ({"executors": {}}, "at least one task type"),
        ({"executors": {"": Gate()}}, "no type has an empty name"),
    ],
)
def test_executors_that_make_no_sense_are_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        TaskRunner(TaskRunnerConfig(auth_token="x"), **arguments)


async def test_executor_is_the_short_form_for_python(scripted: ScriptedBroker) -> None:
    config = TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri)
    async with TaskRunner(config, executor=Gate()):
        connection = await scripted.accept()
        assert (await connection.register())["types"] == ["python"]
