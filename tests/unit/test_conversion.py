"""The table of conversions: every example in it, what each kind of value becomes, and that both ways to JSON agree."""

from __future__ import annotations

import ast
import asyncio
import builtins
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import fractions
import importlib
import inspect
import json
import math
import re
import subprocess
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import TaskRequest, TaskRunnerConfig
from runner.execution.sandbox.child import conversion, encoding, results
from runner.execution.sandbox.child.conversion_table import TABLE, Row
from runner.execution.sandbox.child.failures import BadResult
from runner.execution.sandbox.executor import SandboxExecutor
from tests.support import ROOT, code_settings

ROWS = [row for group in TABLE.values() for row in group]
EXAMPLES = [
    pytest.param(expression, shown, id=expression, marks=[pytest.mark.needs(row.needs)] if row.needs else [])
    for row in ROWS
    for expression, shown in row.examples.items()
]

TEXTS = st.text(st.characters(codec=None), max_size=8)  # lone surrogates are among them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = "red"
    DAY = datetime.date(2024, 1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    A = "a"


class Place(NamedTuple):
    x: Any
    y: Any = None


@dataclasses.dataclass
class Node:
    name: Any
    below: Any = None


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


@attrs.define
class Slotted:
    name: Any
    below: Any = None


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | TEXTS
    | st.binary(max_size=4)
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.fractions()
    | st.uuids()
    | st.complex_numbers()
    | st.sampled_from([*Colour, *Level, Path("/a/b"), range(3), ValueError("no"), object, math.sqrt])
    | st.frozensets(st.integers() | st.floats() | TEXTS, max_size=4)
)
KEYS = TEXTS | st.integers() | st.floats() | st.none() | st.booleans() | st.dates() | st.sampled_from([*Colour, *Level])
KEYS |= st.tuples(st.integers()) | st.binary(max_size=3) | st.builds(Point, st.integers())


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, max_size=4)
    named = st.dictionaries(TEXTS, inner, max_size=4)
    return (
        several
        | several.map(tuple)
        | several.map(collections.deque)
        | several.map(collections.UserList)
        | st.dictionaries(KEYS, inner, max_size=4)
        | named.map(collections.OrderedDict)
        | named.map(collections.ChainMap)
        | named.map(types.MappingProxyType)
        | named.map(dict.values)
        | st.builds(Node, inner, inner)
        | st.builds(Slotted, inner, inner)
        | st.builds(Place, inner, inner)
    )


ANYTHING = st.recursive(SCALARS, containers, max_leaves=15)


def module_names(expression: str) -> set[str]:
    """The modules that an expression takes something from."""
    nodes = ast.walk(ast.parse(expression))
    owners = {node.value.id for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}
    return {name for name in owners if not hasattr(builtins, name)}


@contextlib.contextmanager
def evaluated(expression: str) -> Iterator[Any]:
    """What an example of the table is a text of."""
    names = {name: importlib.import_module(name) for name in module_names(expression)}
    value = eval(expression, {"__name__": __name__, **names})
    try:
        yield value
    finally:
        if inspect.iscoroutine(value):
            value.close()  # so that nobody warns that it was never awaited


def converted(value: Any) -> Any:
    return json.loads(results.to_json(value))


@pytest.mark.parametrize(("expression", "shown"), EXAMPLES)
def test_each_example_of_the_table_becomes_what_it_says(expression: str, shown: str | None) -> None:
    with evaluated(expression) as value:
        if shown is None:
            with pytest.raises(BadResult, match="The result contains a value of type") as caught:
                results.to_json([{"here": value}])
            assert caught.value.description
        else:
            assert results.to_json(value).decode() == shown


@pytest.mark.parametrize(("expression", "shown"), EXAMPLES)
def test_each_example_becomes_the_same_the_slow_way_and_inside_of_others(expression: str, shown: str | None) -> None:
    with evaluated(expression) as value:
        if shown is None:
            with pytest.raises(BadResult):
                results.to_json([math.nan, value])
        else:
            assert results.to_json([math.nan, value]).decode() == f"[null,{shown}]"
            assert results.to_json([{"a": {"b": (value,)}}]).decode() == f'[{{"a":{{"b":[{shown}]}}}}]'


@pytest.mark.parametrize(("expression", "shown"), EXAMPLES)
def test_each_example_is_of_its_own_row(expression: str, shown: str | None) -> None:
    (row,) = (row for row in ROWS if expression in row.examples)
    with evaluated(expression) as value:
        if row.types and not isinstance(value, list):
            assert conversion.row_for(type(value)) is row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.values)
def test_each_row_has_examples_and_no_type_stands_in_two(row: Row) -> None:
    assert row.examples
    assert all(name.count(".") for name in row.types)
    assert not {name for other in ROWS if other is not row for name in other.types} & set(row.types)


def test_the_page_has_every_row_in_the_order_of_the_table() -> None:
    page = (ROOT / "docs" / "conversion.md").read_text(encoding="utf-8")
    position = 0
    for title, group in TABLE.items():
        position = page.index(f"\n## {title}\n", position)
        for row in group:
            position = page.index(f"| {row.values} | {row.becomes} | ", position)
            line = page[position : page.index("\n", position)]
            for expression, shown in row.examples.items():
                assert f"`{expression}`" in line
                assert f"`{shown}`" in line or shown is None


@given(ANYTHING)
def test_the_slow_way_makes_the_same_as_the_fast_one(value: Any) -> None:
    assert converted([value, math.nan])[0] == converted(value)


@given(JSON)
def test_what_json_has_stays_as_it_is_both_ways(value: Any) -> None:
    assert converted(value) == value
    assert converted([math.nan, value]) == [None, value]


@given(ANYTHING)
def test_what_has_been_converted_is_not_converted_again(value: Any) -> None:
    once = converted(value)
    assert converted(once) == once


@given(KEYS)
def test_every_key_becomes_text(key: Any) -> None:
    assert list(converted({key: 1})) == [conversion.as_key(key)]


@settings(max_examples=4, deadline=None)
@given(st.lists(JSON, min_size=20, max_size=40))
def test_json_comes_back_from_a_process_as_it_was(values: list[Any]) -> None:
    items = [{"json": {"value": value}} for value in values]
    request = TaskRequest("t1", code_settings("return _items", items), lambda _: None)

    async def there_and_back() -> bytes:
        executor = SandboxExecutor(TaskRunnerConfig(auth_token="secret"))
        try:
            await executor.start()
            return bytes((await executor.execute(request)).result)
        finally:
            await executor.close()

    assert json.loads(asyncio.run(there_and_back())) == items


DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d+))?S)?)?")


def nanoseconds(text: str) -> int:
    """A duration of ISO 8601, read back."""
    found = DURATION.fullmatch(text)
    assert found
    assert any(found.groups()[1:]), "a duration has at least one part"
    assert not text.endswith("T")
    sign, days, hours, minutes, seconds, fraction = found.groups()
    whole = ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return (-1 if sign else 1) * (whole * 10**9 + int((fraction or "").ljust(9, "0")))


@given(st.timedeltas())
def test_a_duration_loses_nothing(span: datetime.timedelta) -> None:
    assert nanoseconds(converted(span)) == span // datetime.timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [{1, 2}, (b"x", {"b": Colour.RED})]}, {"a": [[1, 2], ["eA==", {"b": "red"}]]}),
        (Colour.DAY, "2024-01-02"),
        ([Level.LOW, Word.A], [1, "a"]),
        (
            Node("a", [Node(math.nan), Slotted(Place(1, 2))]),
            {"name": "a", "below": [{"name": None, "below": None}, {"name": [1, 2], "below": None}]},
        ),
        (collections.deque([collections.deque([1])]), [[1]]),
        (datetime.timedelta(days=-1, hours=1), "-PT23H"),
        (datetime.timedelta(days=400), "P400D"),
        (datetime.timedelta(microseconds=1), "PT0.000001S"),
        (datetime.time(3, 4, tzinfo=datetime.UTC), "03:04:00+00:00"),
        ([decimal.Decimal(text) for text in ("-Infinity", "sNaN", "1E+3")], [None, None, "1E+3"]),
        (fractions.Fraction(4, 2), "2"),
        (memoryview(b"abcdef")[::2], "YWNl"),
        (KeyError("x"), "'x'"),
        ({"a", 1}.__class__(), []),
        ({frozenset({1}), frozenset({2})} - {frozenset({2})}, [[1]]),
        (collections.UserDict({1: math.nan}), {"1": None}),
        (collections.UserList([math.nan]), [None]),
        (int, "<class 'int'>"),
        (Node, str(Node)),
        (re.compile("a"), "re.compile('a')"),
    ],
)
def test_values_of_many_kinds(value: Any, expected: Any) -> None:
    assert converted(value) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (Colour.RED, "red"),
        (Level.LOW, "1"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("NaN"), "NaN"),
        ((1, "a"), "(1, 'a')"),
        (Place(1, 2), "Place(x=1, y=2)"),
        (frozenset({1}), "frozenset({1})"),
        (Point(1), "Point(x=1)"),
        (b"x", "eA=="),
        (1.0, "1.0"),
        (math.inf, "inf"),
        (None, "null"),
        (True, "true"),
    ],
)
def test_keys_become_what_their_values_would_if_that_is_text(key: Any, expected: str) -> None:
    assert converted({key: 1}) == {expected: 1}


def test_of_keys_that_become_the_same_the_later_one_counts() -> None:
    day = datetime.date(2024, 1, 2)
    assert converted({day: 1, "2024-01-02": 2}) == {"2024-01-02": 2}
    assert converted({"2024-01-02": 2, day: 1}) == {"2024-01-02": 1}


def test_members_that_compare_badly_leave_a_set_unsorted() -> None:
    class Bad:
        def __lt__(self, other: object) -> bool:
            raise LookupError("mine")

        def __str__(self) -> str:
            return "bad"

    assert converted({Bad(), Bad()}) == ["bad", "bad"]
    assert sorted(converted({1, "a", None}), key=str) == [1, None, "a"]


def test_a_field_that_was_never_set_is_left_out() -> None:
    @attrs.define
    class Late:
        a: int
        b: int = attrs.field(init=False)

    assert converted(Late(1)) == {"a": 1}


def deep(levels: int, wrap: Callable[[Any], Any], inmost: Any) -> Any:
    for _ in range(levels):
        inmost = wrap(inmost)
    return inmost


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: (value,)])
def test_nesting_is_no_reason_to_fail_the_slow_way(wrap: Callable[[Any], Any]) -> None:
    assert results.to_json(deep(500, wrap, math.nan)) == results.to_json(deep(500, wrap, None))


@pytest.mark.parametrize(
    "wrap",
    [Node, Slotted, lambda value: collections.deque([value]), lambda value: types.MappingProxyType({"a": value})],
)
def test_what_becomes_lists_and_objects_can_be_nested_as_well(wrap: Callable[[Any], Any]) -> None:
    assert converted(deep(50, wrap, math.nan)) == converted(deep(50, wrap, None))
    with pytest.raises(BadResult, match="nested too deeply"):
        results.to_json(deep(100_000, wrap, 1))


def test_an_object_that_is_a_part_of_itself_is_refused() -> None:
    node = Node("a")
    node.below = [node]
    queue: collections.deque[Any] = collections.deque()
    queue.append({"again": queue})
    for value in (node, queue, [math.nan, node]):
        with pytest.raises(BadResult, match="The result contains itself"):
            results.to_json(value)


def test_a_part_that_occurs_twice_is_no_circle() -> None:
    part = Node("a", math.nan)
    assert converted([part, part]) == [{"name": "a", "below": None}] * 2


@pytest.mark.parametrize("raised", [LookupError, ValueError, TypeError, KeyError])
def test_whatever_the_methods_of_a_value_raise_comes_out(raised: type[Exception]) -> None:
    class Failing:
        def __str__(self) -> str:
            raise raised("mine")

    for value in (Failing(), [math.nan, Failing()], {Failing(): 1}):
        with pytest.raises(raised, match="mine"):
            results.to_json(value)


def test_text_that_is_none_comes_out_as_pythons_own_complaint() -> None:
    class Failing:
        def __str__(self) -> str:
            return 5  # type: ignore[return-value]

    with pytest.raises(TypeError, match="__str__ returned non-string"):
        results.to_json([Failing()])


def test_modules_that_are_not_what_they_seem_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    class Value:
        def __str__(self) -> str:
            return "text"

    for module in (None, object(), types.ModuleType("pandas")):
        monkeypatch.setitem(sys.modules, "pandas", module)
        assert converted([type("Value", (Value,), {})()]) == ["text"]


def test_nothing_is_imported_for_the_table() -> None:
    program = (
        "import sys, json, typing; before = set(sys.modules)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from runner.execution.sandbox.child import results\n"
        "results.to_json([{1, 2}, b'x', object(), {}.keys(), ValueError(), range(2)])\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=30)
    needed = {"runner", "__future__", "importlib", "warnings", "collections", "math", "binascii"}
    assert set(run.stdout.split()) <= needed


# What comes back as a whole, and what has to be an object


@pytest.mark.parametrize(
    ("returned", "items"),
    [
        (Node("a"), [{"json": {"name": "a", "below": None}}]),
        ([Node("a"), Slotted("b")], [{"json": {"name": name, "below": None}} for name in "ab"]),
        ([Place(1, 2)], [{"json": {"x": 1, "y": 2}}]),
        (collections.deque([{"a": 1}]), [{"json": {"a": 1}}]),
        (({"a": 1},), [{"json": {"a": 1}}]),
        (types.MappingProxyType({"a": 1}), [{"json": {"a": 1}}]),
        ({"b": {"a": 1}}.values(), [{"json": {"a": 1}}]),
        ([{"json": Node("a")}], [{"json": {"name": "a", "below": None}}]),
        ([{"json": Place(1)}], [{"json": {"x": 1, "y": None}}]),
        ([{"json": {}, "binary": collections.ChainMap({"f": {}})}], [{"json": {}, "binary": {"f": {}}}]),
        ([collections.ChainMap({"json": {"a": 1}})], [{"json": {"a": 1}}]),
    ],
)
def test_what_becomes_objects_can_be_items(returned: Any, items: Any) -> None:
    assert results.of_all_items(returned) == items


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (Node("a"), {"json": {"name": "a", "below": None}}),
        (Place(1), {"json": {"x": 1, "y": None}}),
        (collections.ChainMap({"json": Node("a"), "extra": 1}), {"json": {"name": "a", "below": None}}),
    ],
)
def test_what_becomes_an_object_can_be_one_item(returned: Any, expected: Any) -> None:
    assert results.of_one_item(returned, 3) == {**expected, "pairedItem": {"item": 3}}


@pytest.mark.parametrize("returned", [Colour.RED, datetime.date(2024, 1, 2), object()])
def test_what_becomes_text_cannot_be_items(returned: Any) -> None:
    with pytest.raises(BadResult, match="Code doesn't return items properly") as caught:
        results.of_all_items(returned)
    assert f"It returned a value of type {type(returned).__name__}. Return a list" in str(caught.value.description)
    with pytest.raises(BadResult, match="Code doesn't return an object"):
        results.of_one_item(returned, 0)
    with pytest.raises(BadResult, match="Code doesn't return items properly"):
        results.of_all_items([returned])


def test_a_generator_is_refused_with_advice_wherever_it_is() -> None:
    for attempt in (
        lambda: results.of_all_items(item for item in [{"a": 1}]),
        lambda: results.of_all_items([(1 for _ in "a")]),
        lambda: results.of_all_items([{"json": (1 for _ in "a")}]),
        lambda: results.of_one_item((1 for _ in "a"), 0),
        lambda: results.of_tool(1 for _ in "a"),
        lambda: results.to_json([{"json": {"a": (1 for _ in "a")}}]),
        lambda: results.to_json({(1 for _ in "a"): 1}),
    ):
        with pytest.raises(BadResult) as caught:
            attempt()
        assert "generator" in caught.value.message + str(caught.value.description)
        assert "Make a list of it: list(...)." in str(caught.value.description)


@pytest.mark.parametrize(
    ("returned", "answer"),
    [
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("NaN"), "null"),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (b"hello", "aGVsbG8="),
        ({2, 1}, "[1,2]"),
        (Node("a"), '{"name":"a","below":null}'),
        (math.nan, "nan"),
    ],
)
def test_a_tool_answers_with_what_a_value_becomes(returned: Any, answer: Any) -> None:
    assert results.of_tool(returned) == answer


# numpy


@pytest.fixture
def np() -> Any:
    return importlib.import_module("numpy")


@pytest.mark.needs("numpy")
def test_numbers_of_numpy(np: Any) -> None:
    kinds = [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64, np.float16, np.float32, np.float64]
    assert converted([kind(7) for kind in [*kinds, np.longdouble]]) == [7] * 10
    assert converted([np.float16("nan"), np.float64("inf"), np.longdouble("nan")]) == [None, None, None]
    assert converted([np.clongdouble(1 + 2j), np.str_("a"), np.bytes_(b"x")]) == ["(1+2j)", "a", "eA=="]
    assert converted({np.int64(1): 1, np.float64(0.5): 2, np.str_("a"): 3, np.bool_(False): 4}) == {
        "1": 1,
        "0.5": 2,
        "a": 3,
        "false": 4,
    }
    assert [results.of_tool(answer) for answer in (np.int64(5), np.float32("nan"), np.bool_(True))] == [
        5,
        "nan",
        "true",
    ]


@pytest.mark.needs("numpy")
@pytest.mark.parametrize("unit", ["W", "D", "h", "m", "s", "ms", "us", "ns"])
def test_a_span_of_time_of_numpy_is_as_long_as_it_was(np: Any, unit: str) -> None:
    for count in (-12_345, -1, 0, 1, 59, 10_001):
        span = np.timedelta64(count, unit)
        assert nanoseconds(converted(span)) == int(span.astype("timedelta64[ns]").astype("int64"))
    assert converted(np.timedelta64(2, f"5{unit}")) == converted(np.timedelta64(10, unit))
    assert converted(np.timedelta64("NaT", unit)) is None


@pytest.mark.needs("numpy")
def test_times_of_numpy_that_are_not_of_a_certain_length(np: Any) -> None:
    assert converted([np.timedelta64(2, "Y"), np.timedelta64(7, "ps")]) == ["2 years", "7 picoseconds"]
    assert converted([np.datetime64("2024"), np.datetime64("2024-01"), np.datetime64("2024-01-02T03")]) == [
        "2024",
        "2024-01",
        "2024-01-02T03",
    ]


@pytest.mark.needs("numpy")
def test_arrays_of_numpy(np: Any) -> None:
    assert converted(np.zeros((2, 0, 3))) == [[], []]
    assert converted(np.array([[1.5, np.nan], [np.inf, 2]])) == [[1.5, None], [None, 2.0]]
    assert converted(np.array(np.nan)) is None
    assert converted(np.array(["2024-01-02", "NaT"], "datetime64[D]").reshape(2, 1)) == [["2024-01-02"], [None]]
    assert converted(np.array("2024-01-02", "datetime64[us]")) == "2024-01-02T00:00:00"
    assert converted(np.array([90, 0], "timedelta64[s]")) == ["PT1M30S", "PT0S"]
    assert converted(np.array([{1}, np.array([1]), None, Colour.RED], dtype=object)) == [[1], [1], None, "red"]
    assert converted(np.array([b"x", b"yz"])) == ["eA==", "eXo="]
    assert converted(np.array([1, 2], np.longdouble)) == [1.0, 2.0]
    assert converted(np.array([1 + 2j])) == ["(1+2j)"]
    assert converted(np.ma.masked) is None


@pytest.mark.needs("numpy")
def test_structured_arrays_of_numpy(np: Any) -> None:
    inner = [("when", "datetime64[s]"), ("values", "f8", (2,))]
    array = np.zeros(2, [("n", "i4"), ("inner", inner)])
    array["inner"]["values"][1] = np.nan
    row = {"n": 0, "inner": {"when": "1970-01-01T00:00:00", "values": [0.0, 0.0]}}
    assert converted(array) == [row, {"n": 0, "inner": {**row["inner"], "values": [None, None]}}]  # type: ignore[dict-item]
    assert converted(array[0]) == row
    assert converted(array.reshape(2, 1)[:1]) == [[row]]
    assert converted(np.rec.array([(1, "a")], names="n,t")) == [{"n": 1, "t": "a"}]
    assert results.of_all_items(np.rec.array([(1, "a")], names="n,t")) == [{"json": {"n": 1, "t": "a"}}]


# pandas


@pytest.fixture
def pd() -> Any:
    return importlib.import_module("pandas")


@pytest.fixture
def frame(pd: Any) -> Any:
    return pd.DataFrame(
        {
            "id": [1, 2],
            "name": ["a", None],
            "amount": [0.5, float("nan")],
            "when": pd.to_datetime(["2024-01-02", None], utc=True),
            "span": pd.to_timedelta(["90min", None]),
            "kind": pd.Categorical(["x", None]),
            "count": pd.array([1, None], dtype="Int64"),
        }
    )


FRAME = [
    {
        "id": 1,
        "name": "a",
        "amount": 0.5,
        "when": "2024-01-02T00:00:00+00:00",
        "span": "PT1H30M",
        "kind": "x",
        "count": 1,
    },
    {"id": 2, "name": None, "amount": None, "when": None, "span": None, "kind": None, "count": None},
]


@pytest.mark.needs("pandas")
def test_a_data_frame_becomes_items_one_a_row(frame: Any) -> None:
    items = results.of_all_items(frame)
    assert converted(items) == [{"json": row} for row in FRAME]
    assert converted([{"json": {"rows": frame}}]) == [{"json": {"rows": FRAME}}]
    assert converted(frame.to_dict("records")) == FRAME
    with pytest.raises(BadResult, match="Code doesn't return an object"):
        results.of_one_item(frame, 0)


@pytest.mark.needs("pandas")
def test_missing_values_of_a_data_frame_take_the_fast_way(frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_plain", pytest.fail)
    assert converted(results.of_all_items(frame)) == [{"json": row} for row in FRAME]


@pytest.mark.needs("pandas")
def test_the_index_of_a_data_frame_is_a_column_if_it_has_a_name(pd: Any, frame: Any) -> None:
    small = frame[["id", "name"]]
    assert converted(small[small["id"] > 1]) == [{"id": 2, "name": None}]
    assert results.to_json(small.set_index("id")) == b'[{"id":1,"name":"a"},{"id":2,"name":null}]'
    assert converted(frame.groupby("id")[["amount"]].sum()) == [{"id": 1, "amount": 0.5}, {"id": 2, "amount": 0.0}]
    levels = pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["n", None])
    assert converted(pd.DataFrame({"x": [5, 6]}, levels)) == [{"n": 1, "x": 5}, {"n": 2, "x": 6}]
    assert converted(pd.DataFrame({"x": [5]}, pd.Index([1], name="x"))) == [{"x": 5}]
    assert converted(small.reset_index()) == [{"index": 0, "id": 1, "name": "a"}, {"index": 1, "id": 2, "name": None}]


@pytest.mark.needs("pandas")
def test_data_frames_of_unusual_shapes(pd: Any) -> None:
    assert results.of_all_items(pd.DataFrame()) == []
    assert results.of_all_items(pd.DataFrame({"a": []})) == []
    assert converted(pd.DataFrame(index=[1, 2])) == [{}, {}]
    assert converted(pd.DataFrame(index=pd.Index([1, 2], name="n"))) == [{"n": 1}, {"n": 2}]
    assert converted(pd.DataFrame([[1, 2]], columns=["a", "a"])) == [{"a": 2}]
    assert converted(pd.DataFrame([[1, 2]])) == [{"0": 1, "1": 2}]
    assert converted(pd.DataFrame({("a", "b"): [1]})) == [{"('a', 'b')": 1}]
    assert converted(pd.DataFrame({pd.Timestamp("2024-01-02"): [1]})) == [{"2024-01-02T00:00:00": 1}]
    assert converted(pd.DataFrame({"cell": [[1], {"a": float("nan")}]})) == [{"cell": [1]}, {"cell": {"a": None}}]
    assert converted(pd.DataFrame({"a": [float("inf")]})) == [{"a": None}]


@pytest.mark.needs("pandas")
def test_a_data_frame_of_items_gives_them_back(pd: Any) -> None:
    items = [{"json": {"a": 1}, "pairedItem": {"item": 0}}, {"json": {"a": 2}, "pairedItem": {"item": 1}}]
    assert results.of_all_items(pd.DataFrame(items)) == items


@pytest.mark.needs("pandas")
def test_a_series_is_an_object_or_a_list(pd: Any, frame: Any) -> None:
    assert converted(frame["amount"]) == [0.5, None]
    assert converted(frame[frame["id"] > 1]["id"]) == [2]
    assert converted(frame.iloc[0]) == FRAME[0]
    assert converted(frame.set_index("id")["name"]) == {"1": "a", "2": None}
    assert converted(pd.Series([1, 2], ["a", "a"])) == [1, 2]
    assert converted(pd.Series([1], pd.to_datetime(["2024-01-02"]))) == [1]
    assert converted(pd.Series([1], pd.DatetimeIndex(["2024-01-02"], name="day"))) == {"2024-01-02T00:00:00": 1}
    assert converted(pd.Series([], dtype=float)) == []
    assert converted(frame.set_index(["id", "kind"])["count"].head(1)) == {"(1, 'x')": 1}


@pytest.mark.needs("pandas")
def test_a_series_as_a_result_is_one_item_if_it_is_an_object(pd: Any, frame: Any) -> None:
    assert converted(results.of_all_items(frame.iloc[0])) == [{"json": FRAME[0]}]
    assert converted(results.of_all_items([row for _, row in frame.iterrows()])) == [{"json": row} for row in FRAME]
    assert converted(results.of_all_items(list(frame.itertuples(index=False)))) == [{"json": row} for row in FRAME]
    assert results.of_all_items(pd.Series([{"a": 1}, {"a": 2}])) == [{"json": {"a": 1}}, {"json": {"a": 2}}]
    assert converted(results.of_one_item(frame.iloc[0], 0)) == {"json": FRAME[0], "pairedItem": {"item": 0}}
    with pytest.raises(BadResult, match="Code doesn't return items properly") as caught:
        results.of_all_items(frame["id"])
    assert caught.value.item_index == 0


@pytest.mark.needs("pandas")
def test_other_values_of_pandas(pd: Any, frame: Any) -> None:
    assert converted([pd.Timestamp("2024-01-02 03:04:05.123456789"), pd.Timedelta("-1ns")]) == [
        "2024-01-02T03:04:05.123456789",
        "-PT0.000000001S",
    ]
    assert converted({pd.NaT: 1, pd.NA: 2, pd.Timestamp("2024-01-02"): 3}) == {
        "NaT": 1,
        "<NA>": 2,
        "2024-01-02T00:00:00": 3,
    }
    assert converted(pd.interval_range(0, 2)) == ["(0, 1]", "(1, 2]"]
    assert converted(pd.period_range("2024-01", periods=2, freq="M")) == ["2024-01", "2024-02"]
    assert converted(pd.RangeIndex(2)) == [0, 1]
    assert converted(pd.MultiIndex.from_tuples([("a", 1.0), ("b", None)])) == [["a", 1.0], ["b", None]]
    assert converted(pd.Series(["a", None], dtype="string")) == ["a", None]
    assert converted(pd.arrays.SparseArray([0, 1])) == [0, 1]
    assert converted(frame["kind"].array) == ["x", None]
    assert converted([pd.DataFrame, frame["kind"].dtype])[0] == str(pd.DataFrame)


@pytest.mark.needs("pydantic")
def test_models_of_pydantic() -> None:
    pydantic: Any = importlib.import_module("pydantic")
    inner = pydantic.create_model("Inner", when=(datetime.date, ...))
    outer = pydantic.create_model("Outer", inner=(list[inner], ...))  # type: ignore[valid-type]
    model = outer(inner=[inner(when=datetime.date(2024, 1, 2))])
    assert converted(model) == {"inner": [{"when": "2024-01-02"}]}
    assert converted(results.of_all_items([model])) == [{"json": {"inner": [{"when": "2024-01-02"}]}}]
