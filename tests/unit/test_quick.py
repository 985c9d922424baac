"""JSON that is large, read and written quickly: the same as `json` and `encoding` have, or left to them."""

from __future__ import annotations

import collections
import json
import math
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.execution.sandbox import parts
from runner.execution.sandbox.child import levels, quick
from runner.execution.sandbox.child.encoding import to_json
from runner.execution.sandbox.child.failures import BadSettings
from runner.execution.sandbox.child.given.records import Record
from runner.execution.sandbox.child.task import read_settings
from runner.execution.sandbox.child.writing import ResultWriter
from tests.unit.test_conversion import ANYTHING, EXAMPLES, JSON, Node, Point, deep, evaluated

MEGABYTE = 1024**2


@pytest.fixture(scope="module", autouse=True)
def loaded() -> Iterator[None]:
    before = quick.loaded[:]
    quick.loaded.clear()
    assert quick.load()
    yield
    quick.loaded[:] = before


def read_quickly(document: bytes) -> Any:
    return quick.read(memoryview(document))


def slowly(document: bytes) -> Any:
    """What `json` reads, or None if it refuses."""
    try:
        return json.loads(document.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


# Reading


@settings(max_examples=300)
@given(JSON | st.integers() | st.lists(st.floats()), st.booleans(), st.sampled_from([(",", ":"), (" ,\n", "\t: ")]))
@example({"a": "\ud83d"}, True, (",", ":"))
@example([10**4000, -(2**63), 2**64, -0.0, 5e-324, 1.7976931348623157e308], True, (",", ":"))
def test_what_is_read_quickly_is_what_json_reads(value: Any, is_ascii: bool, separators: tuple[str, str]) -> None:
    text = json.dumps([value], ensure_ascii=is_ascii, separators=separators)
    document = text.encode("utf-8", "surrogatepass")
    found = read_quickly(document)
    assert found is None or repr(found) == repr(slowly(document))  # which shows types, and the order of keys


ONE_BY_ONE = [
    b"-0",
    b"-0.0",
    b"1e5",
    b"1E+2",
    b"100e-2",
    b"1e-400",
    b"0.1e1",
    b"9007199254740993.0",
    b"9007199254740993",
]
ONE_BY_ONE += [b"2.2250738585072011e-308", b'{"a":1,"b":2,"a":3}', rb'"\/\u0000\ud83d\ude00"', b'"\x7f"', b" [ 1 ] "]


@pytest.mark.parametrize("document", ONE_BY_ONE)
def test_what_may_be_read_in_several_ways_is_read_as_json_reads_it(document: bytes) -> None:
    found = read_quickly(document)
    assert repr(found) == repr(slowly(document))
    assert found is not None


REFUSED = [b"", b"[1,]", b"[1] x", b"01", b"1.", b".5", b'"\\x"', b'"\n"', b"\xef\xbb\xbf1", b'"\xff"', b"{'a':1}"]
REFUSED += [b'"\xed\xa0\x80"', b'"\xc0\x80"', b"[" * 100_000, b"tru", b'{"a"}', b'"\\u12"', b"-", b"+1", b"\x0c1"]


@pytest.mark.parametrize("document", REFUSED, ids=lambda document: repr(document[:20]))
def test_what_json_refuses_is_not_read(document: bytes) -> None:
    assert slowly(document) is None
    assert read_quickly(document) is None


@pytest.mark.parametrize("document", [b"[NaN]", b"[-Infinity]", b"[1E400]", rb'["\ud83d"]', b"[" + b"1" * 4300 + b"]"])
def test_settings_that_only_json_reads_are_read_by_it(document: bytes) -> None:
    text = b'{"code":"return []","nodeMode":"runOnceForAllItems","items":%b}' % document
    found = read_settings(memoryview(text), is_large=True)
    assert repr(found["items"]) == repr(json.loads(document))


def test_settings_that_nobody_can_read_are_refused_as_ever() -> None:
    for text in (b'{"items":[', b'"\xff"', b'{"code":"","nodeMode":"runOnceForAllItems","items":null}', b"null"):
        messages = []
        for is_large in (False, True):
            with pytest.raises(BadSettings) as caught:
                read_settings(memoryview(text), is_large=is_large)
            messages.append(caught.value.message)
        assert messages[0] == messages[1]


@pytest.mark.parametrize("is_large", [False, True])
def test_the_bytes_of_settings_are_let_go_of_once_they_are_read(is_large: bool) -> None:
    payload = memoryview(bytearray(b'{"code":"","nodeMode":"runOnceForAllItems","items":[]}'))
    read_settings(payload, is_large=is_large)
    with pytest.raises(ValueError, match="released"):
        len(payload)


@pytest.mark.parametrize("key", ["Straße", "名前", "k" * 33])
def test_keys_that_would_be_there_once_for_each_item_are_left_to_json(key: str) -> None:
    rows = [{"json": {"a": 1, key: n}} for n in range(1000)]
    document = json.dumps(
        {"code": "# " + "é" * 1000, "items": rows}, ensure_ascii=False, separators=(",", ":")
    ).encode()
    assert read_quickly(document) is None
    values = json.dumps(
        {"code": "", "items": [{"json": {"a": key}}]}, ensure_ascii=False, separators=(",", ":")
    ).encode()
    assert read_quickly(values) is not None


# Writing


def written_quickly(value: Any) -> Any:
    """What a slice that holds a value has been read as again; None if it is left to `encoding`."""
    document = quick.written([value])
    return None if document is None else json.loads(b"[%b]" % document)


@settings(max_examples=300, deadline=None)
@given(ANYTHING | JSON)
@example([1e22, 1e16, 1e-7, -0.0, math.nan, -math.inf, 2**64, -(10**30)])
@example('"\\/\b\f\n\r\t\x00\x1f\x7f\u2028\U0001f600')
@example(b"bytes")
@example({1.5: 1, 1e16: 2, None: 3, True: 4, 2: 5})
def test_what_is_written_quickly_is_what_encoding_writes(value: Any) -> None:
    found = written_quickly(value)
    assert found is None or repr(found) == repr(json.loads(to_json([value])))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON | st.floats()))
def test_what_json_has_is_written_quickly(members: dict[str, Any]) -> None:
    try:
        json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # half an emoji, which is left to `encoding`
    document = quick.written(members)
    assert document is not None
    assert repr(json.loads(b"{%b}" % document)) == repr(json.loads(to_json(members)))


@pytest.mark.parametrize(("expression", "shown"), EXAMPLES)
def test_each_example_of_the_conversions_is_left_to_encoding_or_written_as_it_has_it(
    expression: str, shown: str | None
) -> None:
    with evaluated(expression) as value:
        found = written_quickly({"here": value})
        assert found is None or found == [{"here": json.loads(shown or "")}]


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    ["\ud83d", {"\ud83d": 1}, 10**4400, Text("x"), {Text("k"): 1}, {1: 2}, {None: 1}, Record(a=1), Node(1), Point(1)],
    ids=lambda value: type(value).__name__,
)
def test_what_msgspec_would_write_otherwise_or_not_at_all_is_left_to_encoding(value: Any) -> None:
    sys.set_int_max_str_digits(4300)
    assert quick.written([value]) is None
    assert quick.written([[{"a": value}]]) is None


def test_what_is_nested_deeply_or_in_itself_is_left_to_encoding() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (circle, deep(levels.MOST_LEVELS, lambda inner: [inner], 1), deep(100_000, lambda inner: [inner], 1)):
        assert quick.written([value]) is None


def test_whatever_the_methods_of_a_value_raise_is_left_to_encoding() -> None:
    class Key(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise LookupError("mine")

        def __hash__(self) -> int:
            return hash("k")

    assert quick.written([{Key("k"): 1}, {"k": 2}, {Key("k"): 1}]) is None


def test_a_slice_may_be_as_long_as_a_part_and_no_longer() -> None:
    """As long or a little less: the last of it may need room that it does not use."""
    most = parts.PART_LIMIT - 2
    assert quick.written(["x" * (most // 8)]) == b'"%b"' % (b"x" * (most // 8))
    assert quick.written(["x" * (most + 1)]) == b""
    for count in range(parts.PART_LIMIT // 11 - 3, parts.PART_LIMIT // 11 + 3):
        document = quick.written(["x" * 8] * count)
        assert document in (b"", b",".join([b'"xxxxxxxx"'] * count))
        assert document is not None
        assert len(document) <= parts.PART_LIMIT


@pytest.mark.parametrize(
    "values",
    [
        ["x" * (20 * MEGABYTE)],
        ["\x00" * (20 * MEGABYTE)],
        [{"x" * (20 * MEGABYTE): 1}],
        [b"x" * (20 * MEGABYTE)],
        [[1] * (4 * MEGABYTE)] * 64,
        [[["x" * 100] * 1000] * 1000] * 64,
        [collections.deque([1] * MEGABYTE)],
        [bytearray(20 * MEGABYTE), {1, 2}],
    ],
    ids=["text", "escapes", "key", "bytes", "list again", "lists in lists", "deque", "bytearray"],
)
def test_to_write_takes_little_memory_whatever_is_to_be_written(values: list[Any]) -> None:
    tracemalloc.start()
    try:
        assert not quick.written(values)
        assert tracemalloc.get_traced_memory()[1] < 4 * parts.PART_LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [0, 1, 65, 255, 256, 511, 512, 5000])
@pytest.mark.parametrize("element", [{"a": "é"}, "x" * 128, "x" * 200, b"bytes", 1, {}, [[]], "[{"], ids=repr)
def test_a_list_is_written_as_a_whole_if_it_fits_into_a_part(element: Any, count: int) -> None:
    values = [element] * count
    document = quick.whole(values)
    expected = to_json(values)
    brackets = expected.count(b"[") + expected.count(b"{")
    if document is not None:
        assert document == expected
        assert len(document) <= parts.PART_LIMIT
        assert brackets <= parts.MOST_BRACKETS
    elif element != b"bytes" and count:
        assert len(expected) > parts.PART_LIMIT * 0.95 or brackets > parts.MOST_BRACKETS or count >= parts.MOST_BRACKETS


def count_of_slices(value: Any) -> tuple[int, int]:
    """How many slices of a result are written quickly, and how many are tried."""
    tried: list[bytes | None] = []

    def written(values: Any, write: Any = quick.written) -> Any:
        tried.append(write(values))
        return tried[-1]

    with mock.patch.object(quick, "written", written):
        writer = ResultWriter(lambda _kind, _payload: None)
        writer.write(value)
        writer.end()
    return sum(map(bool, tried)), len(tried)


def test_a_large_result_is_written_quickly_unless_there_is_too_often_something_else_in_it() -> None:
    plain = [{"json": {"n": n, "text": "x" * 100}} for n in range(5000)]
    strange = [{"json": {"n": n, "text": b"x" * 100}} for n in range(5000)]
    done, tried = count_of_slices(plain)
    assert done == tried > 10
    assert count_of_slices(strange) == (0, quick.MOST_MISSES)
    done, tried = count_of_slices([*strange[:1], *plain])
    assert done > 10


# Loading


def test_without_msgspec_all_is_left_to_json() -> None:
    before = quick.loaded[:]
    quick.loaded.clear()
    try:
        with mock.patch.dict(sys.modules, {"msgspec": None}):
            assert not quick.load()
        assert not quick.load()
        assert quick.read(memoryview(b"[]")) is None
        assert quick.written([1]) is None
        assert count_of_slices([{"a": "x" * 100}] * 5000)[0] == 0
    finally:
        quick.loaded[:] = before


def test_it_is_loaded_for_what_is_very_large_and_for_nothing_else() -> None:
    before = quick.loaded[:]
    try:
        for size, is_expected in ((quick.WORTH_LOADING // 2, False), (quick.WORTH_LOADING + 1, True)):
            quick.loaded.clear()
            assert (quick.read(memoryview(b'["%b"]' % (b"x" * size))) is not None) is is_expected
            assert bool(quick.loaded) is is_expected
            quick.loaded.clear()
            count_of_slices(["x" * 1000] * (3 * size // 2000))
            assert bool(quick.loaded) is is_expected
    finally:
        quick.loaded[:] = before
