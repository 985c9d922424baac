"""Where running tasks ask, for data or for a call, and where the answers come from: the service of each task.

A question is a coroutine of the task that asked. When the task ends, its questions are cancelled, so no answer can
come too late. How many may wait for their answers is bounded.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from runner.broker.buffers import from_buffer, with_buffers
from runner.broker.limits import MAX_QUESTIONS
from runner.broker.runners import ConnectedRunner
from runner.broker.service import CallFailed, DataRequest, NodeTypeWanted, TaskService
from runner.broker.tasks import RequestedTask
from runner.protocol.codec import read_json, write_json
from runner.protocol.messages import (
    FUNCTIONS,
    LOG_NODE_OUTPUT,
    METHOD_NOT_ALLOWED,
    BrokerMessage,
    NodeTypes,
    NodeTypesRequest,
    Rpc,
    RpcResponse,
    TaskDataRequest,
    TaskDataResponse,
)
from runner.scope import Scope

log = logging.getLogger(__name__)


class Desk:
    """Takes the questions of running tasks, has them answered, and sends the answers back."""

    def __init__(
        self,
        send: Callable[[ConnectedRunner, BrokerMessage], None],
        complain: Callable[[ConnectedRunner, str], None],
        give_up: Callable[[RequestedTask, str], None],
    ) -> None:
        """A desk that nobody has come to.

        Parameters:
            send: sends an answer.
            complain: hears of what a runner should not have sent.
            give_up: ends a task whose service is broken, with a reason for people.
        """
        self._send = send
        self._complain = complain
        self._give_up = give_up
        self._scope = Scope(self._crashed)
        self._numbers = itertools.count(1)
        self._askers: dict[str, RequestedTask] = {}

    async def close(self) -> None:
        """Cancel every question, and wait until nobody works on one any more."""
        await self._scope.cancel()

    def call(self, runner: ConnectedRunner, task: RequestedTask, message: Rpc) -> None:
        """A running task calls a function."""
        if message.name == LOG_NODE_OUTPUT:
            task.printed(message.params)
            self._send(runner, RpcResponse(message.call_id, message.task_id, "success"))
        elif message.name not in FUNCTIONS:
            self._refuse(runner, message, METHOD_NOT_ALLOWED)
        elif task.service is None:
            self._refuse(runner, message, f"Whoever asked for this task does not serve {message.name}")
        elif len(task.questions) >= MAX_QUESTIONS:
            self._refuse(runner, message, f"Too many calls at once: {MAX_QUESTIONS} are waiting for their answers")
        else:
            self._ask(task, self._answer_call(runner, task.service, message), message.name)

    def data(self, runner: ConnectedRunner, task: RequestedTask, message: TaskDataRequest) -> None:
        """A running task asks for data of its execution."""
        if task.service is None:
            self._send(runner, TaskDataResponse(message.task_id, message.request_id))
            return
        try:
            request = DataRequest.parse(message.request_params)
        except ValueError as error:
            self._complain(runner, f"a data request that cannot be read: {error}")
            return
        if self._has_room(runner, task):
            self._ask(task, self._answer_data(runner, task.service, message, request), "data")

    def node_types(self, runner: ConnectedRunner, task: RequestedTask, message: NodeTypesRequest) -> None:
        """A running task asks for descriptions of node types."""
        if task.service is None:
            self._send(runner, NodeTypes(message.task_id, message.request_id))
            return
        try:
            wanted = msgspec.convert(read_json(message.request_params), list[NodeTypeWanted])
        except ValueError as error:
            self._complain(runner, f"a question for node types that cannot be read: {error}")
            return
        if self._has_room(runner, task):
            self._ask(task, self._answer_node_types(runner, task.service, message, wanted), "node types")

    def _refuse(self, runner: ConnectedRunner, message: Rpc, why: str) -> None:
        self._send(runner, RpcResponse(message.call_id, message.task_id, "error", write_json(why)))

    def _has_room(self, runner: ConnectedRunner, task: RequestedTask) -> bool:
        """Whether one more question of a task is taken; data requests have no answer that says no."""
        if len(task.questions) < MAX_QUESTIONS:
            return True
        self._complain(runner, f"more than {MAX_QUESTIONS} questions at once for the task {task.task_id}")
        return False

    # Answers

    def _ask(self, task: RequestedTask, answering: Coroutine[Any, Any, None], what: str) -> None:
        name = f"question {next(self._numbers)} of the task {task.task_id}, for {what}"
        asking = task.questions[name] = self._scope.spawn(answering, name)
        self._askers[name] = task
        asking.add_done_callback(lambda _: self._answered(name))

    def _answered(self, name: str) -> None:
        self._askers.pop(name).questions.pop(name, None)

    async def _answer_call(self, runner: ConnectedRunner, service: TaskService, message: Rpc) -> None:
        try:
            arguments = [from_buffer(argument) for argument in msgspec.convert(read_json(message.params), list[Any])]
        except ValueError as error:
            self._complain(runner, f"arguments of {message.name} that cannot be read: {error}")
            self._refuse(runner, message, f"The arguments cannot be read: {error}")
            return
        status = "success"
        try:
            answer = with_buffers(await service.call(message.name, arguments))
        except CallFailed as failure:
            status, answer = "error", failure.as_object()
        self._send(runner, RpcResponse(message.call_id, message.task_id, status, write_json(answer)))

    async def _answer_data(
        self, runner: ConnectedRunner, service: TaskService, message: TaskDataRequest, request: DataRequest
    ) -> None:
        part = write_json(request.of(await service.data()))
        self._send(runner, TaskDataResponse(message.task_id, message.request_id, part))

    async def _answer_node_types(
        self, runner: ConnectedRunner, service: TaskService, message: NodeTypesRequest, wanted: list[NodeTypeWanted]
    ) -> None:
        known = write_json(list(await service.node_types(wanted)))
        self._send(runner, NodeTypes(message.task_id, message.request_id, known))

    def _crashed(self, name: str, error: Exception) -> None:
        """A service that raises what it must not is broken: its task is told so at once, and not left to wait."""
        log.error("A task's service could not answer %s", name, exc_info=error)
        task = self._askers.get(name)
        if task is not None:
            self._give_up(task, f"The service of this task is broken: {type(error).__name__}: {error}")
