"""An execution of a workflow that is made up around one Code node, in the form in which n8n describes its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

Item = Mapping[str, Any]

WITHOUT_ITEMS: tuple[Item, ...] = ({"json": {}},)
"""What a node behind a manual trigger is given."""

BASE_URL = "http://localhost:5678"
"""Where an n8n would be on this machine: addresses that code shows or sends on are made from it."""


@attrs.frozen
class LocalNode:
    """A node that has run before the code does, with the items that came out of it."""

    name: str
    items: Sequence[Item] = WITHOUT_ITEMS


@attrs.frozen(kw_only=True)
class Execution:
    """What a Code node may know: a workflow whose nodes stand in a row, the Code node last, and how it has run so far.

    Parameters:
        before: the nodes before the Code node, at least one, in the order in which they ran; the last one's items are
            its input.
        node_name: the Code node's.
        parameters: of the Code node, such as its code.
        variables: what `_vars` has.
        environment: what `_env` has; None means that n8n blocks it, which is n8n's own default.
        static_data: the workflow's, as it was saved by the execution before: `global`, and `node:NAME` for each node.
        started_at: when the execution began, in seconds since 1970.
    """

    before: Sequence[LocalNode] = attrs.field(
        default=(LocalNode("Input"),),
        validator=attrs.validators.min_len(1),
    )
    node_name: str = "Code"
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    workflow_id: str = "local"
    workflow_name: str = "local"
    execution_id: str = "1"
    mode: str = "manual"
    variables: Mapping[str, Any] = attrs.field(factory=dict)
    environment: Mapping[str, str] | None = None
    static_data: Mapping[str, Any] = attrs.field(factory=dict)
    started_at: float = 0.0

    @property
    def items(self) -> list[Item]:
        """The items that the Code node is given: as they came out of the node before, each with its place there."""
        return [{**item, "pairedItem": {"item": index}} for index, item in enumerate(self.before[-1].items)]

    def data(self) -> dict[str, Any]:
        """All of it, as n8n answers a request for everything."""
        return {
            "workflow": self._workflow(),
            "inputData": {"main": [self.items]},
            "connectionInputSource": {"main": [_source(self.before[-1])]},
            "itemIndex": 0,
            "activeNodeName": self.node_name,
            "contextNodeName": self.node_name,
            "defaultReturnRunIndex": -1,
            "mode": self.mode,
            "envProviderState": {
                "env": dict(self.environment or {}),
                "isEnvAccessBlocked": self.environment is None,
                "isProcessAvailable": True,
            },
            "node": self._code_node(),
            "runExecutionData": self._run(),
            "runIndex": 0,
            "selfData": {},
            "siblingParameters": {},
            "additionalData": self._additional(),
        }

    def _outputs(self) -> list[list[Item]]:
        """The items of each node before the Code node. They point back to those that they came from, as n8n sees it."""
        outputs: list[list[Item]] = []
        for node in self.before:
            outputs.append(_paired(node.items, outputs[-1]) if outputs else list(node.items))
        return outputs

    def _code_node(self) -> dict[str, Any]:
        return _node(self.node_name, "code", len(self.before), 2, dict(self.parameters))

    def _workflow(self) -> dict[str, Any]:
        names = [*(node.name for node in self.before), self.node_name]
        kinds = ["manualTrigger", *["noOp"] * (len(self.before) - 1)]
        places = enumerate(zip(self.before, kinds, strict=True))
        return {
            "id": self.workflow_id,
            "name": self.workflow_name,
            "active": False,
            "nodes": [*(_node(node.name, kind, place, 1, {}) for place, (node, kind) in places), self._code_node()],
            "connections": {
                one: {"main": [[{"node": other, "type": "main", "index": 0}]]}
                for one, other in itertools.pairwise(names)
            },
            "settings": {},
            "staticData": dict(self.static_data),
        }

    def _run(self) -> dict[str, Any]:
        runs: dict[str, Any] = {}
        sources: list[dict[str, Any]] = []
        for index, (node, items) in enumerate(zip(self.before, self._outputs(), strict=True)):
            runs[node.name] = [
                {
                    "startTime": int(self.started_at * 1000),
                    "executionTime": 0,
                    "executionIndex": index,
                    "executionStatus": "success",
                    "hints": [],
                    "source": sources,
                    "data": {"main": [items]},
                }
            ]
            sources = [_source(node)]
        return {
            "version": 1,
            "startData": {},
            "resultData": {"runData": runs, "lastNodeExecuted": self.before[-1].name, "metadata": {}},
            "executionData": {
                "contextData": {},
                "metadata": {},
                "nodeExecutionStack": [],
                "waitingExecution": {},
                "waitingExecutionSource": {},
            },
        }

    def _additional(self) -> dict[str, Any]:
        return {
            "executionId": self.execution_id,
            "variables": dict(self.variables),
            "instanceBaseUrl": f"{BASE_URL}/",
            "restApiUrl": f"{BASE_URL}/rest",
            "formWaitingBaseUrl": f"{BASE_URL}/form-waiting",
            "webhookBaseUrl": f"{BASE_URL}/webhook",
            "webhookTestBaseUrl": f"{BASE_URL}/webhook-test",
            "webhookWaitingBaseUrl": f"{BASE_URL}/webhook-waiting",
        }


def _node(name: str, kind: str, place: int, version: int, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [200 * place, 0],
        "parameters": parameters,
    }


def _source(node: LocalNode) -> dict[str, Any]:
    return {"previousNode": node.name, "previousNodeOutput": 0, "previousNodeRun": 0}


def _paired(items: Sequence[Item], origin: Sequence[Item]) -> list[Item]:
    """Items that say which one they came from, where n8n would fill it in: there was only one, or as many as now."""
    if len(origin) == 1:
        return [{"pairedItem": {"item": 0}, **item} for item in items]
    if len(origin) == len(items):
        return [{"pairedItem": {"item": index}, **item} for index, item in enumerate(items)]
    return list(items)
