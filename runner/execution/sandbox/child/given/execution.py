"""What n8n knows of the execution that a task belongs to: asked for once, when it is first needed.

Names, shapes and error texts are those of n8n's JavaScript runner. Runs in the child.
"""

from __future__ import annotations

import json
from typing import Any

from runner.execution.sandbox.child.given.asking import Asking, N8nError
from runner.execution.sandbox.child.given.needs import Needs
from runner.execution.sandbox.child.given.records import Record


class Execution:
    """The execution, as far as this code asks for it."""

    def __init__(self, asking: Asking, needs: Needs, settings: dict[str, Any]) -> None:
        """Nothing is asked for yet."""
        self._asking = asking
        self._needs = needs
        self._settings = settings
        self._data: Record | None = None

    @property
    def items(self) -> list[Any]:
        """The items of the node's first input."""
        items: list[Any] = self._settings["items"]
        return items

    @property
    def data(self) -> Record:
        """All of it, in n8n's own form.

        Raises:
            N8nError: n8n does not tell.
        """
        if self._data is None:
            nodes = self._needs.nodes
            wanted = {
                "dataOfNodes": "all" if nodes is None else list(nodes),
                "prevNode": False,
                "input": {"include": False},  # the items have come with the settings
                "env": "_env" in self._needs.names,
            }
            data = json.loads(self._asking.data(wanted), object_hook=Record)
            if not isinstance(data, Record):
                raise N8nError("n8n has no data of this execution")
            self._data = data
        return self._data

    # The workflow

    @property
    def workflow(self) -> Record:
        """The workflow, with its nodes and how they are connected."""
        workflow: Record = self.data["workflow"]
        return workflow

    @property
    def active(self) -> str:
        """The name of the node that runs this code."""
        return str(self.data.get("activeNodeName") or self.data["node"]["name"])

    def node(self, name: str) -> Record:
        """A node of the workflow.

        Raises:
            N8nError: there is none of this name.
        """
        for node in self.workflow.get("nodes", ()):
            if node["name"] == name:
                found: Record = node
                return found
        raise N8nError("Referenced node doesn't exist", f"There is no node {name!r} in this workflow.")

    def parents(self, name: str) -> dict[str, list[tuple[str, int]]]:
        """The nodes that lead to a node, each with the nodes that lead to it and by which of their outputs."""
        found: dict[str, list[tuple[str, int]]] = {}
        todo = [name]
        by_destination = self._connections()
        for each in todo:
            if each not in found:
                found[each] = by_destination.get(each, [])
                todo.extend(source for source, _ in found[each])
        return found

    def _connections(self) -> dict[str, list[tuple[str, int]]]:
        """For each node, those that are connected to it, with the index of their output."""
        found: dict[str, list[tuple[str, int]]] = {}
        for source, kinds in (self.workflow.get("connections") or {}).items():
            for output, targets in enumerate(kinds.get("main") or ()):
                for target in targets or ():
                    found.setdefault(target["node"], []).append((source, output))
        return found

    # What has run

    @property
    def runs(self) -> Record:
        """The runs of each node that has run, and whose data was asked for."""
        runs: Record = self._results.get("runData") or Record()
        return runs

    @property
    def _results(self) -> Record:
        results: Record = (self.data.get("runExecutionData") or Record()).get("resultData") or Record()
        return results

    def pinned(self, name: str) -> list[Any] | None:
        """The items that are pinned to a node, which counts in manual executions alone."""
        if self.data.get("mode") != "manual":
            return None
        return (self.workflow.get("pinData") or {}).get(name)

    def context(self, name: str) -> Record:
        """What a node has noted about itself."""
        data = (self.data.get("runExecutionData") or Record()).get("executionData") or Record()
        context = (data.get("contextData") or Record()).get(f"node:{name}")
        return context if isinstance(context, Record) else Record()

    @property
    def source(self) -> Record | None:
        """Where the items of the first input come from: `previousNode`, `previousNodeOutput`, `previousNodeRun`."""
        return self.sources[0] if self.sources else None

    @property
    def sources(self) -> list[Any]:
        """The same for each input."""
        return (self.data.get("connectionInputSource") or {}).get("main") or []

    @property
    def noted(self) -> Record:
        """The custom data of the execution so far."""
        noted = self._results.get("metadata")
        return noted if isinstance(noted, Record) else Record()
