"""Results in parts: the writer in the child, the assembly in the runner, and what either does at its borders."""

from __future__ import annotations

import collections
import contextlib
import json
import math
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.errors import TaskFailed
from runner.execution.sandbox import parts
from runner.execution.sandbox.assembly import Assembly, Context
from runner.execution.sandbox.child import quick, writing
from runner.execution.sandbox.child.encoding import to_json
from runner.execution.sandbox.child.failures import BadResult
from runner.execution.sandbox.child.given.records import Record
from runner.execution.sandbox.child.writing import ResultWriter
from tests.unit.test_conversion import ANYTHING, JSON, Node, deep

Part = tuple[int, bytes]

MEGABYTE = 1024**2
KINDS = sorted(parts.MEANINGS)
NO_LIMIT = 1024 * MEGABYTE


@pytest.fixture(params=["json", "msgspec"], scope="module", autouse=True)
def written_by(request: pytest.FixtureRequest) -> Iterator[None]:
    """All of it holds for both ways to write what is large."""
    before, quick.loaded[:] = quick.loaded[:], [None]
    if request.param == "msgspec":
        quick.loaded.clear()
        assert quick.load()
    yield
    quick.loaded[:] = before


def assembled(sent: list[Part], limit: int = NO_LIMIT) -> bytes:
    """What the runner makes of parts."""
    assembly = Assembly(limit)
    for kind, payload in sent:
        assembly.add(kind, payload)
    return bytes(assembly.result())


def written(write: Callable[[ResultWriter], object]) -> list[Part]:
    """The parts that a writer sends, each within the limits."""
    sent: list[Part] = []
    writer = ResultWriter(lambda kind, payload: sent.append((kind, payload)))
    write(writer)
    writer.end()
    assert all(len(payload) <= parts.PART_LIMIT for _, payload in sent)
    checked = (payload for kind, payload in sent if kind in {parts.VALUES, parts.MEMBERS})
    assert all(payload.count(b"[") + payload.count(b"{") <= parts.MOST_BRACKETS for payload in checked)
    return sent


def parts_of(value: Any) -> list[Part]:
    return written(lambda writer: writer.write(value))


def parts_of_items(values: list[Any]) -> list[Part]:
    def write(writer: ResultWriter) -> None:
        writer.open_list()
        for value in values:
            writer.item(value)
        writer.close_list()

    return written(write)


@contextlib.contextmanager
def small_parts(limit: int = 64, brackets: int = 6) -> Iterator[None]:
    """Let every value be a large one."""
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.multiple(parts, PART_LIMIT=limit, MOST_BRACKETS=brackets))
        if hasattr(writing, "PIECE_LENGTH"):
            patches.enter_context(mock.patch.multiple(writing, PIECE_LENGTH=limit // 6 - 1, ENOUGH=limit // 2))
        yield


def depth_of(document: bytes) -> int:
    """How deeply JSON is nested."""
    deepest = levels = 0
    in_text = escaped = False
    for byte in document.decode():
        if in_text:
            in_text = escaped or byte != '"'
            escaped = byte == "\\" and not escaped
        else:
            in_text = byte == '"'
            levels += (byte in "[{") - (byte in "]}")
            deepest = max(deepest, levels)
    return deepest


# What is written is what `to_json` has


@given(ANYTHING)
def test_a_small_value_is_one_part_and_the_end(value: Any) -> None:
    assert parts_of(value) == [(parts.VALUES, to_json(value)), (parts.END, b"")]


@settings(deadline=None)
@given(JSON | ANYTHING)
@example({"k" * 200: ["v" * 200]})
@example({1: "x" * 40, "1": "y" * 40})
@example({None: math.nan, "a": [math.inf] * 40})
@example("\ud83d" * 30 + '\U0001f600\\"\n\x00' * 20)
@example({"\ud83d" * 70: "\ude00" * 70})
@example("[" * 200)
@example([[], [], [], [], [], [], [], [], {"a": {}}])
@example(Node(Node("x" * 90), collections.deque([Node("y" * 90)] * 3)))
def test_a_large_value_is_the_same_in_parts(value: Any) -> None:
    expected = json.loads(to_json(value))
    with small_parts():
        sent = parts_of(value)
        assert json.loads(assembled(sent)) == expected


@settings(deadline=None)
@given(st.lists(ANYTHING, max_size=8))
def test_elements_that_come_one_by_one_are_the_same_list(values: list[Any]) -> None:
    expected = json.loads(to_json(values))
    assert json.loads(assembled(parts_of_items(values))) == expected
    with small_parts():
        assert json.loads(assembled(parts_of_items(values))) == expected


@pytest.mark.parametrize(
    "value",
    [
        ["x"] * 50_000,
        [{"json": {"id": number, "name": f"name {number}"}} for number in range(20_000)],
        {f"key {number}": number for number in range(50_000)},
        {number: [number] for number in range(20_000)},
        [["x" * 70_000, math.nan], {"a": {"b": "é" * 70_000}}],
        {"k" * 70_000: ["[" * 1000]},
        [[[]] * 600] * 3,
        [math.nan] * 30_000,
        '\\"\x00\U0001f600\ud83d' * 30_000,
        ("x" * 65_534,),
        "x" * 65_534,
        "x" * 65_535,
        collections.deque([{"a": ("x" * 100_000,)}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_values_with_the_limits_as_they_are(value: Any) -> None:
    assert json.loads(assembled(parts_of(value))) == json.loads(to_json(value))


def test_parts_of_a_large_list_are_well_filled() -> None:
    for sent in (parts_of(["x" * 100] * 50_000), parts_of_items(["x" * 100] * 50_000)):
        sizes = [len(payload) for kind, payload in sent if kind == parts.VALUES]
        assert sum(sizes) / len(sizes) > parts.PART_LIMIT / 3


def test_an_element_may_be_changed_once_it_has_been_written() -> None:
    row: dict[str, int] = {}

    def write(writer: ResultWriter) -> None:
        writer.open_list()
        for number in range(3):
            row["n"] = number
            writer.item(row)
        writer.close_list()

    assert assembled(written(write)) == b'[{"n":0},{"n":1},{"n":2}]'


@pytest.mark.parametrize("levels", [513, 700, 950, parts.MOST_LEVELS])
@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: (value,)])
def test_what_is_nested_deeply_can_be_written(levels: int, wrap: Callable[[Any], Any]) -> None:
    document = assembled(parts_of(deep(levels, wrap, 1)))
    assert depth_of(document) == levels


def test_brackets_side_by_side_below_many_levels_are_not_taken_for_more_of_them() -> None:
    value = deep(700, lambda inner: [inner], [[[]] * 450, "[" * 450])
    assert depth_of(assembled(parts_of(value))) == 703


@pytest.mark.parametrize("levels", [parts.MOST_LEVELS + 1, 5000, 200_000])
@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}])
def test_what_is_nested_too_deeply_is_refused(levels: int, wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(BadResult, match="nested too deeply"):
        parts_of(deep(levels, wrap, []))


def test_objects_that_are_nested_too_deeply_are_refused() -> None:
    with pytest.raises(BadResult, match="nested too deeply"):
        parts_of(deep(parts.MOST_LEVELS + 1, Node, []))


def test_a_circle_is_refused_however_large() -> None:
    small: list[Any] = []
    small.append({"again": small})
    large: dict[str, Any] = {"filler": "x" * 100_000}
    large["below"] = [["y" * 70_000, large]]
    for value in (small, large):
        with pytest.raises(BadResult, match="The result contains itself"):
            parts_of(value)


@pytest.mark.parametrize("raised", [LookupError, ValueError, TypeError, KeyboardInterrupt])
def test_whatever_the_methods_of_a_value_raise_comes_out(raised: type[BaseException]) -> None:
    class Failing:
        def __str__(self) -> str:
            raise raised("mine")

    for value in (Failing(), ["x" * 70_000, Failing()], {"a": "x" * 70_000, "b": [Failing()]}):
        with pytest.raises(raised, match="mine"):
            parts_of(value)


def test_what_is_nested_too_deeply_is_refused_before_any_of_it_is_written() -> None:
    """Each level would be encoded with all that is below it: a second, for what is seen to be too deep at once."""
    """Level after level would be encoded with all that is below it: a second for what is too deep at first sight."""
    sent: list[tuple[int, bytes]] = []
    writer = ResultWriter(lambda kind, payload: sent.append((kind, payload)))
    with pytest.raises(BadResult, match="nested too deeply"):
        writer.write({"json": deep(2_000, lambda inner: [inner], 1)})
    assert sent == []


def test_text_from_a_value_that_recurses_without_end_is_nested_too_deeply() -> None:
    class Endless:
        def __str__(self) -> str:
            return str(self)

    with pytest.raises(BadResult):
        to_json([Endless()])
    with pytest.raises(BadResult):
        parts_of([Endless()])


def test_a_number_too_long_for_a_part_is_refused_as_such() -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(BadResult, match="too many digits"):
            parts_of([10 ** (parts.PART_LIMIT + 1)])
    finally:
        sys.set_int_max_str_digits(limit)


# Taking back


class Failing:
    """Cannot be written."""

    def __str__(self) -> str:
        raise LookupError("mine")


BEGINNINGS = [
    [1, 2],
    ["x" * 100_000, Failing()],
    {"k" * 100_000: "x" * 200_000, "b": Failing()},
    [{"a": ["y" * 100_000, Failing()]}],
    "z" * 200_000,
]


@pytest.mark.parametrize("first", BEGINNINGS, ids=lambda value: type(value).__name__)
def test_what_has_been_written_can_be_taken_back(first: Any) -> None:
    def write(writer: ResultWriter) -> None:
        with contextlib.suppress(LookupError):
            writer.write(first)
        writer.restart()
        writer.write({"other": "x"})

    assert assembled(written(write)) == b'{"other":"x"}'


@pytest.mark.parametrize("count", [1, 5000])
@pytest.mark.parametrize("is_closed", [False, True])
def test_a_list_can_be_taken_back(count: int, is_closed: bool) -> None:
    def write(writer: ResultWriter) -> None:
        writer.open_list()
        for _ in range(count):
            writer.item({"filler": "x" * 100})
        if is_closed:
            writer.close_list()
        writer.restart()
        writer.open_list()
        writer.item(1)
        writer.close_list()

    assert assembled(written(write)) == b"[1]"


def test_nothing_is_sent_of_what_is_small_and_taken_back() -> None:
    def write(writer: ResultWriter) -> None:
        writer.write([1])
        writer.restart()
        writer.write([2])

    assert written(write) == [(parts.VALUES, b"[2]"), (parts.END, b"")]


def test_an_element_that_fails_leaves_nothing_behind() -> None:
    def write(writer: ResultWriter) -> None:
        writer.open_list()
        for first in BEGINNINGS[1:4]:
            writer.item("before")
            with pytest.raises(LookupError):
                writer.item(first)
            writer.item("instead")
        writer.close_list()

    assert json.loads(assembled(written(write))) == ["before", "instead"] * 3


# Memory


def among_small_ones(row: dict[str, Any]) -> list[Any]:
    """Items of which one is large: by then, many are written together."""
    small: list[Any] = [{"json": {"n": n, "text": "small"}} for n in range(1000)]
    return [*small, {"json": row}, *small]


@pytest.mark.parametrize(
    "make",
    [
        lambda: [{"json": {"n": 1, "text": "x" * 1000}}] * 60_000,
        lambda: [[{"json": {"n": 1, "text": "x" * 1000}}] * 60_000],
        lambda: {"a": {"b": ["x" * 1000] * 60_000}},
        lambda: "x" * (60 * MEGABYTE),
        lambda: [1, {"a": "x" * (60 * MEGABYTE)}],
        lambda: {"x" * (60 * MEGABYTE): 1},
        lambda: collections.deque(["x" * 1000] * 60_000),
        lambda: Node("a", [Node(["x" * 1000] * 60_000)]),
        lambda: among_small_ones({"text": "x" * (60 * MEGABYTE)}),
        lambda: among_small_ones({"x" * (60 * MEGABYTE): 1}),
        lambda: among_small_ones({"numbers": [123_456_789] * (6 * MEGABYTE)}),
        lambda: among_small_ones({"again": [["x" * 1000] * 250] * 240}),
        lambda: among_small_ones({"deque": collections.deque(["x" * 1000] * 60_000)}),
        lambda: among_small_ones({"dataclass": Node(["x" * 1000] * 60_000)}),
        lambda: among_small_ones({"record": Record(text="x" * (60 * MEGABYTE))}),
        lambda: among_small_ones({"tuple": (1, ("x" * (60 * MEGABYTE),))}),
    ],
    ids=[
        *("list", "list in a list", "list in objects", "text", "text in an object", "key", "deque", "dataclasses"),
        *("a text among others", "a key among others", "numbers among others", "the same again and again"),
        *("a deque among others", "a dataclass among others", "a record among others", "a tuple among others"),
    ],
)
def test_writing_takes_little_memory_however_large_the_result(make: Callable[[], Any]) -> None:
    value = make()
    total = 0

    def count(_: int, payload: bytes) -> None:
        nonlocal total
        total += len(payload)

    tracemalloc.start()
    try:
        writer = ResultWriter(count)
        writer.write(value)
        writer.end()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 50 * MEGABYTE
    assert peak < 4 * MEGABYTE


# The assembly: what belongs where

TO_REACH: dict[Context, list[Part]] = {
    Context.START: [],
    Context.IN_LIST: [(parts.LIST, b"")],
    Context.IN_OBJECT: [(parts.OBJECT, b"")],
    Context.AFTER_KEY: [(parts.OBJECT, b""), (parts.KEY, b'"a"')],
    Context.IN_TEXT: [(parts.TEXT, b"")],
    Context.COMPLETE: [(parts.VALUES, b"1")],
    Context.ENDED: [(parts.VALUES, b"1"), (parts.END, b"")],
}
PAYLOADS = {parts.VALUES: b"2", parts.KEY: b'"k"', parts.MEMBERS: b'"m":3', parts.PIECE: b"p"}
TO_FINISH: dict[tuple[Context, int], tuple[list[Part], bytes]] = {
    (Context.START, parts.VALUES): ([], b"2"),
    (Context.START, parts.LIST): ([(parts.CLOSE, b"")], b"[]"),
    (Context.START, parts.OBJECT): ([(parts.CLOSE, b"")], b"{}"),
    (Context.START, parts.TEXT): ([(parts.CLOSE, b"")], b'""'),
    (Context.IN_LIST, parts.VALUES): ([(parts.CLOSE, b"")], b"[2]"),
    (Context.IN_LIST, parts.LIST): ([(parts.CLOSE, b"")] * 2, b"[[]]"),
    (Context.IN_LIST, parts.OBJECT): ([(parts.CLOSE, b"")] * 2, b"[{}]"),
    (Context.IN_LIST, parts.TEXT): ([(parts.CLOSE, b"")] * 2, b'[""]'),
    (Context.IN_LIST, parts.CLOSE): ([], b"[]"),
    (Context.IN_LIST, parts.DROP): ([(parts.VALUES, b"0")], b"0"),
    (Context.IN_OBJECT, parts.KEY): ([(parts.VALUES, b"4"), (parts.CLOSE, b"")], b'{"k":4}'),
    (Context.IN_OBJECT, parts.MEMBERS): ([(parts.CLOSE, b"")], b'{"m":3}'),
    (Context.IN_OBJECT, parts.TEXT): (
        [(parts.CLOSE, b""), (parts.VALUES, b"4"), (parts.CLOSE, b"")],
        b'{"":4}',
    ),
    (Context.IN_OBJECT, parts.CLOSE): ([], b"{}"),
    (Context.IN_OBJECT, parts.DROP): ([(parts.VALUES, b"0")], b"0"),
    (Context.AFTER_KEY, parts.VALUES): ([(parts.CLOSE, b"")], b'{"a":2}'),
    (Context.AFTER_KEY, parts.LIST): ([(parts.CLOSE, b"")] * 2, b'{"a":[]}'),
    (Context.AFTER_KEY, parts.OBJECT): ([(parts.CLOSE, b"")] * 2, b'{"a":{}}'),
    (Context.AFTER_KEY, parts.TEXT): ([(parts.CLOSE, b"")] * 2, b'{"a":""}'),
    (Context.AFTER_KEY, parts.DROP): ([(parts.VALUES, b"0")], b"0"),
    (Context.IN_TEXT, parts.PIECE): ([(parts.CLOSE, b"")], b'"p"'),
    (Context.IN_TEXT, parts.CLOSE): ([], b'""'),
    (Context.IN_TEXT, parts.DROP): ([(parts.VALUES, b"0")], b"0"),
    (Context.COMPLETE, parts.END): ([], b"1"),
}
"""For each part that belongs somewhere: what completes the result after it, and what that is then."""

END = [(parts.END, b"")]


def test_the_tables_here_are_those_of_the_assembly() -> None:
    assert set(TO_FINISH) == set(Assembly.RULES)
    assert set(TO_REACH) == set(Context)


@pytest.mark.parametrize(("context", "kind"), TO_FINISH, ids=str)
def test_a_part_that_belongs_somewhere_is_taken(context: Context, kind: int) -> None:
    finish, expected = TO_FINISH[context, kind]
    end = [] if kind == parts.END else END
    assert assembled([*TO_REACH[context], (kind, PAYLOADS.get(kind, b"")), *finish, *end]) == expected


@pytest.mark.parametrize("context", Context)
@pytest.mark.parametrize("kind", [0, 1, 15, *KINDS, 26, 255])
def test_a_part_that_does_not_is_refused_and_changes_nothing(context: Context, kind: int) -> None:
    if (context, kind) in TO_FINISH:
        return
    assembly = Assembly(100)
    for part in TO_REACH[context]:
        assembly.add(*part)
    with pytest.raises(TaskFailed, match=f"part {kind} does not belong {context.value}"):
        assembly.add(kind, PAYLOADS.get(kind, b""))
    rest = {Context.START: [(parts.VALUES, b"1")], Context.AFTER_KEY: [(parts.VALUES, b"1"), (parts.CLOSE, b"")]}
    rest |= {Context.COMPLETE: [], Context.ENDED: []}
    for part in rest.get(context, [(parts.CLOSE, b"")]) + (END if context is not Context.ENDED else []):
        assembly.add(*part)
    assert json.loads(bytes(assembly.result())) in (1, [], {}, "", {"a": 1})


@pytest.mark.parametrize("context", set(Context) - {Context.ENDED})
def test_there_is_no_result_before_the_end(context: Context) -> None:
    assembly = Assembly(100)
    for part in TO_REACH[context]:
        assembly.add(*part)
    with pytest.raises(TaskFailed, match="its end is missing"):
        assembly.result()


@pytest.mark.parametrize(("context", "kind"), [row for row in TO_FINISH if row[1] not in PAYLOADS], ids=str)
def test_a_part_that_only_opens_or_closes_has_no_payload(context: Context, kind: int) -> None:
    with pytest.raises(TaskFailed, match=f"part {kind} has a payload"):
        assembled([*TO_REACH[context], (kind, b"1")])


@pytest.mark.parametrize(
    ("context", "kind", "payload"),
    [
        (Context.START, parts.VALUES, b""),
        (Context.START, parts.VALUES, b" "),
        (Context.START, parts.VALUES, b"1,2"),
        (Context.START, parts.VALUES, b"1 2"),
        (Context.START, parts.VALUES, b"[1"),
        (Context.START, parts.VALUES, b"NaN"),
        (Context.START, parts.VALUES, b"01"),
        (Context.START, parts.VALUES, b"\xef\xbb\xbf1"),
        (Context.START, parts.VALUES, b"\0"),
        (Context.START, parts.VALUES, b'"\xed\xa0\x80"'),
        (Context.START, parts.VALUES, b'"\n"'),
        (Context.AFTER_KEY, parts.VALUES, b"1,2"),
        (Context.AFTER_KEY, parts.VALUES, b'1,"b":2'),
        (Context.AFTER_KEY, parts.VALUES, b"1}"),
        (Context.IN_LIST, parts.VALUES, b""),
        (Context.IN_LIST, parts.VALUES, b" \n"),
        (Context.IN_LIST, parts.VALUES, b"1],[2"),
        (Context.IN_LIST, parts.VALUES, b"]"),
        (Context.IN_LIST, parts.VALUES, b"],["),
        (Context.IN_LIST, parts.VALUES, b"1,"),
        (Context.IN_LIST, parts.VALUES, b",1"),
        (Context.IN_LIST, parts.VALUES, b'"a":1'),
        (Context.IN_LIST, parts.VALUES, b'"a'),
        (Context.IN_OBJECT, parts.MEMBERS, b""),
        (Context.IN_OBJECT, parts.MEMBERS, b'"a":1},{"b":2'),
        (Context.IN_OBJECT, parts.MEMBERS, b'"a":1}'),
        (Context.IN_OBJECT, parts.MEMBERS, b'"a":1,'),
        (Context.IN_OBJECT, parts.MEMBERS, b'"a"'),
        (Context.IN_OBJECT, parts.MEMBERS, b"1:2"),
        (Context.IN_OBJECT, parts.KEY, b""),
        (Context.IN_OBJECT, parts.KEY, b"1"),
        (Context.IN_OBJECT, parts.KEY, b' "a"'),
        (Context.IN_OBJECT, parts.KEY, b'"a":1,"b"'),
        (Context.IN_OBJECT, parts.KEY, b'"a","b"'),
        (Context.IN_TEXT, parts.PIECE, b'"'),
        (Context.IN_TEXT, parts.PIECE, b'","'),
        (Context.IN_TEXT, parts.PIECE, b'a","b'),
        (Context.IN_TEXT, parts.PIECE, b"\\"),
        (Context.IN_TEXT, parts.PIECE, b"\\u00"),
        (Context.IN_TEXT, parts.PIECE, b"\\ud83"),
        (Context.IN_TEXT, parts.PIECE, b"\\x"),
        (Context.IN_TEXT, parts.PIECE, b"\n"),
        (Context.IN_TEXT, parts.PIECE, "é".encode()[:1]),
        (Context.IN_TEXT, parts.PIECE, "é".encode()[1:]),
        (Context.IN_TEXT, parts.PIECE, "\U0001f600".encode()[:3]),
        (Context.IN_TEXT, parts.PIECE, b"\xed\xa0\x80"),
    ],
    ids=repr,
)
def test_a_payload_that_is_not_what_its_kind_says_is_refused(context: Context, kind: int, payload: bytes) -> None:
    with pytest.raises(TaskFailed, match="sent a result that cannot be sent on"):
        assembled([*TO_REACH[context], (kind, payload)])


@pytest.mark.parametrize("payload", [b"\\ud83d", b"\\uD83D", b"\\ude00\\ud83d", b"\\\\ud83d", b"", "é".encode()])
def test_these_pieces_are_taken_as_they_are(payload: bytes) -> None:
    assert assembled([(parts.TEXT, b""), (parts.PIECE, payload), (parts.CLOSE, b""), *END]) == b'"%b"' % payload


def test_what_is_dropped_takes_its_comma_with_it() -> None:
    sent = [(parts.LIST, b""), (parts.VALUES, b"1"), (parts.LIST, b""), (parts.VALUES, b"2"), (parts.DROP, b"")]
    assert assembled([*sent, (parts.VALUES, b"3"), (parts.CLOSE, b""), *END]) == b"[1,3]"
    assert assembled([*sent, (parts.CLOSE, b""), *END]) == b"[1]"


# The assembly: borders


def test_a_part_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = b'"%b"' % (b"x" * (parts.PART_LIMIT - 2))
    assert assembled([(parts.VALUES, longest), *END]) == longest
    with pytest.raises(TaskFailed, match=f"has {parts.PART_LIMIT + 1} bytes"):
        assembled([(parts.VALUES, longest + b" ")])


def test_a_part_may_have_so_many_brackets_and_no_more() -> None:
    most = b",".join([b"[]"] * (parts.MOST_BRACKETS - 1) + [b"{}"])
    nested = b"[" * parts.MOST_BRACKETS + b"]" * parts.MOST_BRACKETS
    for payload in (most, nested):
        assembled([(parts.LIST, b""), (parts.VALUES, payload), (parts.CLOSE, b""), *END])
        for one_more in (b"[]", b"{}", b'"["', b'"{"'):
            with pytest.raises(TaskFailed, match=f"has {parts.MOST_BRACKETS + 1} brackets"):
                assembled([(parts.LIST, b""), (parts.VALUES, payload + b"," + one_more)])


@pytest.mark.parametrize(("kind", "closing"), [(parts.LIST, b"]"), (parts.OBJECT, b"}")])
def test_a_result_may_have_so_many_levels_and_no_more(kind: int, closing: bytes) -> None:
    step = [(kind, b"")] if kind == parts.LIST else [(parts.KEY, b'"a"'), (kind, b"")]
    down = [(kind, b""), *step * (parts.MOST_LEVELS - 1)]
    document = assembled([*down, *[(parts.CLOSE, b"")] * parts.MOST_LEVELS, *END])
    assert depth_of(document) == parts.MOST_LEVELS
    assert document.endswith(closing)
    for more in (step, [(parts.VALUES, b"[]")] if kind == parts.LIST else [(parts.MEMBERS, b'"a":{}')]):
        with pytest.raises(TaskFailed, match="nested too deeply"):
            assembled([*down, *more])


def test_levels_that_are_closed_or_dropped_do_not_count() -> None:
    for up in (parts.CLOSE, parts.DROP):
        sent = [(parts.LIST, b"")]
        for _ in range(3):
            sent += [(parts.LIST, b"")] * (parts.MOST_LEVELS - 1) + [(up, b"")] * (parts.MOST_LEVELS - 1)
        assert depth_of(assembled([*sent, (parts.CLOSE, b""), *END])) <= parts.MOST_LEVELS


@given(JSON)
def test_a_result_may_be_as_large_as_the_limit_and_no_larger(value: Any) -> None:
    with small_parts():
        sent = parts_of(value)
        document = assembled(sent)
        assert assembled(sent, len(document)) == document
        with pytest.raises(TaskFailed, match="The result is too large"):
            assembled(sent, len(document) - 1)


# The assembly: whatever comes

SNIPPETS = [b"", b" ", b"1", b"1,2", b"[", b"]", b"{", b"}", b'"', b'"a"', b'"a":1', b"],[", b"},{", b'","', b"\\"]
SNIPPETS += [b"\\u00", b"\\ud83d", b"\xc3", b"\xa9", "é".encode(), b"[[]]", b'{"a":[{}]}', b"null", b"NaN", b"\n", b":"]
PAYLOAD = (
    st.sampled_from(SNIPPETS) | st.lists(st.sampled_from(SNIPPETS), max_size=4).map(b"".join) | st.binary(max_size=5)
)
OPENERS = [parts.LIST, parts.OBJECT, parts.TEXT, parts.CLOSE, parts.DROP]
ANY_PART = (
    st.tuples(st.sampled_from(OPENERS), st.just(b""))
    | st.tuples(st.sampled_from(sorted(PAYLOADS)), PAYLOAD)
    | st.tuples(st.sampled_from([*KINDS, 0, 99]), PAYLOAD)
)


@settings(max_examples=400, deadline=None)
@given(st.lists(ANY_PART, max_size=30), st.integers(4, 60))
def test_whatever_comes_the_result_is_one_json_value(sent: list[Part], limit: int) -> None:
    with mock.patch.multiple(parts, MOST_LEVELS=5, MOST_BRACKETS=4, PART_LIMIT=20):
        assembly = Assembly(limit)
        for kind, payload in sent:  # a process that does not stop when it is refused
            with contextlib.suppress(TaskFailed):
                assembly.add(kind, payload)
        for finish in [(parts.VALUES, b"1"), *[(parts.CLOSE, b""), (parts.VALUES, b"1")] * 8, *END]:
            with contextlib.suppress(TaskFailed):
                assembly.add(*finish)
        try:
            document = bytes(assembly.result())
        except TaskFailed:
            return  # the limit left no room for a bracket
    json.loads(document.decode("utf-8"), parse_constant=pytest.fail)
    assert len(document) <= limit
    assert depth_of(document) <= 5


@given(st.text("[{x", max_size=40), st.integers(0, 60))
def test_brackets_are_counted_exactly_as_long_as_there_may_be_as_many(text: str, most: int) -> None:
    document = text.encode()
    count = document.count(b"[") + document.count(b"{")
    with mock.patch.object(parts, "MOST_BRACKETS", most):
        found = parts.brackets_in(document)
    assert found == count if count <= most else found > most
