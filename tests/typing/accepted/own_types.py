"""Own task types as people write them. Nobody runs this: type checkers have to accept every line, in strict mode."""

from __future__ import annotations

import logging
from typing import Any, assert_type

import attrs
from msgspec import Raw

from runner import (
    Executor,
    FunctionExecutor,
    Limited,
    N8n,
    N8nRefused,
    Outcome,
    SandboxExecutor,
    TaskContext,
    TaskRequest,
    TaskRunner,
    TaskRunnerConfig,
)


@attrs.frozen
class Thumbnail:
    image: bytes
    width: int = 64


async def make_thumbnail(settings: Thumbnail, task: TaskContext) -> list[int]:
    assert_type(task.log, logging.LoggerAdapter[logging.Logger])
    assert_type(task.n8n, N8n)
    assert_type(task.task_id + task.task_type, str)
    task.log.info("making a thumbnail of %d pixels", settings.width)
    task.print("working", settings.width, None)
    return [settings.width]


async def with_plain_settings(settings: dict[str, Any], task: TaskContext) -> Raw:
    try:
        return await task.n8n.call("helpers.httpRequest", Raw(b"[]"))
    except N8nRefused as refused:
        return Raw(f'"{refused.message}"'.encode())


async def with_more_than_a_result(settings: dict[str, Any], task: TaskContext) -> Outcome:
    return Outcome(Raw(b"[]"), custom_data=Raw(b"{}"))


def several_types(config: TaskRunnerConfig) -> TaskRunner:
    thumbnails = FunctionExecutor(make_thumbnail, Thumbnail, concurrency=2)
    assert_type(thumbnails, FunctionExecutor[Thumbnail])
    plain = FunctionExecutor(with_plain_settings)
    assert_type(plain, FunctionExecutor[dict[str, Any]])
    assert_type(plain.concurrency, int | None)
    executors: dict[str, Executor] = {
        "python": SandboxExecutor(config),
        "thumbnail": thumbnails,
        "plain": plain,
        "more": FunctionExecutor(with_more_than_a_result),
    }
    return TaskRunner(config, executors=executors)


def a_literal_will_do(config: TaskRunnerConfig) -> TaskRunner:
    return TaskRunner(
        config, executors={"python": SandboxExecutor(config), "mine": FunctionExecutor(make_thumbnail, Thumbnail)}
    )


class Elastic:
    """An executor that says itself how many tasks it takes."""

    concurrency: int | None = 3

    async def start(self) -> None:
        pass

    async def execute(self, request: TaskRequest) -> Outcome:
        request.log.info("a task of the type %s", request.task_type)
        return Outcome(request.settings)

    async def close(self) -> None:
        pass


def limited(config: TaskRunnerConfig) -> Limited:
    executor = Elastic()
    TaskRunner(config, executors={"elastic": executor})
    return executor
