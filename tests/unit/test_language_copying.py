"""The copies that the user's code gets are those of `copy`."""

from __future__ import annotations

import array
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import re
import types
import typing
import uuid
from typing import Any

import pytest

from runner.execution.sandbox.language import copying
from runner.execution.sandbox.language.violations import SecurityViolation


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


class Slots:
    __slots__ = ("__dict__", "a", "b")
    a: list[int]


class Many(list[Any]):
    name = "many"


def slots() -> Slots:
    made = Slots()
    made.a = [1]
    made.c = [2]  # type: ignore[attr-defined]
    return made


def state(value: Any) -> Any:
    """What can be compared of a value."""
    if isinstance(value, Slots):
        return value.a, vars(value)
    if isinstance(value, BaseException):
        return type(value), value.args, vars(value)
    if isinstance(value, functools.partial):
        return value.func, value.args, value.keywords, vars(value)
    return (type(value), vars(value)) if isinstance(value, types.SimpleNamespace | Many) else value


def error() -> Exception:
    made = KeyError("k", [1])
    made.more = [2]  # type: ignore[attr-defined]
    return made


VALUES: dict[str, Any] = {
    "numbers": [1, 2.5, 1j, True, None, ...],
    "texts": ["a", b"b", bytearray(b"c")],
    "containers": {"a": [1, {2, 3}], (4, 5): frozenset({6}), "t": (1, [2]), "s": slice(1, 2)},
    "a counter": collections.Counter("aab"),
    "a queue": collections.deque([[1], 2], maxlen=3),
    "defaults": collections.defaultdict(list, {1: [2]}),
    "an order": collections.OrderedDict([("b", [1]), ("a", 2)]),
    "maps": collections.ChainMap({"a": [1]}, {"b": 2}),
    "a UserDict": collections.UserDict({"a": [1]}),
    "a named tuple": collections.namedtuple("P", "x")([1]),  # noqa: PYI024
    "times": [datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), datetime.timedelta(1)],
    "fractions": [decimal.Decimal("1.5"), fractions.Fraction(1, 3), uuid.UUID(int=5)],
    "an array": array.array("i", [1, 2]),
    "a dataclass": Point([1], Point(2)),
    "slots": slots(),
    "a list of one's own": Many([[1], 2]),
    "a namespace": types.SimpleNamespace(a=[1]),
    "an error": error(),
    "a partial": functools.partial(print, [1], a=[2]),
    "an enumeration": [Colour.RED, Colour, re.IGNORECASE],
    "types": [int, list[int], int | str, typing.List["x"], typing.Any],  # type: ignore[name-defined]  # noqa: F821, UP006
    "functions": [len, state, str.join, (1).__add__, [].append],
    "a pattern": re.compile("a"),
}


@pytest.mark.parametrize("name", VALUES)
def test_copies_are_those_of_the_standard_library(name: str) -> None:
    value = VALUES[name]
    assert state(copying.copy(value)) == state(copy.copy(value)) == state(value)
    made, expected = copying.deepcopy(value), copy.deepcopy(value)
    assert state(made) == state(expected) == state(value)
    assert (made is value) == (expected is value)


def test_a_deep_copy_shares_nothing_that_changes_and_keeps_what_is_shared() -> None:
    shared: list[Any] = [1]
    value: dict[str, Any] = {"a": shared, "b": Point(shared), "t": (shared,)}
    value["self"] = value
    made = copying.deepcopy(value)
    assert made["a"] is made["b"].x is made["t"][0] is not shared
    assert made["self"] is made
    within: list[Any] = []
    within.append((within,))
    again = copying.deepcopy(within)
    assert again[0][0] is again is not within


def test_a_bound_method_is_copied_with_its_object() -> None:
    value = Many([[1]])
    method = copying.deepcopy(types.MethodType(state, value))
    assert method.__self__ is not value
    assert method.__self__ == value


def test_a_memory_that_was_made_for_it_serves_several_copies() -> None:
    shared: list[Any] = [1]
    memory: dict[int, Any] = {}
    first, second = copying.deepcopy([shared], memory), copying.deepcopy([shared], memory)
    assert first[0] is second[0] is not shared
    assert memory == {}


def test_a_memory_answers_for_values_but_not_for_what_the_library_has_made() -> None:
    value, instead = [1], [2]
    notes = {id(value): instead}
    assert copying.deepcopy([value], notes)[0] is instead
    assert copying.deepcopy(Point(value), {id(value): instead}).x is instead
    space = types.SimpleNamespace(value=value)
    assert copying.deepcopy(space, {id(value): instead}).value == [1]
    with pytest.raises(TypeError, match="memo must be a dict"):
        copying.deepcopy([], collections.UserDict())


def test_what_cannot_be_copied_is_told_as_ever() -> None:
    for value in (iter_of_one(), copy):
        with pytest.raises(TypeError, match="cannot pickle"):
            copying.deepcopy(value)


def iter_of_one() -> Any:
    yield 1


def test_an_object_may_not_claim_to_be_made_of_another_one() -> None:
    parts = (lambda: Point), (), {"x": 1}
    with pytest.raises(SecurityViolation):
        copying.copy(types.SimpleNamespace(__reduce__=lambda: parts))
    assert not hasattr(Point, "z")
