"""What code may return: brought into the form that n8n accepts, and made JSON."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
from collections import OrderedDict, UserString
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.execution.sandbox.child import results
from runner.execution.sandbox.child.failures import BadResult
from runner.protocol.codec import check_json

RESERVED = ("json", "binary", "pairedItem", "error", "index")
TEXTS = st.text(st.characters(codec=None), max_size=8)  # lone surrogates are among them
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
KEYS = st.sampled_from(RESERVED) | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)
STRANGE = (
    SCALARS
    | st.floats()
    | st.binary(max_size=4)
    | st.dates()
    | st.decimals()
    | st.frozensets(st.integers() | st.floats())
    | st.tuples(st.floats(), st.none())
    | st.just(object())
)
STRANGE_KEYS = KEYS | st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.tuples(st.integers())
ANYTHING = st.recursive(
    STRANGE, lambda inner: st.lists(inner) | st.dictionaries(STRANGE_KEYS, inner) | st.tuples(inner), max_leaves=20
)


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


def refusal_of_n8n(result: Any) -> str | None:
    """Why n8n would refuse this as the result of a Code node: what protocol.md 2.6 says, written down once more."""
    if not isinstance(result, list):
        return "not a list"
    for item in result:
        if not isinstance(item, dict):
            return "an item that is no object"
        if any(key in item for key in RESERVED) and any(key not in RESERVED for key in item):
            return "other keys beside a reserved one"
        if any(key in item and not isinstance(item[key], dict) for key in ("json", "binary")):
            return "json or binary that is no object"
    if len({"json" in item for item in result}) > 1:
        return "some items with json and some without"
    return None


def round_trip(value: Any) -> Any:
    """A value as n8n gets to see it. The bytes have to be what the runner lets through."""
    return json.loads(bytes(check_json(results.to_json(value), 2**30)))


def tried(attempt: Callable[[], Any]) -> tuple[Any, BadResult | None]:
    """What comes of an attempt: a value, or the reason why there is none."""
    try:
        return attempt(), None
    except BadResult as refused:
        return None, refused


@given(JSON)
def test_any_json_value_comes_back_as_it_was(value: Any) -> None:
    assert round_trip(value) == value


@given(ANYTHING)
def test_any_other_value_becomes_json_that_every_reader_takes(value: Any) -> None:
    document = results.to_json(value)
    json.loads(document, parse_constant=pytest.fail)
    check_json(document, len(document))


@given(ANYTHING | st.lists(st.dictionaries(KEYS, ANYTHING, max_size=3), max_size=3))
def test_what_is_returned_for_all_items_is_never_refused_by_n8n(returned: Any) -> None:
    items, refused = tried(lambda: round_trip(results.of_all_items(returned)))
    if refused is None:
        assert refusal_of_n8n(items) is None
        assert all("json" in item for item in items)
    else:
        assert refused.message
        assert refused.description


@given(ANYTHING | st.dictionaries(KEYS, ANYTHING, max_size=3), st.integers(0, 99))
def test_what_is_returned_for_one_item_is_never_refused_by_n8n(returned: Any, index: int) -> None:
    item, refused = tried(lambda: results.of_one_item(returned, index))
    if refused is not None:
        assert refused.item_index == index
    elif item is None:
        assert returned is None
    else:
        assert refusal_of_n8n([round_trip(item)]) is None
        assert item["pairedItem"] == {"item": index}


@given(ANYTHING)
def test_the_answer_of_a_tool_is_text_or_a_number(returned: Any) -> None:
    answer = round_trip(results.of_tool(returned))
    assert isinstance(answer, str | int | float)
    assert not isinstance(answer, bool)


@pytest.mark.parametrize(
    ("returned", "items"),
    [
        (None, []),
        ([], []),
        ((), []),
        ({"a": 1}, [{"json": {"a": 1}}]),
        ({"json": {"a": 1}}, [{"json": {"a": 1}}]),
        ([{"a": 1}, {"json": {"b": 2}}], [{"json": {"a": 1}}, {"json": {"b": 2}}]),
        ([{"error": "x"}], [{"json": {"error": "x"}}]),
        ([{"index": 1, "n": 2}], [{"json": {"index": 1, "n": 2}}]),
        ([{"binary": {"f": {}}}], [{"json": {}, "binary": {"f": {}}}]),
        ([{"binary": 1, "n": 2}], [{"json": {"binary": 1, "n": 2}}]),
        ([{"json": {}, "binary": None}], [{"json": {}}]),
        ([{"json": {}, "pairedItem": {"item": 3}}], [{"json": {}, "pairedItem": {"item": 3}}]),
        ([OrderedDict(a=1)], [{"json": {"a": 1}}]),
        ([{}], [{"json": {}}]),
    ],
)
def test_items_are_wrapped_the_way_n8n_wants_them(returned: Any, items: Any) -> None:
    assert results.of_all_items(returned) == items


@pytest.mark.parametrize(
    ("returned", "message", "index"),
    [
        (5, "Code doesn't return items properly", None),
        ("x", "Code doesn't return items properly", None),
        (iter([]), "Code doesn't return items properly", None),
        ({1, 2}, "Code doesn't return items properly", 0),
        ([{"a": 1}, None], "Code doesn't return items properly", 1),
        ([5], "Code doesn't return items properly", 0),
        ([{"json": {}, "a": 1}], "Invalid output format", 0),
        ([{"json": {}}, {"json": None}], "Invalid output format", 1),
        ([{"json": {}, "binary": []}], "Invalid output format", 0),
        ([{"json": {}, 5: 1, "b": 2}], "Invalid output format", 0),
    ],
)
def test_what_n8n_would_refuse_is_refused_with_the_item(returned: Any, message: str, index: int | None) -> None:
    with pytest.raises(BadResult) as caught:
        results.of_all_items(returned)
    assert (caught.value.message, caught.value.item_index) == (message, index)


def test_of_one_item_with_json_the_rest_is_left_out() -> None:
    item = {"json": {"a": 1}, "binary": {"f": {}}, "pairedItem": 7, "extra": 1}
    assert results.of_one_item(item, 4) == {"json": {"a": 1}, "binary": {"f": {}}, "pairedItem": {"item": 4}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        ([math.inf, {"a": -math.inf}, (1.5,)], [None, {"a": None}, [1.5]]),
        ({"s": {1}, "f": frozenset({math.nan})}, {"s": [1], "f": [None]}),
        (datetime.datetime(2024, 1, 2, 3, 4), "2024-01-02T03:04:00"),
        (decimal.Decimal("1.10"), "1.10"),
        (b"x", "eA=="),
        (UserString("u"), "u"),
        (Text("this"), "this"),
        ([Number.ONE, Colour.RED], [1, 1]),
        ({Number.ONE: 1, None: 2, True: 3, 1.5: 4}, {"1": 3, "null": 2, "1.5": 4}),
        ({(1, 2): 3, datetime.date(2024, 1, 2): math.nan}, {"(1, 2)": 3, "2024-01-02": None}),
        ({False: math.nan, None: 1, 2: 3, math.nan: 4}, {"false": None, "null": 1, "2": 3, "nan": 4}),
        ({1: "first", "1": "second"}, {"1": "second"}),
        ({1: "first", "1": math.nan}, {"1": None}),
        ({"a": "\ud83d", "b": "ü"}, {"a": "\ud83d", "b": "ü"}),
        (10**400, 10**400),
    ],
)
def test_values_that_json_lacks_are_converted(value: Any, expected: Any) -> None:
    assert round_trip(value) == expected


def test_text_is_sent_as_utf8_unless_it_cannot_be() -> None:
    assert results.to_json(["ü"]) == '["ü"]'.encode()
    assert results.to_json(["ü\ud83d"]) == '["ü\\ud83d"]'.encode()


def circular() -> list[Any]:
    value: list[Any] = []
    value.append({"again": value})
    return value


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (circular(), "The result contains itself"),
        ([math.nan, circular()], "The result contains itself"),
        (deep(300_000), "The result is nested too deeply"),
        ([math.nan, deep(300_000)], "The result is nested too deeply"),
        ([10**5000], "A number of the result has too many digits"),
        ({10**5000: 1}, "A number of the result has too many digits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_json_at_all_is_refused(value: Any, message: str) -> None:
    with pytest.raises(BadResult, match=message):
        results.to_json(value)


def test_a_part_that_occurs_twice_is_no_circle() -> None:
    part = {"n": math.nan}
    assert round_trip([part, part, [part]]) == [{"n": None}, {"n": None}, [{"n": None}]]


def test_an_exception_of_a_values_own_text_comes_out() -> None:
    class Failing:
        def __str__(self) -> str:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        results.to_json([Failing()])


@pytest.mark.parametrize(
    ("returned", "answer"),
    [("x", "x"), (1, 1), (1.5, 1.5), (True, "true"), (None, "null"), ({"a": 1}, '{"a":1}'), (math.inf, "inf")],
)
def test_a_tool_answers_with_text_or_a_number(returned: Any, answer: Any) -> None:
    assert results.of_tool(returned) == answer


def test_the_item_of_a_failure_is_one_that_n8n_accepts() -> None:
    assert results.error_item("no") == {"json": {"error": "no"}}
    assert results.error_item("no", 2) == {"json": {"error": "no"}, "pairedItem": {"item": 2}}
    assert msgspec.json.decode(results.to_json([results.error_item("\ud83d")])[:1] + b"]") == []
