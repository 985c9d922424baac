"""How single values that JSON lacks become something else; `conversion` says which way is whose. Runs in the child.

Each of these makes something that JSON has, or that is nearer to it: what is inside may have to be converted in turn.
Nothing is imported for a value: what is needed of its library comes with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from runner.execution.sandbox.child.failures import BadResult


def called(value: Any) -> str:
    """A value as error messages call it."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def nothing(_: Any) -> None:
    """What stands for a value that is missing."""


def iso(value: Any) -> Any:
    """A date or a time in ISO 8601, as it says it itself."""
    return value.isoformat()


def duration(value: Any) -> str:
    """A `timedelta`, also one of pandas, which has nanoseconds."""
    microseconds = (value.days * 86_400 + value.seconds) * 10**6 + value.microseconds
    return _iso_duration(microseconds * 1000 + getattr(value, "nanoseconds", 0))


def _iso_duration(nanoseconds: int) -> str:
    """A span of time in ISO 8601. Its largest unit is the day of 24 hours."""
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    exact = _without_zeros(f"{seconds}.{fraction:09d}")
    parts = [(f"{days}D", days), ("T", nanoseconds % (86_400 * 10**9) or not days)]
    parts += [(f"{hours}H", hours), (f"{minutes}M", minutes), (f"{exact}S", exact != "0" or not nanoseconds)]
    return ("-" if nanoseconds < 0 else "") + "P" + "".join(text for text, counts in parts if counts)


def _without_zeros(text: str) -> str:
    """A text without the zeros at the end of its fraction, if it has one."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimal(value: Any) -> str | None:
    """A `Decimal` with all its digits; NaN and Infinity are none."""
    return str(value) if value.is_finite() else None


def base64(value: Any) -> str:
    """Bytes as base64."""
    import binascii  # it brings a library along, which would be in every fork

    return binascii.b2a_base64(memoryview(value).tobytes(), newline=False).decode("ascii")


def in_order(members: Iterable[Any]) -> list[Any]:
    """The members of a set, sorted if they can be: texts have another order each time the code runs."""
    unsorted = list(members)
    try:
        return sorted(unsorted)
    except Exception:  # noqa: BLE001 - values of the user's own classes compare as they like
        return unsorted


def text_or_name(error: Any) -> str:
    """The text of an exception, and if it has none, its name."""
    return str(error) or type(error).__name__


def enum_value(member: Any) -> Any:
    """What a member of an `Enum` stands for."""
    return member.value


def of_dataclass(value: Any) -> dict[str, Any]:
    """The fields of a dataclass object."""
    import dataclasses  # loaded by whoever made the class

    return _attributes(value, (field.name for field in dataclasses.fields(value)))


def of_attrs(value: Any) -> dict[str, Any]:
    """The fields of an attrs object."""
    return _attributes(value, (field.name for field in value.__attrs_attrs__))


def _attributes(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """Those of the attributes that have been set."""
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def of_pydantic(value: Any) -> Any:
    """The fields of a pydantic model, as it hands them out itself."""
    return value.model_dump()


def numpy_scalar(value: Any) -> Any:
    """A number, truth value or text of numpy as Python's own."""
    plain = value.item()
    if type(plain) is not type(value):
        return plain
    return (
        complex(value) if value.dtype.kind == "c" else float(value)
    )  # long ones, which Python's floats only come near


def numpy_datetime(value: Any) -> str | None:
    """A point in time of numpy in ISO 8601, as exact as it needs to be."""
    text = str(value)
    return None if text == "NaT" else _without_zeros(text)


def numpy_timedelta(value: Any) -> str | None:
    """A span of time of numpy in ISO 8601; months and years have no length, and stay as numpy writes them."""
    unit, count = sys.modules["numpy"].datetime_data(value.dtype)
    text = str(value)
    if text == "NaT":
        return None
    return _iso_duration(int(value.astype("int64")) * count * UNITS[unit]) if unit in UNITS else text


UNITS = {"W": 604_800 * 10**9, "D": 86_400 * 10**9, "h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9}
UNITS |= {"ms": 10**6, "us": 10**3, "ns": 1}
"""How many nanoseconds there are in numpy's units."""


def numpy_record(value: Any) -> Any:
    """A row of a structured array by its fields; raw bytes if it has none."""
    names = value.dtype.names
    return value.tobytes() if names is None else {name: value[name] for name in names}


def numpy_array(array: Any) -> Any:
    """An array as lists in lists; one without dimensions as its only value."""
    if array.dtype.kind not in "mMV":
        return array.tolist()
    return list(array) if array.ndim else array[()]  # whose own members numpy would turn into bare numbers and tuples


def members(values: Any) -> list[Any]:
    """The values of a column or an index of pandas, with None for those that are missing."""
    listed: list[Any] = values.tolist()
    missing = values.isna()
    if not missing.any():
        return listed
    return [None if lacks else value for value, lacks in zip(listed, missing.tolist(), strict=True)]


def series(column: Any) -> Any:
    """A Series by its labels if these say something, and else as a list."""
    labels = column.index
    says_something = labels.inferred_type == "string" or any(name is not None for name in labels.names)
    if says_something and labels.is_unique:
        return dict(zip(labels, members(column), strict=True))
    return members(column)


def data_frame(frame: Any) -> list[dict[Any, Any]]:
    """A DataFrame as its rows. The levels of its index that have a name are columns too, in front of the others."""
    index = frame.index
    names = [name for name in index.names if name is not None]
    columns = [members(index.get_level_values(level)) for level, name in enumerate(index.names) if name is not None]
    columns += [members(frame.iloc[:, position]) for position in range(frame.shape[1])]
    if not columns:
        return [{} for _ in index]
    names.extend(frame.columns)  # adding it to a list means something else to pandas
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def refuse_iterator(value: Any) -> Any:
    """Refuse what can be read only once: to write it down would use it up.

    Raises:
        BadResult: always.
    """
    raise BadResult(
        f"The result contains {called(value)}",
        "It has no members until they are asked for, and then only once. Make a list of it: list(...). "
        "If it is a file, read it.",
    )


def refuse_awaitable(value: Any) -> Any:
    """Refuse what has to be awaited.

    Raises:
        BadResult: always.
    """
    raise BadResult(f"The result contains {called(value)}", "Write `await` in front of the call that it came from.")


def refuse_async_iterator(value: Any) -> Any:
    """Refuse what has to be gone through with `async for`.

    Raises:
        BadResult: always.
    """
    raise BadResult(f"The result contains {called(value)}", "Make a list of it: [x async for x in ...].")
