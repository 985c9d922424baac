"""What is wrong about runners. Each marked line, and no other, has to be refused: by mypy, and by pyright."""

import asyncio

from msgspec import Raw

import runner as package
from runner import Observer, TaskRequest, TaskRunner, TaskRunnerConfig, TaskStarted
from runner import TaskRuner  # error: attr-defined, reportAttributeAccessIssue

config = TaskRunnerConfig(grant_token="x")
TaskRunnerConfig({"x"})  # error: call-arg, reportCallIssue
TaskRunnerConfig(grant_token=5)  # error: arg-type, reportArgumentType
TaskRunnerConfig(grant_token="x", task_timeout="60")  # error: arg-type, reportArgumentType
TaskRunnerConfig(grant_token="x", max_concurrency=1.5)  # error: arg-type, reportArgumentType
TaskRunnerConfig(grant_token="x", no_such_field=1)  # error: call-arg, reportCallIssue
TaskRunnerConfig(grant_token="x", stdlib_allow=None)
TaskRunnerConfig(grant_token="x", external_allow=5)  # error: arg-type, reportArgumentType
TaskRunnerConfig(grant_token="x", builtins_deny=[1])  # error: list-item, reportArgumentType
TaskRunnerConfig.from_env({"A": 1})  # error: dict-item, reportArgumentType
config.task_timeout = 5  # error: misc, reportAttributeAccessIssue
print(config.no_such_field)  # error: attr-defined, reportAttributeAccessIssue
print(package.Count)
print(package.Conut)  # error: attr-defined, reportAttributeAccessIssue
TaskRunner()  # error: call-arg, reportCallIssue
TaskRunner({"grant_token": "x"})  # error: arg-type, reportArgumentType
TaskRunner(config, None)  # error: call-arg, reportCallIssue


class NoResult:
    async def start(self) -> None: ...
    async def execute(self, request: TaskRequest) -> str:
        request.settings = Raw(b"1")  # error: misc, reportAttributeAccessIssue
        return "not raw"
    async def close(self) -> None: ...


TaskRunner(config, executor=NoResult())  # error: arg-type, reportArgumentType
TaskRunner(config, transport=NoResult())  # error: arg-type, reportArgumentType


def not_a_coroutine() -> None: ...


def use(runner: TaskRunner) -> None:
    runner.on_idle_timeout = not_a_coroutine  # error: assignment, reportAttributeAccessIssue
    runner.state = runner.state  # error: misc, reportAttributeAccessIssue
    print(runner.counters["TASKS_DONE"])  # error: index, reportArgumentType
    asyncio.run(runner.stop)  # error: arg-type, reportArgumentType
    runner.observe(not_a_coroutine)  # error: arg-type, reportArgumentType


class Watcher(Observer):
    def on_task_finished(self, task: TaskStarted) -> None: ...  # error: override, reportIncompatibleMethodOverride
