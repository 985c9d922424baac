"""What code needs, as its text shows; data that is read in two ways; bytes on their way to n8n."""

from __future__ import annotations

import ast
import builtins
import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.execution.sandbox import parts
from runner.execution.sandbox.assembly import Assembly
from runner.execution.sandbox.child.given.buffers import Params, loaded
from runner.execution.sandbox.child.given.needs import Needs, needs_of
from runner.execution.sandbox.child.given.provider import Provider
from runner.execution.sandbox.child.given.records import Record, recorded
from runner.execution.sandbox.child.given.table import ITEMS, NAMES
from runner.execution.sandbox.child.user_code import UserCode, compiled, from_bytes, to_bytes
from runner.execution.sandbox.language.policy import Policy

FULL = Policy.of(language="full")


def found(code: str) -> Needs:
    """What a code needs."""
    return needs_of(ast.parse(code)) or Needs()


# What code needs


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("return _input.all()", "_input"),
        ("x = _json", "_json"),
        ("_json = _json['a']", "_json"),
        ("_json += 1", "_json"),
        ("del _json", "_json"),
        ("def f():\n    return _now", "_now"),
        ("f = lambda x=_now: x", "_now"),
        ("def f(_json=_json): return _json", "_json"),
        ("async def f(_json): return _now", "_now"),
        ("x = [_ for _ in _('A').all()]", "_"),
        ("x = [_json for item in _items]", "_json"),
        ("for _ in _('A').all(): pass", "_"),
        ("if x:\n    _ = 1\nprint(_)", "_"),
        ("f'{_workflow}'", "_workflow"),
        ("class A(_input): pass", "_input"),
        ("_env; _vars; _items; _item; _query; nothing", "_env _vars"),
        # What the code has bound itself
        ("for _ in range(3): print(_)", ""),
        ("for _, x in pairs:\n    f(_)\nelse:\n    f(_)", ""),
        ("_ = gettext\nprint(_('text'))", ""),
        ("_now: int = 1\nprint(_now)", ""),
        ("import x as _node\n_node.f()", ""),
        ("from x import _json\n_json()", ""),
        ("import _json.x\n_json()", ""),
        ("def _now(): pass\n_now()", ""),
        ("async def _now(): pass\n_now()", ""),
        ("class _input: pass\n_input()", ""),
        ("(a, [_json, *_vars]) = x\nprint(_json, _vars)", ""),
        ("def f(_json, *_vars, **_env): return _json, _vars, _env", ""),
        ("f = lambda _json: _json", ""),
        ("x = [_json for _json in _items], {_json for _json in a}, {_json: 1 for _json in a}", ""),
        ("x = [_json for _json in a for b in _json]", ""),
        ("item._json, item['_json'], '_json'", ""),
        ("f(_json=1)", ""),
        ("x = 1", ""),
        ("", ""),
    ],
)
def test_the_names_that_code_needs_are_those_it_reads_before_it_has_bound_them(code: str, names: str) -> None:
    assert found(code).names == tuple(sorted(names.split()))


@pytest.mark.parametrize(
    ("code", "nodes"),
    [
        ("_('A').all()", ("A",)),
        ("_('B').first(0, 1).json.x; _('A').last()", ("A", "B")),
        ("_('A').params; _('B').isExecuted; _('C').context", ("A", "B", "C")),
        ("def f(): return _('A').all()", ("A",)),
        ("x = _('A').all\nx()", ("A",)),
        ("_input.all()", ()),
        ("_getWorkflowStaticData('global')", ()),
        ("_('A').item", None),
        ("_('A').itemMatching(1)", None),
        ("_('A').pairedItem()", None),
        ("x = _('A')", None),
        ("_(name).all()", None),
        ("_(f'{name}').all()", None),
        ("_(nodeName='A').all()", None),
        ("_(5).all()", None),
        ("_('A').all(); _(name).all()", None),
        ("f = _\nf('A').all()", None),
        ("list(map(_, ['A']))", None),
        ("_node['A'].json", None),
    ],
)
def test_the_nodes_that_code_needs_are_all_if_its_text_does_not_show_which(
    code: str, nodes: tuple[str, ...] | None
) -> None:
    assert found(code).nodes == nodes


@pytest.mark.parametrize(
    ("code", "records"),
    [
        ("return [{'json': item['json']} for item in _items]", False),
        ("import math, json as j\nreturn j.dumps(math.pi)", False),
        ("import a.b\na.b.c.d()", False),
        ("x = {}\nx.update(y)\nx.get('a'); 'a'.upper(); [].append(1)", False),
        ("frame.to_dict(orient='records')", False),
        ("item.json.get('a')", True),
        ("_items[0].json", True),
        ("item.name", True),
        ("_items[0]['json'].name", True),
        ("_json", True),
        ("item.name = 1", True),
    ],
)
def test_data_is_made_readable_as_attributes_where_code_may_read_it_so(code: str, records: bool) -> None:
    assert found(code).records is records


def test_code_waits_only_where_there_is_something_of_n8ns_to_wait_for() -> None:
    assert found("await _helpers.httpRequest()").waits
    assert found("async def f(): await x\n_json").waits
    assert not found("await f()").waits
    assert not found("_json").waits


names = st.sampled_from([*sorted(NAMES), "a", "b"])
statements = st.one_of(
    st.builds("{} = {}".format, names, names),
    st.builds("print({})".format, names),
    st.builds("for {} in ({},): {}".format, names, names, names),
    st.builds("x = [{} for {} in ({},)]".format, names, names, names),
    st.builds("x = (lambda {}={}: {})({})".format, names, names, names, names),
    st.builds("def {}({}={}): return {}".format, names, names, names, names),
    st.builds("import math as {}".format, names),
    st.builds("if a: {} = {}".format, names, names),
    st.builds("{}: int = {}".format, names, names),
)


@given(st.lists(statements, max_size=6))
def test_whatever_code_reads_it_is_given_or_has_bound(lines: list[str]) -> None:
    """No name of the table is missing when the code runs, and none is given that the text does not have."""
    code = "\n".join(lines)
    ready = compiled(code, ("_items", "_item"), FULL)
    needed = (ready[3] or Needs()).names
    assert set(needed) <= {name for name in NAMES if name in code} - ITEMS
    given_names = {name: name for name in (*needed, "_items", "_item")}
    scope = {**vars(builtins), "a": 1, "b": 2, "print": lambda *_: None}
    missing: set[str | None] = set()
    try:
        UserCode(ready, scope).run(given_names)
    except UnboundLocalError:
        pass  # of the code's own names
    except NameError as error:
        missing.add(error.name)
    except TypeError:
        pass  # what was bound is something else now
    assert missing & NAMES.keys() == set()


def test_what_was_found_is_kept_with_the_code() -> None:
    ready = compiled("x = _('A').all()\nreturn await _helpers.f(x.y)", ("_items",), FULL)
    assert from_bytes(to_bytes(ready))[3] == ready[3] == Needs(("_", "_helpers"), ("A",), True, True)
    plain = compiled("return _items", ("_items",), FULL)
    assert from_bytes(to_bytes(plain)) == plain


def test_every_name_of_the_table_is_made_and_has_an_example_for_each_use() -> None:
    made = {*Provider.OF_ITEM, *Provider.OF_TASK}
    assert made == NAMES.keys() - ITEMS
    for name, row in NAMES.items():
        assert row.uses
        for use in row.uses:
            assert name in use.python
            assert name in use.example
            compiled(use.example, ("_items", "_item"), FULL)


# Data that is read in two ways

keys = st.text(max_size=5) | st.sampled_from(["json", "keys", "items", "_id", "__x__", "class"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=20,
)


def check_records(plain: Any, records: Any) -> None:
    """Everything in it is a record, in either way."""
    if isinstance(plain, dict):
        assert type(records) is Record
        for key, value in plain.items():
            check_records(value, records[key])
            if key not in dir(dict) and key[:2] != "__":
                assert getattr(records, key) is records[key]
    elif isinstance(plain, list):
        assert type(records) is list
        for one, other in zip(plain, records, strict=True):
            check_records(one, other)


@given(st.lists(values))
def test_records_are_the_dicts_that_they_are_made_of(plain: list[Any]) -> None:
    document = json.dumps(plain)
    records = recorded(json.loads(document))
    check_records(plain, records)
    check_records(plain, json.loads(document, object_hook=Record))
    assert records == plain
    assert json.dumps(records) == document
    for copied in (copy.deepcopy(records), pickle.loads(pickle.dumps(records))):
        check_records(plain, copied)


@given(st.dictionaries(keys, st.integers(), max_size=3), keys, st.integers())
def test_setting_and_deleting_attributes_is_setting_and_deleting_keys(
    plain: dict[str, int], key: str, value: int
) -> None:
    record = Record(plain)
    if key in dir(dict) or key[:2] == "__":
        with pytest.raises(AttributeError, match="brackets"):
            setattr(record, key, value)
    else:
        setattr(record, key, value)
        assert record == {**plain, key: value}
        delattr(record, key)
        assert record == {name: number for name, number in plain.items() if name != key}
        with pytest.raises(AttributeError, match="to delete"):
            delattr(record, key)
        with pytest.raises(AttributeError, match="there is no"):
            getattr(record, key)


def test_a_record_is_copied_as_one() -> None:
    record = Record(a=[1])
    for copied in (record.copy(), copy.copy(record)):
        assert type(copied) is Record
        assert copied == record
        assert copied is not record
        assert copied.a is record.a


def test_what_is_nested_deeply_is_no_matter() -> None:
    deep: Any = {"a": 1}
    for _ in range(50_000):
        deep = {"a": [deep]}
    assert type(recorded([deep])[0].a[0]) is Record


# Bytes


def sent(arguments: list[Any]) -> Any:
    """Arguments as n8n gets them."""
    assembly = Assembly(10**9)

    def take(kind: int, payload: bytes) -> None:
        assert len(payload) <= parts.PART_LIMIT
        assembly.add(kind, payload)

    writer = Params(take)
    writer.write(arguments)
    writer.end()
    return json.loads(bytes(assembly.result()))


@given(st.lists(st.binary(max_size=50) | st.binary(max_size=50).map(bytearray) | values, max_size=4))
def test_bytes_among_arguments_are_buffers(arguments: list[Any]) -> None:
    expected = [
        {"type": "Buffer", "data": list(each)} if isinstance(each, bytes | bytearray) else each for each in arguments
    ]
    assert sent(arguments) == expected


@pytest.mark.parametrize("size", [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000, 1_000_000])
@pytest.mark.parametrize("spaced", [False, True])
def test_large_buffers_come_back_as_they_went(size: int, spaced: bool) -> None:
    content = bytes(number % 256 for number in range(size))
    [buffer] = sent([memoryview(content)])
    document = json.dumps(buffer, separators=None if spaced else (",", ":")).encode()
    assert loaded(document) == loaded(bytearray(document)) == content


@given(values)
def test_any_other_answer_is_its_data(value: Any) -> None:
    assert loaded(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (b'{"body":{"type":"Buffer","data":[1,2]},"statusCode":200}', {"body": b"\1\2", "statusCode": 200}),
        (b'{"data":[1,2],"type":"Buffer"}', b"\1\2"),
        (b'{"type":"Buffer","data":[1],"more":1}', {"type": "Buffer", "data": [1], "more": 1}),
        (b'{"body":{"type":"Buffer"}}', {"body": {"type": "Buffer"}}),
        (b'"\\ud83d"', "\ud83d"),
    ],
)
def test_bytes_in_the_body_of_an_answer_are_bytes(document: bytes, value: Any) -> None:
    assert loaded(document) == value


def test_what_only_looks_like_a_buffer_is_an_error() -> None:
    for data in (b"300", b'"a"', b"1.5", b"[1]"):
        with pytest.raises((ValueError, TypeError)):
            loaded(b'{"type":"Buffer","data":[%b]}' % data)
