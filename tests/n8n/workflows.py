"""The workflows of these tests, made from a table: a path of a webhook, and the Code nodes behind it.

All are parts of one workflow, since n8n's command line takes seconds for each that it publishes. n8n runs of it only
what hangs on the webhook that was called.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

ALL_ITEMS = "runOnceForAllItems"
EACH_ITEM = "runOnceForEachItem"

WORKFLOW_ID = "n8nrunnertests01"
WORKFLOW_NAME = "tests"
TIMEZONE = "Asia/Tokyo"
"""Of the workflow: neither n8n's default nor that of any machine these tests are likely to run on."""


class Language(Enum):
    """What a Code node is written in; the value is n8n's word for it."""

    PYTHON = "pythonNative"
    JAVASCRIPT = "javaScript"


@attrs.frozen
class Code:
    """A Code node. Its name is that of its flow, and where it stands there: `by-name 0`, `by-name python`."""

    code: str
    mode: str = ALL_ITEMS
    goes_on: bool = False
    """Whether it goes on when its code fails, with the error as an item."""

    language: Language = Language.PYTHON


@attrs.frozen
class Setting:
    """A Set node that makes an item with one field, a number, of an expression."""

    field: str
    expression: str


@attrs.frozen
class Flow:
    """A webhook with a node, or several in a row; the items of the last one are the answer."""

    path: str
    nodes: tuple[Code | Setting, ...]


@attrs.frozen
class Twins:
    """A webhook, nodes in a row, and behind the last of them the same thing in Python and in JavaScript.

    The items of both are the answer, Python's first; or what the node behind them makes of these.
    """

    path: str
    python: str
    javascript: str
    before: tuple[Code, ...] = ()
    after: tuple[Code, ...] = ()
    mode: str = ALL_ITEMS


@attrs.frozen
class Loop:
    """A webhook, nodes in a row, and then for each item, one after the other, Python and JavaScript behind it.

    The items that have gone through both are the answer, all at once.
    """

    path: str
    before: tuple[Code, ...]
    python: str
    javascript: str


AnyFlow = Flow | Twins | Loop
Node = dict[str, Any]


class _Drawing:
    """A workflow that is being made: nodes, each in a row of its flow, and lines between them."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.connections: dict[str, Any] = {}
        self._row = 0

    def flow(self, flow: AnyFlow) -> None:
        """Draw a flow below those before it."""
        last = self._webhook(flow.path)
        for step, node in enumerate(flow.nodes if isinstance(flow, Flow) else flow.before):
            last = self._behind(last, self._code(f"{flow.path} {step}", node))
        if isinstance(flow, Twins):
            self._twins(flow, last)
        elif isinstance(flow, Loop):
            self._loop(flow, last)
        self._row += 1

    def _twins(self, flow: Twins, source: Node) -> None:
        python = self._behind(source, self._code(f"{flow.path} python", Code(flow.python, flow.mode)))
        twin = Code(flow.javascript, flow.mode, language=Language.JAVASCRIPT)
        self._row += 1
        javascript = self._behind(source, self._code(f"{flow.path} javascript", twin))
        last = self._behind(python, self._node(f"{flow.path} both", "merge", 3, {}))
        self._connect(javascript, last, at=1)
        for step, node in enumerate(flow.after):
            last = self._behind(last, self._code(f"{flow.path} after {step}", node))

    def _loop(self, flow: Loop, source: Node) -> None:
        loop = self._behind(source, self._node(f"{flow.path} loop", "splitInBatches", 3, {"batchSize": 1}))
        python = self._code(f"{flow.path} python", Code(flow.python))
        self._connect(loop, python, output=1)
        javascript = self._code(f"{flow.path} javascript", Code(flow.javascript, language=Language.JAVASCRIPT))
        self._connect(self._behind(python, javascript), loop)
        self._behind(loop, self._node(f"{flow.path} done", "noOp", 1, {}))

    def _behind(self, before: Node, after: Node) -> Node:
        self._connect(before, after)
        return after

    def _connect(self, before: Node, after: Node, at: int = 0, output: int = 0) -> None:
        outputs = self.connections.setdefault(before["name"], {"main": [[], []]})["main"]
        outputs[output].append({"node": after["name"], "type": "main", "index": at})

    def _webhook(self, path: str) -> Node:
        parameters = {
            "httpMethod": "POST",
            "path": path,
            "responseMode": "lastNode",
            "responseData": "allEntries",
            "options": {},
        }
        return self._node(f"webhook {path}", "webhook", 2, parameters, webhookId=path)

    def _code(self, name: str, node: Code | Setting) -> Node:
        if isinstance(node, Setting):
            return self._set(name, node)
        written_in = {Language.PYTHON: "pythonCode", Language.JAVASCRIPT: "jsCode"}[node.language]
        parameters = {"language": node.language.value, "mode": node.mode, written_in: node.code}
        more = {"onError": "continueRegularOutput"} if node.goes_on else {}
        return self._node(name, "code", 2, parameters, **more)

    def _set(self, name: str, node: Setting) -> Node:
        assignment = {"id": node.field, "name": node.field, "value": node.expression, "type": "number"}
        return self._node(name, "set", 3.4, {"assignments": {"assignments": [assignment]}, "options": {}})

    def _node(self, name: str, kind: str, version: float, parameters: dict[str, Any], **more: Any) -> Node:
        node = {
            "id": name.replace(" ", "-"),
            "name": name,
            "type": f"n8n-nodes-base.{kind}",
            "typeVersion": version,
            "position": [200 * len(self.nodes), 200 * self._row],
            "parameters": parameters,
            **more,
        }
        self.nodes.append(node)
        return node


def write_workflow(flows: Iterable[AnyFlow], folder: Path) -> None:
    """Write the one workflow that has all of them, as n8n imports it."""
    drawing = _Drawing()
    for flow in flows:
        drawing.flow(flow)
    workflow = {
        "id": WORKFLOW_ID,
        "name": WORKFLOW_NAME,
        "active": False,
        "settings": {"timezone": TIMEZONE},
        "connections": drawing.connections,
        "nodes": drawing.nodes,
    }
    (folder / "tests.json").write_text(json.dumps(workflow, indent=1))
