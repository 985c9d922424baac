"""What code may return, brought into the form that n8n accepts. Runs in the child.

n8n takes a list of items `{"json": {...}, "binary"?: {...}, "pairedItem"?: ...}`. A row without `json` is wrapped in
it, always, so that a column called `index` or `error` is nothing special. What n8n would refuse is refused here
first, with the item and the reason. What is no list or dict may become one, by the table of conversions: a DataFrame
becomes items, an object of a dataclass an item.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from runner.execution.sandbox.child.conversion import as_object, opened
from runner.execution.sandbox.child.converters import called
from runner.execution.sandbox.child.encoding import to_json as to_json
from runner.execution.sandbox.child.failures import BadResult

ITEM_KEYS = frozenset({"json", "binary", "pairedItem", "error", "index"})
"""The keys that an item may have beside `json`."""


MANY = 64
"""From how many rows on it takes longer to look at each than to look at all of them for one thing after the other."""


def of_all_items(returned: Any) -> list[Any]:
    """The items that code for all items has returned.

    Raises:
        BadResult: it returned something else.
    """
    if type(returned) is list and (_are_plain(returned) if len(returned) > MANY else all(map(_is_plain, returned))):
        return returned
    if returned is None:
        return []
    rows, advice = _attempted(opened, returned)
    if isinstance(rows, dict):
        return [_item(rows, 0)]
    if not isinstance(rows, list | tuple):
        raise BadResult(
            "Code doesn't return items properly",
            f"It returned {called(returned)}. {advice}Return a list of dicts, one for each item, such as "
            '[{"json": {"name": "value"}}].',
        )
    return [row if _is_plain(row) else _item(row, index) for index, row in enumerate(rows)]


def of_one_item(returned: Any, index: int) -> dict[str, Any] | None:
    """The item that code for each item has returned for item `index`; None drops the item.

    Of an item with `json`, that and `binary` are taken and the rest is left out, as n8n's own runner does.

    Raises:
        BadResult: it returned something else.
    """
    if _is_plain(returned):  # as most are
        return {"json": returned["json"], "pairedItem": {"item": index}}
    if returned is None:
        return None
    row, advice = _attempted(as_object, returned)
    if not isinstance(row, dict):
        raise BadResult(
            "Code doesn't return an object",
            f"For item {index} it returned {called(returned)}. {advice}Return a dict, or None to drop the item.",
            item_index=index,
        )
    if "json" in row:
        row = {key: row[key] for key in ("json", "binary") if key in row}
    item = _item(row, index)
    return {**{key: item[key] for key in ("json", "binary") if key in item}, "pairedItem": {"item": index}}


def of_tool(returned: Any) -> Any:
    """The answer of code that is a tool of an AI agent: text or a number; all else as JSON text."""
    answer = opened(returned)
    if isinstance(answer, float) and not math.isfinite(answer):
        return str(answer)
    if isinstance(answer, str | int | float) and not isinstance(answer, bool):
        return answer
    return to_json(answer).decode("utf-8")


def error_item(message: str, index: int | None = None) -> dict[str, Any]:
    """The item that stands for a failure when the node continues on failure."""
    item: dict[str, Any] = {"json": {"error": message}}
    if index is not None:
        item["pairedItem"] = {"item": index}
    return item


def _is_plain(row: Any) -> bool:
    """Whether a row is an item with `json` and nothing else: nothing is to be done about it."""
    return type(row) is dict and len(row) == 1 and type(row.get("json")) is dict


def _are_plain(rows: list[Any]) -> bool:
    """Whether all of the rows are plain, asked at the speed of C."""
    if set(map(type, rows)) != {dict} or set(map(len, rows)) != {1}:
        return False
    try:
        return set(map(type, map(itemgetter("json"), rows))) == {dict}
    except KeyError:
        return False


def _item(row: Any, index: int) -> dict[str, Any]:
    if not isinstance(row, dict):
        row = _object(row, "Code doesn't return items properly", f"Item {index}", index)
    if "json" not in row:
        if "binary" not in row or not row.keys() <= ITEM_KEYS:
            return {"json": row}
        row = {"json": {}, **row}
    if row.get("binary", ...) is None:
        row = {key: value for key, value in row.items() if key != "binary"}
    return _checked(dict(row), index)


def _checked(item: dict[Any, Any], index: int) -> dict[str, Any]:
    """An item, unless n8n would refuse it."""
    strange = [key for key in item if key not in ITEM_KEYS]
    if strange:
        names = ", ".join(sorted(map(str, strange)))
        raise BadResult(
            "Invalid output format",
            f"Item {index} has `json` and, beside it, {names}. Put these inside `json`.",
            item_index=index,
        )
    for key in ("json", "binary"):
        if key in item and not isinstance(item[key], dict):
            item[key] = _object(item[key], "Invalid output format", f"`{key}` of item {index}", index)
    return item


def _object(value: Any, message: str, name: str, index: int) -> dict[Any, Any]:
    """The dict that a value is or becomes; `message` and the `name` of the value say what is wrong if it is none."""
    found, advice = _attempted(as_object, value)
    if not isinstance(found, dict):
        raise BadResult(message, f"{name} is {called(value)}, not a dict. {advice}".rstrip(), item_index=index)
    return found


def _attempted(conversion: Callable[[Any], Any], value: Any) -> tuple[Any, str]:
    """What becomes of a value; if it is refused, the value itself, and what to do about it."""
    try:
        return conversion(value), ""
    except BadResult as refused:
        return value, f"{refused.description} "
