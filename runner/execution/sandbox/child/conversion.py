"""Values that JSON lacks become what the table has for them; keys become text. Runs in the child."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from runner.execution.sandbox.child.conversion_table import TABLE, Row
from runner.execution.sandbox.child.failures import BadResult


def convert(value: Any) -> Any:
    """What stands for a value that JSON lacks: something that JSON has, or else again a value of this table.

    Raises:
        BadResult: it is of a kind that is refused.
        Exception: whatever the methods of the value raise, such as its `__str__`.
    """
    kind = type(value)
    how = _known.get(kind)
    if how is None:
        how = _known[kind] = row_for(kind).convert
    return how(value)


_known: dict[type, Callable[[Any], Any]] = {}
"""What has been looked up so far."""


def opened(value: Any) -> Any:
    """A value as something that JSON has; what is inside is left as it is. Raises what `convert` does."""
    if value is None or isinstance(value, str | int | float | dict | list | tuple):
        return value
    return opened(convert(value))


def as_object(value: Any) -> Any:
    """A value where an object is needed: as `opened` has it, but a named tuple is one."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=False))
    return opened(value)


def as_key(key: Any) -> str:
    """A key as text: numbers, truth values and None as JSON has them, all else as `convert` has it.

    What `convert` makes no text or number of is `str(key)`.

    Raises:
        BadResult: it has too many digits, or is of a kind that is refused.
        Exception: whatever the methods of the key raise.
    """
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int):
        return whole_number(key)
    if isinstance(key, float):
        return float.__repr__(key)
    converted = opened(key)
    return as_key(converted) if isinstance(converted, str | int | float) else str(key)


def whole_number(value: int) -> str:
    """The digits of a number.

    Raises:
        BadResult: there are more of them than Python writes.
    """
    try:
        return int.__repr__(value)
    except ValueError as error:
        raise BadResult("A number of the result has too many digits", str(error)) from None


def row_for(kind: type) -> Row:
    """The row that counts for a type."""
    rows = [(row, _loaded(row.types)) for group in TABLE.values() for row in group]
    for base in kind.__mro__[:-1]:  # all but `object`
        for row, types in rows:
            if base in types:
                return row
    for row, types in rows:
        if issubclass(kind, types) or any(hasattr(kind, name[1:]) for name in row.types if name.startswith(".")):
            return row
    raise AssertionError("everything is an object, which the last row has")


def _loaded(names: tuple[str, ...]) -> tuple[type, ...]:
    """Those of the types that exist in this process, because their modules are loaded."""
    types = []
    for name in names:
        module_name, _, own_name = name.rpartition(".")
        module = sys.modules.get(module_name)
        if isinstance(module, type(sys)) and own_name in vars(module):
            found = vars(module)[own_name]
            types.append(found if isinstance(found, type) else type(found))
    return tuple(types)
