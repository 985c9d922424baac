"""What comes into the node, and other nodes: `_input`, `_("Name")`, `_node["Name"]`. Runs in the child."""

from __future__ import annotations

from typing import Any

from runner.execution.sandbox.child.given.asking import N8nError
from runner.execution.sandbox.child.given.execution import Execution
from runner.execution.sandbox.child.given.pairing import item_of
from runner.execution.sandbox.child.given.records import Record


class Input:
    """What comes into the node, for the code of one item or of all."""

    __slots__ = ("_execution", "_index")

    def __init__(self, execution: Execution, index: int) -> None:
        """The input as it is for the item of an index."""
        self._execution = execution
        self._index = index

    def all(self) -> list[Any]:
        """All items."""
        return self._execution.items

    def first(self) -> Any:
        """The first item, or None."""
        return _at(self._execution.items, 0)

    def last(self) -> Any:
        """The last item, or None."""
        return _at(self._execution.items, -1)

    @property
    def item(self) -> Any:
        """The item that the code runs for, or None."""
        return _at(self._execution.items, self._index)

    @property
    def params(self) -> Any:
        """The settings of the node before."""
        return self._execution.node(self._before()).get("parameters")

    @property
    def context(self) -> Record:
        """What the node before has noted."""
        return self._execution.context(self._before())

    def _before(self) -> str:
        source = self._execution.source
        if source is None:
            raise N8nError("Can't get data", "n8n does not say where the items of this node come from.")
        return str(source["previousNode"])


class OtherNode:
    """Another node, as `_("Name")` gives it."""

    __slots__ = ("_execution", "_index", "_name")

    def __init__(self, execution: Execution, name: str, index: int) -> None:
        """A node of the workflow, as it is for the input item of an index."""
        self._execution = execution
        self._name = name
        self._index = index
        execution.node(name)

    @property
    def isExecuted(self) -> bool:  # noqa: N802 - n8n's name
        """Whether it has run in this execution."""
        return self._name in self._execution.runs

    @property
    def params(self) -> Any:
        """Its settings; expressions as they are written."""
        return self._execution.node(self._name).get("parameters")

    @property
    def context(self) -> Record:
        """What it has noted."""
        return self._execution.context(self._name)

    def all(self, branchIndex: int | None = None, runIndex: int | None = None) -> list[Any]:  # noqa: N803
        """Its items: of the output that leads here, and of its last run, unless others are given."""
        return items_of(self._execution, self._name, branchIndex, runIndex)

    def first(self, branchIndex: int | None = None, runIndex: int | None = None) -> Any:  # noqa: N803
        """The first of these, or None."""
        return _at(self.all(branchIndex, runIndex), 0)

    def last(self, branchIndex: int | None = None, runIndex: int | None = None) -> Any:  # noqa: N803
        """The last of these, or None."""
        return _at(self.all(branchIndex, runIndex), -1)

    @property
    def item(self) -> Any:
        """The item that the current one comes from."""
        return item_of(self._execution, self._name, self._index, "item")

    def itemMatching(self, itemIndex: int) -> Any:  # noqa: N802, N803
        """The item that the input item of this index comes from."""
        return item_of(self._execution, self._name, itemIndex, "itemMatching")

    def pairedItem(self, itemIndex: int | None = None) -> Any:  # noqa: N802, N803
        """The same; without an index, `item`."""
        return item_of(self._execution, self._name, self._index if itemIndex is None else itemIndex, "pairedItem")


class OtherNodes:
    """The nodes by name, as `_node` gives them."""

    __slots__ = ("_execution", "_index")

    def __init__(self, execution: Execution, index: int) -> None:
        """The nodes as they are for the item of an index."""
        self._execution = execution
        self._index = index

    def __getitem__(self, name: str) -> AtIndex:
        """A node of this name."""
        return AtIndex(self._execution, name, self._index)


class AtIndex:
    """Another node with its item at the index of the current one, as `_node["Name"]` gives it."""

    __slots__ = ("_execution", "_index", "_name")

    def __init__(self, execution: Execution, name: str, index: int) -> None:
        """A node of the workflow, as it is for an index."""
        self._execution = execution
        self._name = name
        self._index = index
        execution.node(name)

    @property
    def json(self) -> Any:
        """The data of that item."""
        return self._item()["json"]

    @property
    def binary(self) -> Record:
        """The files of that item, without their contents."""
        return without_contents(self._item())

    @property
    def parameter(self) -> Any:
        """The settings of the node."""
        return self._execution.node(self._name).get("parameters")

    @property
    def context(self) -> Record:
        """What it has noted."""
        return self._execution.context(self._name)

    @property
    def runIndex(self) -> int:  # noqa: N802
        """How often it has run, less one."""
        return len(self._execution.runs.get(self._name) or ()) - 1

    def _item(self) -> Any:
        items = items_of(self._execution, self._name)
        if self._index >= len(items):
            raise N8nError(
                f'"{self._name}" node has {len(items)} item(s) but you\'re trying to access item {self._index}'
            )
        return items[self._index]


def items_of(execution: Execution, name: str, output: int | None = None, run: int | None = None) -> list[Any]:
    """The items of a node.

    Parameters:
        output: of which of its outputs; unless given, of the one that leads to the current node.
        run: of which of its runs; unless given, or with -1, of the last.

    Raises:
        N8nError: it has not run, or has no such output or run.
    """
    runs = execution.runs.get(name)
    if runs is None:
        pinned = execution.pinned(name)
        if pinned is None:
            raise N8nError(f"Node '{name}' hasn't been executed")
        return pinned
    index = len(runs) - 1 if run is None or run == -1 else run
    if not 0 <= index < len(runs):
        raise N8nError(f'Run {run} of node "{name}" not found')
    outputs = (runs[index].get("data") or {}).get("main") or []
    if not outputs:
        raise N8nError("No data found from `main` input")
    branch = _output_towards(execution, name) if output is None else output
    if not 0 <= branch < len(outputs):
        raise N8nError(f'Node "{name}" has no branch with index {branch}.')
    items: list[Any] = outputs[branch] or []
    return items


def without_contents(item: Any) -> Record:
    """The files of an item, each without what may be in it: that is asked for by other means."""
    files = item.get("binary") or {}
    return Record(
        {name: Record({key: value for key, value in file.items() if key != "data"}) for name, file in files.items()}
    )


def _output_towards(execution: Execution, name: str) -> int:
    """The output by which a node leads to the current one; the first if by none."""
    for sources in execution.parents(execution.active).values():
        for source, output in sources:
            if source == name:
                return output
    return 0


def _at(items: list[Any], index: int) -> Any:
    """An item, or None."""
    return items[index] if -len(items) <= index < len(items) else None
