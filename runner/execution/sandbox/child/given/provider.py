"""What a code that needs more than its items is given. Runs in the child, for such code alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from runner.execution.sandbox.child.given import noted, times
from runner.execution.sandbox.child.given.asking import Asking, N8nError
from runner.execution.sandbox.child.given.execution import Execution
from runner.execution.sandbox.child.given.helpers import Helpers
from runner.execution.sandbox.child.given.needs import Needs
from runner.execution.sandbox.child.given.nodes import Input, OtherNode, OtherNodes, without_contents
from runner.execution.sandbox.child.given.records import Record
from runner.execution.sandbox.wire import Line

PLACEHOLDER = "__UNKNOWN__"
"""The id of an execution that has none yet, in n8n's words."""

BLOCKED = "access to env vars denied"
"""What n8n says of environment variables that code may not read."""


class Provider:
    """Makes the names that a code needs, for each item that it runs for."""

    def __init__(self, line: Line, needs: Needs, settings: dict[str, Any]) -> None:
        """Nothing is made or asked for yet."""
        self._needs = needs
        self._asking = Asking(line)
        self._execution = Execution(self._asking, needs, settings)
        self._static = noted.StaticData(self._execution)
        self._custom = noted.CustomData(self._execution)
        self._of_task: dict[str, Any] = {}
        """What is the same for all items."""

    def given(self, index: int) -> dict[str, Any]:
        """The names for the item of an index.

        Raises:
            N8nError: n8n does not tell what is needed.
        """
        names: dict[str, Any] = {}
        for name in self._needs.names:
            if name in self.OF_ITEM:
                names[name] = self.OF_ITEM[name](self, index)
            else:
                if name not in self._of_task:
                    self._of_task[name] = self.OF_TASK[name](self)
                names[name] = self._of_task[name]
        return names

    def leave(self) -> None:
        """Leave with n8n what the code has noted. Called when it has ended."""
        noted.leave(self._asking, self._custom, self._static)

    # What is about an item

    def _input(self, index: int) -> Input:
        return Input(self._execution, index)

    def _item(self, index: int) -> Any:
        items = self._execution.items
        return items[index] if index < len(items) else None

    def _json(self, index: int) -> Any:
        item = self._item(index)
        return None if item is None else item.get("json")

    def _binary(self, index: int) -> Record:
        return without_contents(self._item(index) or {})

    def _another(self, index: int) -> Callable[[str], OtherNode]:
        execution = self._execution

        def other(nodeName: str) -> OtherNode:  # noqa: N803
            """Another node, by its name."""
            return OtherNode(execution, nodeName, index)

        return other

    def _others(self, index: int) -> OtherNodes:
        return OtherNodes(self._execution, index)

    def _item_index(self, index: int) -> int:
        return index

    def _now(self, _: int) -> datetime:
        return times.now(self._zone())

    def _today(self, _: int) -> datetime:
        return times.today(self._zone())

    def _zone(self) -> Any:
        return (self._execution.workflow.get("settings") or Record()).get("timezone")

    # What is about the execution

    def _workflow(self) -> Record:
        workflow = self._execution.workflow
        return Record({key: workflow.get(key) for key in ("id", "name", "active")})

    def _about_execution(self) -> Record:
        data = self._execution.data
        more = data.get("additionalData") or Record()
        number = more.get("executionId") or PLACEHOLDER
        token = (data.get("runExecutionData") or Record()).get("resumeToken")
        query = f"?signature={token}" if token else ""
        return Record(
            id=number,
            mode="test" if data.get("mode") == "manual" else "production",
            resumeUrl=f"{more.get('webhookWaitingBaseUrl')}/{number}{query}",
            resumeFormUrl=f"{more.get('formWaitingBaseUrl')}/{number}{query}",
            customData=self._custom,
        )

    def _node_before(self) -> Record:
        source = self._execution.source or Record()
        return Record(
            name=source.get("previousNode"),
            outputIndex=source.get("previousNodeOutput") or 0,
            runIndex=source.get("previousNodeRun") or 0,
        )

    def _environment(self) -> Any:
        state = self._execution.data.get("envProviderState") or Record()
        return Blocked() if state.get("isEnvAccessBlocked") else state.get("env") or Record()

    def _run_index(self) -> int:
        return int(self._execution.data.get("runIndex") or 0)

    def _parameter(self) -> Any:
        return self._execution.node(self._execution.active).get("parameters")

    def _variables(self) -> Any:
        return (self._execution.data.get("additionalData") or Record()).get("variables") or Record()

    def _helpers(self) -> Helpers:
        return Helpers(self._asking)

    def _static_data(self) -> Callable[[str], Record]:
        static = self._static

        def getWorkflowStaticData(type: str) -> Record:  # noqa: A002, N802
            """The static data of the workflow (`global`) or of this node (`node`)."""
            return static.of(type)

        return getWorkflowStaticData

    def _search(self) -> Callable[[Any, str], Any]:
        import jmespath  # the one library for code that is not of the standard library; here for code that names it

        def search(data: Any, query: str) -> Any:
            """What a JMESPath query finds in data."""
            return jmespath.search(query, data)

        return search

    OF_ITEM: ClassVar[dict[str, Callable[[Provider, int], Any]]] = {
        "_input": _input,
        "_json": _json,
        "_binary": _binary,
        "_": _another,
        "_node": _others,
        "_itemIndex": _item_index,
        "_now": _now,
        "_today": _today,
    }
    """How each name is made that is another one for each item."""

    OF_TASK: ClassVar[dict[str, Callable[[Provider], Any]]] = {
        "_workflow": _workflow,
        "_execution": _about_execution,
        "_prevNode": _node_before,
        "_runIndex": _run_index,
        "_parameter": _parameter,
        "_vars": _variables,
        "_env": _environment,
        "_jmespath": _search,
        "_getWorkflowStaticData": _static_data,
        "_helpers": _helpers,
    }
    """How each name is made that is the same for all items of a task."""


class Blocked:
    """In place of environment variables that code may not read."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """Refuse."""
        raise N8nError(BLOCKED, "N8N_BLOCK_ENV_ACCESS_IN_NODE=false on n8n allows it.")

    def __getitem__(self, name: str) -> Any:
        """Refuse."""
        return self.__getattr__(name)
