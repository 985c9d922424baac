"""The workflows of these tests, made from a table: a path of a webhook, and the Code nodes behind it.

All are parts of one workflow, since n8n's command line takes seconds for each that it publishes. n8n runs of it only
what hangs on the webhook that was called.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

ALL_ITEMS = "runOnceForAllItems"
EACH_ITEM = "runOnceForEachItem"

WORKFLOW_ID = "n8nrunnertests01"


@attrs.frozen
class Code:
    """A Code node."""

    code: str
    mode: str = ALL_ITEMS
    goes_on: bool = False
    """Whether it goes on when its code fails, with the error as an item."""


@attrs.frozen
class Flow:
    """A webhook with a Code node, or several in a row; the items of the last one are the answer."""

    path: str
    nodes: tuple[Code, ...]


def write_workflow(flows: Iterable[Flow], folder: Path) -> None:
    """Write the one workflow that has all of them, as n8n imports it."""
    nodes: list[dict[str, Any]] = []
    connections: dict[str, Any] = {}
    for row, flow in enumerate(flows):
        chain = [_webhook(flow, row), *(_code(flow, row, step, node) for step, node in enumerate(flow.nodes))]
        nodes += chain
        for before, after in itertools.pairwise(chain):
            connections[before["name"]] = {"main": [[{"node": after["name"], "type": "main", "index": 0}]]}
    workflow = {
        "id": WORKFLOW_ID,
        "name": "tests",
        "active": False,
        "settings": {},
        "connections": connections,
        "nodes": nodes,
    }
    (folder / "tests.json").write_text(json.dumps(workflow, indent=1))


def _webhook(flow: Flow, row: int) -> dict[str, Any]:
    return {
        "id": f"webhook-{flow.path}",
        "name": f"webhook {flow.path}",
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2,
        "position": [0, 200 * row],
        "webhookId": flow.path,
        "parameters": {
            "httpMethod": "POST",
            "path": flow.path,
            "responseMode": "lastNode",
            "responseData": "allEntries",
            "options": {},
        },
    }


def _code(flow: Flow, row: int, step: int, node: Code) -> dict[str, Any]:
    return {
        "id": f"code-{flow.path}-{step}",
        "name": f"{flow.path} {step}",
        "type": "n8n-nodes-base.code",
        "typeVersion": 2,
        "position": [200 + 200 * step, 200 * row],
        "parameters": {"language": "pythonNative", "mode": node.mode, "pythonCode": node.code},
        **({"onError": "continueRegularOutput"} if node.goes_on else {}),
    }
