"""What serves a running task: the interface between the broker and whoever asked for the task.

n8n itself stands behind this interface in production. A requester of the embedded broker may give a service of its own
with each task; `runner.broker.local` has one that needs no n8n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs
import msgspec

from runner.protocol.codec import read_json


@attrs.frozen
class NodeTypeWanted:
    """A node type that a runner asks for a description of."""

    name: str
    version: float


class CallFailed(Exception):
    """A function has failed, in words that the code is told: the error that it raises there.

    Parameters:
        message: what went wrong.
        details: more members of the error object, such as `description` or `status`; JSON.
    """

    def __init__(self, message: str, **details: Any) -> None:
        """A failure that the code may catch."""
        super().__init__(message)
        self.details = details

    def as_object(self) -> dict[str, Any]:
        """The error as n8n sends one."""
        return {"message": str(self), "name": "NodeOperationError", **self.details}


class TaskService(Protocol):
    """Serves one task. Whatever is asked when the task has ended is cancelled, and its answer dropped."""

    async def data(self) -> Mapping[str, Any]:
        """All data of the execution, in n8n's own form: `workflow`, `inputData`, `runExecutionData`, `node`, ....

        The broker sends of it what was asked for.
        """

    async def node_types(self, wanted: Sequence[NodeTypeWanted]) -> Sequence[Mapping[str, Any]]:
        """Descriptions of node types; of those that are known."""

    async def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Call one of `runner.protocol.messages.FUNCTIONS`, all but `logNodeOutput`, and return what it returns.

        Arguments are JSON values and bytes, and so is the result.

        Raises:
            CallFailed: it does not work; the code is told so.
        """


@attrs.frozen
class DataRequest:
    """What of an execution's data is asked for.

    Parameters:
        nodes: the nodes whose data is wanted; None for all.
        previous_node: whether the node that the items came from is one of them.
        with_input: whether the items are wanted.
        first, count: which of the items; all when `count` is None.
        with_environment: whether the environment variables are wanted.
    """

    nodes: frozenset[str] | None
    previous_node: bool
    with_input: bool
    first: int
    count: int | None
    with_environment: bool

    @classmethod
    def parse(cls, document: msgspec.Raw) -> DataRequest:
        """The request in the `requestParams` of a `runner:taskdatarequest`.

        Raises:
            ValueError: these are no such parameters.
        """
        wire = msgspec.convert(read_json(document), _WireRequest)
        chunk = wire.input.chunk
        return cls(
            nodes=None if isinstance(wire.dataOfNodes, str) else frozenset(wire.dataOfNodes),
            previous_node=wire.prevNode,
            with_input=wire.input.include,
            first=chunk.startIndex if chunk else 0,
            count=chunk.count if chunk else None,
            with_environment=wire.env,
        )

    def of(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The part of the data that is asked for, as n8n cuts it out."""
        return {
            **data,
            "inputData": self._input_of(data),
            "envProviderState": self._environment_of(data),
            "runExecutionData": self._run_of(data),
        }

    def _input_of(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        everything: Mapping[str, Any] = data.get("inputData") or {}
        if not self.with_input:
            return {}
        inputs = everything.get("main") or [None]
        if self.count is None or inputs[0] is None:
            return everything
        return {**everything, "main": [inputs[0][self.first : self.first + self.count]]}

    def _environment_of(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        everything: Mapping[str, Any] = data.get("envProviderState") or {}
        return everything if self.with_environment else {**everything, "env": {}}

    def _run_of(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        everything: Mapping[str, Any] = data.get("runExecutionData") or {}
        if self.nodes is None:
            return everything
        wanted = self.nodes | ({_previous_node(data)} if self.previous_node else frozenset())
        results = dict(everything.get("resultData") or {})
        for part in ("runData", "pinData"):
            if part in results:
                results[part] = {name: runs for name, runs in results[part].items() if name in wanted}
        return {**everything, "resultData": results}


def _previous_node(data: Mapping[str, Any]) -> str:
    """The name of the node that the items of the first input came from."""
    sources = (data.get("connectionInputSource") or {}).get("main") or [None]
    return str(sources[0]["previousNode"]) if sources[0] else ""


class _WireChunk(msgspec.Struct):
    startIndex: int  # noqa: N815 - the names of the wire
    count: int


class _WireInput(msgspec.Struct):
    include: bool
    chunk: _WireChunk | None = None


class _WireRequest(msgspec.Struct):
    dataOfNodes: list[str] | str  # noqa: N815
    prevNode: bool  # noqa: N815
    input: _WireInput
    env: bool
