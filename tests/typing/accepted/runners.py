"""Runners as people write them. Nobody runs this: type checkers have to accept every line, in strict mode."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, assert_type

from msgspec import Raw

from runner import (
    AlreadyStarted,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionLost,
    Count,
    Executor,
    NoIdleTimeoutHandlerError,
    Observer,
    Readiness,
    Refused,
    RunnerError,
    SignOfLife,
    TaskFailed,
    TaskFinished,
    TaskOutcome,
    TaskRequest,
    TaskRunner,
    TaskRunnerConfig,
    Unreachable,
    UnsupportedPlatform,
)
from runner.broker import CallFailed, EmbeddedBroker, EndOfTask, NodeTypeWanted
from runner.broker.local import Execution, LocalNode, LocalService, NoHttp
from statemachine import CONNECTION, ConnectionState, Entry


async def seed_example() -> None:
    config = TaskRunnerConfig(
        grant_token="...",
        task_broker_uri="http://localhost:5679",
        max_concurrency=5,
        max_payload_size=1024**3,
        task_timeout=60,
        auto_shutdown_timeout=0,
        is_auto_shutdown_enabled=False,
    )
    runner = TaskRunner(config)
    assert_type(await runner.start(), None)


async def with_an_auth_token_and_an_idle_handler() -> None:
    runner = TaskRunner(TaskRunnerConfig(auth_token="...", auto_shutdown_timeout=0.5, heartbeat_interval=2.5))

    async def on_idle_timeout() -> None:
        await runner.stop()

    runner.on_idle_timeout = on_idle_timeout
    await runner.start()
    runner.on_idle_timeout = None


def what_code_may_do() -> TaskRunnerConfig:
    return TaskRunnerConfig(
        grant_token="...",
        stdlib_allow=frozenset({"json"}),
        external_allow=frozenset({"*"}),
        builtins_deny=frozenset(),
        block_env_access=False,
    )


def names_in_any_kind_of_list() -> TaskRunnerConfig:
    return TaskRunnerConfig(
        grant_token="...", stdlib_allow=["json"], external_allow={"pandas"}, builtins_deny=("eval",)
    )


def from_the_environment(environment: Mapping[str, str]) -> TaskRunnerConfig | tuple[str, ...]:
    try:
        return TaskRunnerConfig.from_env(environment)
    except ConfigurationError as error:
        return error.problems


class Echo:
    """An executor of one's own: it needs to inherit from nothing."""

    async def start(self) -> None:
        pass

    async def execute(self, request: TaskRequest) -> Raw:
        request.print(Raw(b'["hello"]'))
        if request.task_id == "":
            raise TaskFailed("No", "because", lineNumber=3)
        return request.settings

    async def close(self) -> None:
        pass


class EchoThatInherits(Executor):
    """The same, by inheritance."""

    async def start(self) -> None:
        pass

    async def execute(self, request: TaskRequest) -> Raw:
        return request.settings

    async def close(self) -> None:
        pass


async def with_an_executor(config: TaskRunnerConfig) -> None:
    executor: Executor = Echo()
    async with TaskRunner(config, executor=executor) as runner:
        assert_type(runner, TaskRunner)
        await runner.reached(ConnectionState.LISTENING)
        assert_type(runner.state, ConnectionState)
        assert_type(runner.counters[Count.TASKS_DONE], int)
        assert_type(runner.journal, tuple[Entry, ...])
        assert_type(runner.path, tuple[str, ...])
        assert_type(CONNECTION.to_svg(runner.state, runner.journal), str)
        assert_type(runner.running_tasks + runner.open_offers, int)
        assert_type(runner.readiness, Readiness)
        assert_type(runner.readiness.is_ready, bool)
        assert_type(runner.readiness.reasons, tuple[str, ...])
        assert_type(runner.config.max_concurrency, int)
        assert_type(runner.config.stdlib_allow, frozenset[str] | None)
    TaskRunner(config, executor=EchoThatInherits())


class SlowTasks(Observer):
    """An observer overrides what it wants to hear of."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_task_finished(self, task: TaskFinished) -> None:
        if task.outcome is TaskOutcome.DONE and task.duration > 1:
            self.names.append(task.task.node_name)


def with_an_observer(runner: TaskRunner) -> None:
    stop = runner.observe(SlowTasks())
    assert_type(stop(), None)
    assert_type(runner.executor_status.running, Mapping[str, int])
    assert_type([task.age for task in runner.tasks], list[float])


class Pipe:
    """A connection of one's own: it needs to inherit from nothing."""

    async def receive(self) -> bytes | SignOfLife:
        raise ConnectionLost("the pipe has ended", code=1006)

    async def send(self, frame: bytes) -> None:
        pass

    async def close(self) -> None:
        pass

    async def drop(self) -> None:
        pass


class Tunnel:
    """Another way to the task broker."""

    async def open(self, runner_id: str) -> Pipe:
        if runner_id == "":
            raise Refused(403, "nobody")
        if runner_id == "too early":
            raise Unreachable("not yet")
        return Pipe()


def with_another_transport(config: TaskRunnerConfig) -> TaskRunner:
    return TaskRunner(config, transport=Tunnel())


async def with_every_error(runner: TaskRunner) -> int | str:
    try:
        await runner.start()
    except AuthenticationFailed as error:
        return error.status
    except NoIdleTimeoutHandlerError as error:
        return str(error.timeout)
    except UnsupportedPlatform as error:
        return error.platform
    except TaskFailed as error:
        assert_type(error.as_error_object(), dict[str, Any])
        return error.message
    except (AlreadyStarted, RunnerError) as error:
        return str(error)
    return 0


async def several_at_once(configs: list[TaskRunnerConfig]) -> None:
    runners = [TaskRunner(config) for config in configs]
    async with asyncio.TaskGroup() as group:
        for runner in runners:
            group.create_task(runner.start())
    for runner in runners:
        runner.request_stop("enough")


class Answers:
    """Serves what the code of a task asks for."""

    async def data(self) -> Mapping[str, Any]:
        return {"workflow": {"name": "Orders"}}

    async def node_types(self, wanted: Sequence[NodeTypeWanted]) -> Sequence[Mapping[str, Any]]:
        return [{"name": each.name, "version": each.version} for each in wanted]

    async def call(self, name: str, arguments: Sequence[Any]) -> Any:
        raise CallFailed(f"{name} is not served here", description="It never will be", status=404)


async def tasks_with_services(broker: EmbeddedBroker, settings: Raw) -> EndOfTask:
    await broker.request(settings, service=Answers()).end()
    execution = Execution(before=[LocalNode("Orders", [{"json": {"id": 7}}])], variables={"region": "eu"})
    async with LocalService(execution, http=NoHttp()) as service:
        return await broker.request(settings, service=service).end()
