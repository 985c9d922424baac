"""Which item of an earlier node an item comes from: followed back from run to run, as n8n notes it. Runs in the child.

An item may come from several, and those from one again; so the way back is a graph, in which each place is visited
once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from runner.execution.sandbox.child.given.asking import N8nError
from runner.execution.sandbox.child.given.execution import Execution


class Place(NamedTuple):
    """An item of a run of a node."""

    node: str
    run: int
    output: int
    item: int


def item_of(execution: Execution, name: str, index: int, method: str) -> Any:
    """The item of a node that an input item of the current one comes from.

    Parameters:
        index: the index of the input item.
        method: how the code calls this; errors name it.

    Raises:
        N8nError: there is none, or more than one, or the node does not lead here.
    """
    execution.node(name)
    if name not in execution.parents(execution.active) or name == execution.active:
        raise N8nError("No path back to referenced node", f"The node {name!r} does not lead to this one.")
    if name not in execution.runs and execution.pinned(name) is None:
        raise N8nError(f"Node '{name}' hasn't been executed")
    if not 0 <= index < len(execution.items):
        raise N8nError("Can't get data", f"There is no input item {index}: there are {len(execution.items)}.")
    paired = list(_paired(execution.items[index]))
    if not paired:
        raise _missing(execution.active, method)
    sources = execution.sources
    if not sources:
        raise N8nError("Can't get data", "n8n does not say where the items of this node come from.")
    start = _place(paired[0], sources[paired[0]["input"]] if paired[0]["input"] < len(sources) else sources[0])
    return _traced(execution, name, start, method)


def _traced(execution: Execution, name: str, start: Place, method: str) -> Any:
    found: dict[Place, Any] = {}
    failures: list[N8nError] = []
    seen: set[Place] = set()
    todo = [start]
    while todo:
        place = todo.pop()
        if place in seen:
            continue
        seen.add(place)
        try:
            if place.node == name:
                found[place] = _item(execution, place, method)
            else:
                todo.extend(reversed(_before(execution, place, method)))
        except N8nError as error:
            failures.append(error)
    if not found:
        raise failures[0] if failures else N8nError("No path back to referenced node")
    if len(found) > 1:
        raise N8nError("Multiple matches", f"The item comes from {len(found)} items of the node {name!r}.")
    return next(iter(found.values()))


def _before(execution: Execution, place: Place, method: str) -> list[Place]:
    """What an item has been made of."""
    paired = list(_paired(_item(execution, place, method)))
    if not paired:
        raise _missing(place.node, method)
    sources = _run(execution, place).get("source") or []
    found = []
    for each in paired:
        source = each.get("sourceOverwrite") or (sources[each["input"]] if each["input"] < len(sources) else None)
        if source:
            found.append(_place(each, source))
    if not found:
        raise N8nError("Invalid branch reference", f"Item {place.item} of {place.node!r} comes from no node.")
    return found


def _item(execution: Execution, place: Place, method: str) -> Any:
    outputs = (_run(execution, place).get("data") or {}).get("main") or []
    items = outputs[place.output] if place.output < len(outputs) else None
    if items is None:
        raise N8nError("Missing output", f"Expected output #{place.output} from node {place.node}")
    if not 0 <= place.item < len(items):
        raise _missing(place.node, method)
    return items[place.item]


def _run(execution: Execution, place: Place) -> Any:
    """A run of a node; for one with pinned data, as if it had run with these."""
    runs = execution.runs.get(place.node) or []
    if place.run < len(runs) and runs[place.run] is not None:
        return runs[place.run]
    pinned = execution.pinned(place.node)
    return {} if pinned is None else {"data": {"main": [pinned]}}


def _paired(item: Any) -> Iterator[dict[str, Any]]:
    """What an item says it comes from: numbers, objects, or a list of these."""
    paired = item.get("pairedItem")
    for each in paired if isinstance(paired, list) else [paired]:
        if isinstance(each, int):
            yield {"item": each, "input": 0}
        elif isinstance(each, dict):
            yield {**each, "input": each.get("input") or 0}


def _place(paired: dict[str, Any], source: dict[str, Any]) -> Place:
    source = paired.get("sourceOverwrite") or source
    return Place(
        source["previousNode"],
        source.get("previousNodeRun") or 0,
        source.get("previousNodeOutput") or 0,
        paired["item"],
    )


def _missing(node: str, method: str) -> N8nError:
    return N8nError(
        f"Paired item data for {method} from node '{node}' is unavailable. "
        f"Ensure '{node}' is providing the required output."
    )
