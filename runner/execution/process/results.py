"""What code may return, brought into the form that n8n accepts; and how it becomes JSON. Runs in the child.

n8n takes a list of items `{"json": {...}, "binary"?: {...}, "pairedItem"?: ...}`. A row without `json` is wrapped in
it, always, so that a column called `index` or `error` is nothing special. What n8n would refuse is refused here
first, with the item and the reason.
"""

from __future__ import annotations

import json
import math
from typing import Any

from runner.execution.process.failures import BadResult

ITEM_KEYS = frozenset({"json", "binary", "pairedItem", "error", "index"})
"""The keys that an item may have beside `json`."""


def of_all_items(returned: Any) -> list[Any]:
    """The items that code for all items has returned.

    Raises:
        BadResult: it returned something else.
    """
    if returned is None:
        return []
    if isinstance(returned, dict):
        return [_item(returned, 0)]
    if not isinstance(returned, list | tuple):
        raise BadResult(
            "Code doesn't return items properly",
            f"It returned {_a(returned)}. Return a list of dicts, one for each item, such as "
            '[{"json": {"name": "value"}}].',
        )
    return [_item(item, index) for index, item in enumerate(returned)]


def of_one_item(returned: Any, index: int) -> dict[str, Any] | None:
    """The item that code for each item has returned for item `index`; None drops the item.

    Of an item with `json`, that and `binary` are taken and the rest is left out, as n8n's own runner does.

    Raises:
        BadResult: it returned something else.
    """
    if returned is None:
        return None
    if not isinstance(returned, dict):
        raise BadResult(
            "Code doesn't return an object",
            f"For item {index} it returned {_a(returned)}. Return a dict, or None to drop the item.",
            item_index=index,
        )
    if "json" in returned:
        returned = {key: returned[key] for key in ("json", "binary") if key in returned}
    item = _item(returned, index)
    return {**{key: item[key] for key in ("json", "binary") if key in item}, "pairedItem": {"item": index}}


def of_tool(returned: Any) -> Any:
    """The answer of code that is a tool of an AI agent: text or a number; all else as JSON text."""
    if isinstance(returned, float) and not math.isfinite(returned):
        return str(returned)
    if isinstance(returned, str | int | float) and not isinstance(returned, bool):
        return returned
    return to_json(returned).decode("utf-8")


def error_item(message: str, index: int | None = None) -> dict[str, Any]:
    """The item that stands for a failure when the node continues on failure."""
    item: dict[str, Any] = {"json": {"error": message}}
    if index is not None:
        item["pairedItem"] = {"item": index}
    return item


def _item(row: Any, index: int) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadResult(
            "Code doesn't return items properly", f"Item {index} is {_a(row)}, not a dict.", item_index=index
        )
    if "json" not in row:
        if "binary" not in row or not row.keys() <= ITEM_KEYS:
            return {"json": row}
        row = {"json": {}, **row}
    if row.get("binary", ...) is None:
        row = {key: value for key, value in row.items() if key != "binary"}
    _check_item(row, index)
    return dict(row)


def _check_item(item: dict[Any, Any], index: int) -> None:
    """Refuse what n8n would refuse."""
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
            raise BadResult(
                "Invalid output format",
                f"`{key}` of item {index} is {_a(item[key])}, not a dict.",
                item_index=index,
            )


def _a(value: Any) -> str:
    """A value as error messages call it."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def to_json(value: Any) -> bytes:
    """A value as JSON that every reader takes: NaN and Infinity become null, what JSON lacks becomes text.

    Keys become text as well; of two that become the same, the later one counts.

    Raises:
        BadResult: the value contains itself, is nested too deeply, or has a number with too many digits.
        Exception: whatever the `__str__` of a value raises.
    """
    try:
        try:
            return _dump(value)
        except (ValueError, TypeError):
            return _dump(_plain(value, set()))
    except RecursionError:
        raise BadResult("The result is nested too deeply", "It has more levels than can be sent to n8n.") from None


def _dump(value: Any) -> bytes:
    text = json.dumps(value, default=_convert, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half an emoji: JSON can say it, UTF-8 cannot
        return json.dumps(value, default=_convert, allow_nan=False, separators=(",", ":")).encode("ascii")


def _convert(value: Any) -> Any:
    """What stands in JSON for a value that it lacks."""
    if isinstance(value, set | frozenset):
        return list(value)
    return str(value)


def _plain(value: Any, above: set[int]) -> Any:
    """The same value with null for what is no number and text for keys that are none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return _checked_int(value)
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return value
    if id(value) in above:
        raise BadResult("The result contains itself", f"{_a(value).capitalize()} is part of itself.")
    above.add(id(value))
    plain: Any
    if isinstance(value, dict):
        plain = {key if isinstance(key, str) else _key(key): _plain(member, above) for key, member in value.items()}
    else:
        plain = [_plain(member, above) for member in value]
    above.discard(id(value))
    return plain


def _checked_int(value: int) -> int:
    """A number, unless it has so many digits that Python refuses to write it."""
    try:
        int.__repr__(value)
    except ValueError as error:
        raise BadResult("A number of the result has too many digits", str(error)) from None
    return value


def _key(key: Any) -> str:
    """A key as text, the way JSON writers do it for those that they know."""
    if key is None:
        return "null"
    if isinstance(key, int):
        return str(key).lower() if isinstance(key, bool) else int.__repr__(_checked_int(key))
    return str(key)
