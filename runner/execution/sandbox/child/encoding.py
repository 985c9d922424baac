"""How values become JSON: what JSON lacks is converted on the way. Runs in the child."""

from __future__ import annotations

import json.encoder
import math
from collections.abc import Callable, Iterable
from typing import Any

from runner.execution.sandbox.child.conversion import as_key, convert
from runner.execution.sandbox.child.converters import called
from runner.execution.sandbox.child.failures import BadResult


def to_json(value: Any) -> bytes:
    """A value as JSON that every reader takes. What JSON lacks becomes what the table of conversions says.

    Of two keys that become the same text, the later one counts.

    Raises:
        BadResult: the value contains itself or what is refused, is nested too deeply, or has a number with too many
            digits.
        Exception: whatever the methods of a value raise, such as its `__str__`.
    """
    try:
        return to_bytes(to_text(value))
    except RecursionError:
        raise too_deep() from None


def to_text(value: Any, above: Iterable[int] = ()) -> str:
    """A value as JSON, as `to_json` has it, but in a text that may hold lone surrogates.

    `above` are the ids of what the value is part of, which it must not contain.

    Raises:
        RecursionError: the value is nested more deeply than can be written from here.
        BadResult, Exception: as `to_json` has them.
    """
    try:
        try:
            return "".join(_chunks(value, 0))
        except RecursionError:  # it may contain itself, for which only the slower way looks
            return _dump(value)
    except (ValueError, TypeError):
        plain = _plain(value, set(above))
    try:
        return _dump(plain)
    except ValueError as error:  # the one reason that is left
        raise too_many_digits(str(error)) from None


def to_bytes(text: str) -> bytes:
    """JSON in UTF-8, with an escape sequence for each half of an emoji: JSON can say it, UTF-8 cannot.

    Python's own way to escape what an encoding lacks is JSON's as well.
    """
    return text.encode("utf-8", "backslashreplace")


_dump = json.JSONEncoder(default=convert, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _prepared() -> Callable[[Any, int], Iterable[str]]:
    """What writes as `_dump` does, made once and not for each value, and without a look for what contains itself."""
    make = getattr(json.encoder, "c_make_encoder", None)  # documented nowhere: it may go away
    if make is None:
        return lambda value, _: _dump(value)
    chunks: Callable[[Any, int], Iterable[str]] = make(
        None, convert, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return chunks


_chunks = _prepared()


def too_deep() -> BadResult:
    """Why a value is refused that has too many levels."""
    return BadResult("The result is nested too deeply", "It has more levels than can be sent to n8n.")


def contains_itself(value: Any) -> BadResult:
    """Why a value is refused that is part of itself."""
    return BadResult("The result contains itself", f"In it, {called(value)} is part of itself.")


def too_many_digits(reason: str) -> BadResult:
    """Why a number is refused that cannot be written."""
    return BadResult("A number of the result has too many digits", reason)


ATOMS = frozenset({str, int, bool, type(None)})
"""The types of most values, which are right as they are."""


def _plain(value: Any, above: set[int]) -> Any:
    """The same value converted, with null for what is no number and text for keys that are none.

    This is the slow way, for what has one of these somewhere inside. `above` are the ids of what the value is part of.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if id(value) in above:
        raise contains_itself(value)
    above.add(id(value))
    plain: Any
    if isinstance(value, dict):  # loops, since comprehensions take a second level of Python's stack before 3.12
        plain = {}
        for key, member in value.items():
            plain[key if type(key) is str else as_key(key)] = member if type(member) in ATOMS else _plain(member, above)
    elif isinstance(value, list | tuple):
        plain = []
        for member in value:
            plain.append(member if type(member) in ATOMS else _plain(member, above))
    else:
        plain = _plain(convert(value), above)
    above.discard(id(value))
    return plain
