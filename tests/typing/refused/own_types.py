"""What is wrong about own task types. Each marked line, and no other, has to be refused: by mypy, and by pyright."""

from typing import Any

import attrs

from runner import FunctionExecutor, TaskContext, TaskRunner, TaskRunnerConfig


@attrs.frozen
class Thumbnail:
    width: int


async def thumbnail(settings: Thumbnail, task: TaskContext) -> int:
    task.log.inform("no such level")  # error: attr-defined, reportAttributeAccessIssue
    task.task_id = "another"  # error: misc, reportAttributeAccessIssue
    await task.n8n.call("helpers.httpRequest", [])  # error: arg-type, reportArgumentType
    return settings.height  # error: attr-defined, reportAttributeAccessIssue


async def plain(settings: dict[str, Any], task: TaskContext) -> None: ...
async def without_a_context(settings: dict[str, Any]) -> None: ...
def not_a_coroutine(settings: dict[str, Any], task: TaskContext) -> None: ...


FunctionExecutor(plain)
FunctionExecutor(thumbnail)  # error: arg-type, reportArgumentType
FunctionExecutor(thumbnail, dict)  # error: arg-type, reportArgumentType
FunctionExecutor(without_a_context)  # error: arg-type, reportArgumentType
FunctionExecutor(not_a_coroutine)  # error: arg-type, reportArgumentType
FunctionExecutor(plain, concurrency="2")  # error: call-overload, reportArgumentType

config = TaskRunnerConfig(grant_token="x")
TaskRunner(config, executors={"thumbnail": thumbnail})  # error: dict-item, reportArgumentType
TaskRunner(config, executors=[FunctionExecutor(plain)])  # error: arg-type, reportArgumentType
TaskRunner(config, executors={1: FunctionExecutor(plain)})  # error: dict-item, reportArgumentType
