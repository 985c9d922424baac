"""Between frames and messages: what goes round, what is refused, and that a refusal tells nothing of the payload."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, get_type_hints

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from runner.protocol.codec import (
    ENVELOPE_SIZE,
    LARGE,
    STRING_CEILING,
    MalformedMessage,
    UnknownMessage,
    check_json,
    check_utf8,
    decode_as,
    decode_broker_message,
    decode_fields,
    decode_object,
    decode_runner_message,
    encode,
    payload_limit,
)
from runner.protocol.messages import (
    FROM_BROKER,
    FROM_RUNNER,
    NULL,
    DoneData,
    Drain,
    Info,
    RpcResponse,
    TaskCancel,
    TaskDataResponse,
    TaskDone,
    TaskError,
    TaskOffer,
    TaskSettings,
)

relaxed = settings(deadline=None)
MARKER = "sEcReT-mArKeR"
MIB = 1024 * 1024

DOCUMENTED: dict[str, dict[str, set[str]]] = {
    "broker": {
        "broker:inforequest": set(),
        "broker:runnerregistered": set(),
        "broker:taskofferaccept": {"taskId", "offerId"},
        "broker:tasksettings": {"taskId", "settings"},
        "broker:taskcancel": {"taskId", "reason"},
        "broker:rpcresponse": {"callId", "taskId", "status", "data"},
        "broker:taskdataresponse": {"taskId", "requestId", "data"},
        "broker:nodetypes": {"taskId", "requestId", "nodeTypes"},
        "broker:drain": set(),
    },
    "runner": {
        "runner:info": {"name", "types"},
        "runner:taskoffer": {"offerId", "taskType", "validFor"},
        "runner:taskaccepted": {"taskId"},
        "runner:taskrejected": {"taskId", "reason"},
        "runner:taskdeferred": {"taskId"},
        "runner:taskdone": {"taskId", "data"},
        "runner:taskerror": {"taskId", "error"},
        "runner:rpc": {"callId", "taskId", "name", "params"},
        "runner:taskdatarequest": {"taskId", "requestId", "requestParams"},
        "runner:nodetypesrequest": {"taskId", "requestId", "requestParams"},
    },
}
"""The messages and their fields: sections 2.2 and 2.3 of the study of the protocol."""

TABLES: dict[str, dict[str, type]] = {"broker": {**FROM_BROKER}, "runner": {**FROM_RUNNER}}
DECODERS: dict[str, Callable[[bytes], object]] = {"broker": decode_broker_message, "runner": decode_runner_message}
KINDS = [(side, kind) for side, table in DOCUMENTED.items() for kind in table]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
documents = st.builds(
    lambda value, indent, ascii_only: json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(),
    json_values,
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
raws = documents.map(Raw)
FIELD_STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(),
    list[str]: st.lists(texts),
    dict[str, Any]: st.dictionaries(texts, json_values, max_size=4),
    Raw: raws,
    DoneData: st.builds(DoneData, raws),
}


def instances(cls: type) -> st.SearchStrategy[Any]:
    """Messages of a class, with every field filled."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: FIELD_STRATEGIES[hints[field.name]] for field in attrs.fields(cls)})


messages = st.one_of([instances(cls) for table in TABLES.values() for cls in table.values()])


def side_of(message: Any) -> str:
    """Who says a message of this kind."""
    return next(side for side, table in TABLES.items() if type(message) in table.values())


def decode(message: Any, frame: bytes) -> Any:
    """A frame as the side reads it that messages of this kind are for."""
    return DECODERS[side_of(message)](frame)


def plain(value: Any) -> Any:
    """Something comparable: raw JSON, which compares by identity, as its bytes."""
    if isinstance(value, Raw):
        return bytes(value)
    if attrs.has(type(value)):
        return type(value), [plain(getattr(value, field.name)) for field in attrs.fields(type(value))]
    return value


def strict_loads(document: bytes | Raw) -> Any:
    """JSON as the standard reads it: the standard library, without its extensions."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(bytes(document).decode("utf-8"), parse_constant=refuse)


def reason(frame: bytes, decoder: Callable[[bytes], object] = decode_broker_message) -> str:
    """Why a frame is refused."""
    with pytest.raises(MalformedMessage) as caught:
        decoder(frame)
    return str(caught.value)


def check_refused(document: bytes, limit: int = MIB) -> str:
    """Why a document of unknown origin is refused."""
    with pytest.raises(MalformedMessage) as caught:
        check_json(document, limit)
    return str(caught.value)


# The tables


def test_the_messages_are_exactly_the_documented_ones() -> None:
    assert {side: set(table) for side, table in TABLES.items()} == {
        side: set(table) for side, table in DOCUMENTED.items()
    }


@pytest.mark.parametrize(("side", "kind"), KINDS)
@relaxed
@given(data=st.data())
def test_fields_are_written_in_camel_case_beside_the_type(side: str, kind: str, data: st.DataObject) -> None:
    message = data.draw(instances(TABLES[side][kind]))
    written = strict_loads(encode(message))
    assert written.pop("type") == kind
    assert set(written) == DOCUMENTED[side][kind]


def test_every_kind_of_field_has_a_strategy_here() -> None:
    used = {
        get_type_hints(cls)[field.name]
        for table in TABLES.values()
        for cls in table.values()
        for field in attrs.fields(cls)
    }
    assert {str(hint) for hint in used} == {str(hint) for hint in FIELD_STRATEGIES}


# Round trips


@pytest.mark.parametrize(("side", "kind"), KINDS)
@relaxed
@given(data=st.data())
def test_every_message_comes_back_as_it_was_written(side: str, kind: str, data: st.DataObject) -> None:
    message = data.draw(instances(TABLES[side][kind]))
    again = DECODERS[side](encode(message))
    assert plain(again) == plain(message)


@relaxed
@given(messages, st.dictionaries(texts.map("x-{}".format), json_values, min_size=1, max_size=3))
def test_fields_that_are_not_known_are_ignored(message: Any, more: dict[str, Any]) -> None:
    frame = encode(message)
    longer = b"{" + json.dumps(more).encode()[1:-1] + b"," + frame[1:]
    assert plain(decode(message, longer)) == plain(message)


@relaxed
@given(messages)
def test_what_is_read_at_once_is_what_is_read_field_by_field(message: Any) -> None:
    frame = encode(message)
    fields = decode_object(frame)
    assert bytes(fields["type"]).decode() in {f'"{kind}"' for kind in TABLES[side_of(message)]}
    slowly = decode_fields(fields, type(message))
    assert plain(decode_as(type(message), frame)) == plain(decode(message, frame)) == plain(slowly) == plain(message)


@relaxed
@given(messages)
def test_messages_of_one_side_are_unknown_to_those_who_hear_the_other(message: Any) -> None:
    other = DECODERS["runner" if side_of(message) == "broker" else "broker"]
    with pytest.raises(UnknownMessage):
        other(encode(message))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_frame_may_be_any_kind_of_bytes(kind: Callable[[bytes], bytes]) -> None:
    assert decode_broker_message(kind(b'{"type":"broker:drain"}')) == Drain()
    surrogate = kind(b'{"type":"broker:taskcancel","taskId":"a","reason":"\\ud83d"}')
    assert decode_broker_message(surrogate) == TaskCancel("a", "?")


def test_the_order_of_fields_and_white_space_do_not_matter() -> None:
    frame = b' {\n"reason" : "r",\t"taskId":"a","type":"broker:taskcancel"}\r\n'
    assert decode_broker_message(frame) == TaskCancel("a", "r")


def test_the_last_of_duplicate_fields_counts() -> None:
    frame = b'{"type":"broker:drain","type":"broker:taskcancel","taskId":"a","taskId":"b","reason":"r"}'
    assert decode_broker_message(frame) == TaskCancel("b", "r")


def test_a_field_that_may_be_missing_is_null() -> None:
    message = decode_broker_message(b'{"type":"broker:rpcresponse","callId":"c","taskId":"t","status":"success"}')
    assert message == RpcResponse("c", "t", "success", NULL)


def test_what_a_task_leaves_behind_is_written_if_there_is_any() -> None:
    data = DoneData(Raw(b"[]"), custom_data=Raw(b'{"a":"1"}'), static_data=Raw(b'{"global":{}}'))
    assert encode(TaskDone("t", data)) == (
        b'{"type":"runner:taskdone","taskId":"t","data":'
        b'{"result":[],"customData":{"a":"1"},"staticData":{"global":{}}}}'
    )
    assert encode(TaskDone("t", DoneData(Raw(b"[]"), static_data=NULL))) == (
        b'{"type":"runner:taskdone","taskId":"t","data":{"result":[]}}'
    )


def test_whole_numbers_are_written_whole() -> None:
    assert b'"validFor":5000}' in encode(TaskOffer("o", "python", 5000))


# Raw fields


@pytest.mark.parametrize(
    "document",
    [
        b'{ "a" :\t[1.0,  1e2, -0.0, 10000000000000000000000000000001],\n"b":"\\u00e9\xc3\xa9\\/" , "a":null}',
        b"1e400",
        b'"' + b"x" * (2 * MIB) + b'"',
        b"[" + b"[],\n" * 100_000 + b"0]",
        b'"\\u0000\\ud83d\\ude00"',
        b'"\xff"',
    ],
    ids=["spaced", "number", "long", "wide", "escapes", "not UTF-8"],
)
def test_a_raw_field_is_passed_on_byte_for_byte(document: bytes) -> None:
    message = decode_broker_message(b'{"type":"broker:tasksettings","settings": ' + document + b' ,"taskId":"t"}')
    assert isinstance(message, TaskSettings)
    assert bytes(message.settings) == document
    assert encode(TaskDone("t", DoneData(Raw(document)))) == (
        b'{"type":"runner:taskdone","taskId":"t","data":{"result":' + document + b"}}"
    )


@relaxed
@given(documents)
def test_a_raw_field_is_passed_on_byte_for_byte_whatever_it_says(document: bytes) -> None:
    done = decode_runner_message(b'{"type":"runner:taskdone","taskId":"t","data":{"result":' + document + b"}}")
    assert isinstance(done, TaskDone)
    assert bytes(done.data.result) == document


# Lone surrogates


@pytest.mark.parametrize("lone", [r"\ud83d", r"\udE00", r"a\ud83db", r"\ude00\ud83d"])
def test_a_lone_surrogate_in_a_small_field_becomes_a_question_mark(lone: str) -> None:
    message = decode_broker_message(b'{"type":"broker:taskcancel","taskId":"t","reason":"%b"}' % lone.encode())
    assert isinstance(message, TaskCancel)
    assert message.reason == re.sub(r"\\u....", "?", lone)


@pytest.mark.parametrize(
    "document",
    [r'"\ud83d"', r'{"\ud83d": ["\ude00", "\ud83d\ude00", "é", 1.5e3, null, true]}', r'[[["\udfff"]]]'],
)
def test_a_lone_surrogate_inside_a_raw_field_is_kept(document: str) -> None:
    frame = f'{{"type":"broker:tasksettings","taskId":"t","settings":{document}}}'.encode()
    message = decode_broker_message(frame)
    assert isinstance(message, TaskSettings)
    assert message.task_id == "t"
    assert json.loads(bytes(message.settings)) == json.loads(document)


@pytest.mark.parametrize("document", [rb'["\ud83d", 1e400]', rb'{"a": -1e999, "\ude00": 1}'])
def test_what_is_kept_of_a_frame_with_a_lone_surrogate_is_json(document: bytes) -> None:
    message = decoded_or_none(b'{"type":"broker:tasksettings","taskId":"t","settings":%b}' % document)
    assert message is None or (isinstance(message, TaskSettings) and strict_loads(message.settings))


def test_a_lone_surrogate_that_nobody_reads_does_no_harm() -> None:
    assert decode_broker_message(rb'{"type":"broker:drain","note":"\ud83d"}') == Drain()


def test_lone_surrogates_that_are_to_be_written_become_question_marks() -> None:
    frame = encode(TaskError("t", {"message": "a\ud83d", "more": [{"\ude00": "b\ud83d"}], "n": 1}))
    assert strict_loads(frame)["error"] == {"message": "a?", "more": [{"?": "b?"}], "n": 1}
    assert strict_loads(encode(Info("\ud83d", ["python\ude00"]))) == {
        "type": "runner:info",
        "name": "?",
        "types": ["python?"],
    }


def test_raw_fields_are_left_alone_when_lone_surrogates_are_written_beside_them() -> None:
    frame = encode(TaskDone("\ud83d", DoneData(Raw(b'{ "a":  1 }'))))
    assert frame == b'{"type":"runner:taskdone","taskId":"?","data":{"result":{ "a":  1 }}}'


# Large settings

ITEMS = b",".join([rb'{"json":{"text":"a\"],\"}},","n":[1,2.5e3,null,{"":{}}]}}'] * 2000)


def as_settings(task_id: bytes, document: bytes, more: bytes = b"") -> bytes:
    """A frame with settings exactly as n8n writes it; `task_id` is the inside of its JSON text."""
    return b'{"type":"broker:tasksettings","taskId":"%b","settings":%b%b}' % (task_id, document, more)


def as_others_write(frame: bytes) -> bytes:
    """The same message in another form, which is read the ordinary way."""
    return b"{ " + frame[1:]


def of_size(size: int, character: bytes = b"x") -> bytes:
    """Settings of exactly so many bytes."""
    document = b'{"code":"%b"}'
    return document % (character * (size - len(document % b"")))


def settings_in(frame: bytes | bytearray) -> TaskSettings:
    """The message in a frame with settings."""
    message = decode_broker_message(frame)
    assert isinstance(message, TaskSettings)
    return message


@pytest.mark.parametrize("size", [LARGE - 1, LARGE, LARGE + 1, LARGE + 2, 2 * MIB])
@pytest.mark.parametrize("task_id", [b"abcd1234", b"", "é😀".encode(), b"x" * (2 * LARGE), b"}", b"settings"])
def test_settings_are_the_same_on_both_sides_of_the_size_that_is_large(size: int, task_id: bytes) -> None:
    frame = as_settings(task_id, of_size(size))
    assert plain(settings_in(frame)) == plain(settings_in(as_others_write(frame)))
    assert bytes(settings_in(frame).settings) == of_size(size)


@pytest.mark.parametrize(
    "start",
    [
        b'{"type":"broker:rpcresponse","taskId":"t","callId":"c","status":"success","data":',
        b'{"type":"broker:taskdataresponse","taskId":"t","requestId":"r","data":',
    ],
)
@pytest.mark.parametrize("size", [LARGE - 1, LARGE, LARGE + 1, 2 * MIB])
def test_large_answers_are_not_read_either(start: bytes, size: int) -> None:
    frame = start + of_size(size) + b"}"
    message = decode_broker_message(frame)
    assert plain(message) == plain(decode_broker_message(as_others_write(frame)))
    bad = decode_broker_message(start + of_size(size)[:-2] + b"\x00}}")
    assert isinstance(bad, RpcResponse | TaskDataResponse)
    assert bytes(bad.data).endswith(b"\x00}")


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["items", "code", "query"]) | texts, json_values), max_size=5),
    st.integers(0, 5),
    st.booleans(),
    texts,
)
def test_large_settings_are_those_that_the_ordinary_way_finds(
    members: list[tuple[str, Any]], place: int, ascii_only: bool, task_id: str
) -> None:
    members.insert(place, ("large", [{"json": {"text": 'x"],"' * 20}}] * 1000))
    message = {"type": "broker:tasksettings", "taskId": task_id, "settings": dict(members)}
    frame = json.dumps(message, separators=(",", ":"), ensure_ascii=ascii_only).encode()
    assert plain(settings_in(frame)) == plain(settings_in(as_others_write(frame)))


def test_large_settings_are_a_view_on_the_frame_and_keep_it_alive() -> None:
    frame = bytearray(as_settings(b"t", of_size(2 * LARGE)))
    document = settings_in(frame).settings
    with pytest.raises(BufferError):
        frame.clear()
    frame[:] = frame.replace(b"x", b"y")
    assert bytes(document) == of_size(2 * LARGE, b"y")
    del document
    frame.clear()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_large_frame_may_be_any_kind_of_bytes(kind: Callable[[bytes], bytes]) -> None:
    assert bytes(settings_in(kind(as_settings(b"t", of_size(2 * LARGE)))).settings) == of_size(2 * LARGE)


@pytest.mark.parametrize(
    "document",
    [
        b'{"items":[%b,],"nodeId":"a2","workflowName":"w"}' % ITEMS,
        b'{"items":[%b,"nodeId":"a2","workflowName":"w"}' % ITEMS,
        b'{"items":[%b],"n":NaN,"workflowName":"w"}' % ITEMS,
        b"{" * 2 * LARGE + b"}",
        b"x" * 2 * LARGE,
        b'{"code":"' + b"\xff\x00\n" * LARGE + b'"}',
    ],
    ids=lambda document: ascii(document)[:20],
)
def test_large_settings_are_not_read(document: bytes) -> None:
    assert reason(as_others_write(as_settings(b"t", document)))
    assert bytes(settings_in(as_settings(b"t", document)).settings) == document


@pytest.mark.parametrize("lone", [rb"\ud83d", rb"\udE00", rb"a\ud83db"])
def test_lone_surrogates_in_large_settings_stay_the_bytes_they_are(lone: bytes) -> None:
    document = b'{"items":[%b],"nodeName":"%b"}' % (ITEMS, lone)
    assert bytes(settings_in(as_settings(b"t", document)).settings) == document


@pytest.mark.parametrize(
    "more",
    [
        b',"more":1',
        b',"more":null',
        b',"more":"a"',
        rb',"more":"a\"},\"b\":{"',
        b',"more":"a,"',
        b',"more":[]',
        b',"more":["a","b",{"c":"d","e":"f"}]',
        b',"more":{}',
        b',"more":{"a":1}',
        b',"more":{"a":"b","c":{"d":"e","f":{}}}',
        b',"more":{"a":"b"},"even":{"c":"d"}',
        b',"more":1,"even":{"c":{"d":"e"}}',
        b',"type":"broker:tasksettings","more":{"a":{"b":"c"}}',
    ],
)
@pytest.mark.parametrize("document", [b'{"items":[%b]}' % ITEMS, b'{"items":[%b],"workflowName":"w,"}' % ITEMS])
def test_fields_behind_large_settings_are_ignored(document: bytes, more: bytes) -> None:
    message = settings_in(as_settings(b"t", document, more))
    assert (message.task_id, bytes(message.settings)) == ("t", document)


def test_fields_behind_large_settings_count_as_they_do_behind_small_ones() -> None:
    more = b',"taskId":"u","settings":{"a":{"b":"c"}}'
    assert plain(settings_in(as_settings(b"t", of_size(2 * LARGE), more))) == plain(
        TaskSettings("u", Raw(b'{"a":{"b":"c"}}'))
    )


def test_a_long_object_behind_large_settings_makes_them_bad_and_nothing_else() -> None:
    more = b',"more":{"a":"' + b"x" * MIB + b'"}'
    message = settings_in(as_settings(b"t", of_size(2 * LARGE), more))
    assert (message.task_id, bytes(message.settings)) == ("t", of_size(2 * LARGE) + more)
    assert check_refused(bytes(message.settings), 2 * MIB)


@pytest.mark.parametrize(
    ("task_id", "known_as"),
    [(rb"a\"b", 'a"b'), (rb"\\", "\\"), (rb"\u0041\n\/", "A\n/"), (rb"\ud83d\ude00", "😀"), (rb"\ud83d", "?")],
)
def test_an_escaped_task_id_beside_large_settings_is_read_as_ever(task_id: bytes, known_as: str) -> None:
    message = settings_in(as_settings(task_id, of_size(2 * LARGE)))
    assert (message.task_id, bytes(message.settings)) == (known_as, of_size(2 * LARGE))


@pytest.mark.parametrize(
    "task_id", [b"\xff", b"\xc3", b"a\nb", b"\x00", b"\xed\xa0\xbd", rb"\x", rb"\u12", b"\\"], ids=ascii
)
def test_a_bad_task_id_beside_large_settings_is_malformed(task_id: bytes) -> None:
    text = reason(as_settings(task_id, of_size(2 * LARGE)))
    assert text.isprintable()
    assert len(text) < 200


def test_a_task_id_cannot_pass_for_more_than_a_task_id() -> None:
    forged = rb"t\",\"settings\":{},\"more\":\""
    message = settings_in(as_settings(forged, of_size(2 * LARGE)))
    assert message.task_id == 't","settings":{},"more":"'
    assert bytes(message.settings) == of_size(2 * LARGE)


@pytest.mark.parametrize(
    "frame",
    [
        as_settings(b"t", of_size(2 * LARGE)) + b"\n",
        b" " + as_settings(b"t", of_size(2 * LARGE)),
        as_settings(b"t", b" " + of_size(2 * LARGE) + b" "),
        b'{"taskId":"t","type":"broker:tasksettings","settings":%b}' % of_size(2 * LARGE),
        b'{"type":"broker:tasksettings","settings":%b,"taskId":"t"}' % of_size(2 * LARGE),
        b'{"type":"broker:tasksettings","more":"","taskId":"t","settings":%b}' % of_size(2 * LARGE),
    ],
    ids=["line", "space", "spaces", "id first", "id last", "more"],
)
def test_large_settings_in_any_other_form_are_read_as_ever(frame: bytes) -> None:
    message = settings_in(frame)
    assert (message.task_id, bytes(message.settings).strip()) == ("t", of_size(2 * LARGE))


@pytest.mark.parametrize("document", [b'{"items":[%b],"nodeId":"a2"}' % ITEMS, of_size(2 * LARGE)])
def test_a_large_frame_that_was_cut_off_is_malformed_or_has_bad_settings(document: bytes) -> None:
    frame = as_settings(b"t", document)
    start = len(frame) - len(document) - 1
    for length in [*range(start + 1), *range(start + LARGE, len(frame), 9973), *range(len(frame) - 60, len(frame))]:
        message = decoded_or_none(frame[:length])
        if message is not None:
            assert isinstance(message, TaskSettings)
            assert (message.task_id, bytes(message.settings)) == ("t", frame[start : length - 1])
            assert check_refused(bytes(message.settings), 2 * MIB)


def test_large_settings_are_unknown_to_a_broker() -> None:
    with pytest.raises(UnknownMessage):
        decode_runner_message(as_settings(b"t", of_size(2 * LARGE)))


# What is refused


@pytest.mark.parametrize(
    "kind", ["broker:taskofferaccep", "Broker:drain", "", "broker:" + MARKER, "x" * 5000, "a\nb", "\ud83d"]
)
def test_an_unknown_type_is_told_apart_and_shown_in_short(kind: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_broker_message(json.dumps({"type": kind, "taskId": MARKER + "!"}).encode())
    text = str(caught.value)
    assert isinstance(caught.value, UnknownMessage) or kind == "\ud83d"
    assert MARKER + "!" not in text
    assert text.isprintable()
    assert len(text) < 200


@pytest.mark.parametrize(
    ("side", "kind", "field"),
    [(side, kind, field) for side, kind in KINDS for field in sorted(DOCUMENTED[side][kind])],
)
def test_a_missing_field_is_named_unless_it_may_be_missing(side: str, kind: str, field: str) -> None:
    good: dict[str, object] = dict.fromkeys(DOCUMENTED[side][kind] - {field}, MARKER)
    special = {"types": [MARKER], "validFor": 1, "data": {"result": MARKER}, "error": {"message": MARKER}}
    frame = json.dumps({**good, **{name: special[name] for name in special.keys() & good}, "type": kind}).encode()
    if side == "broker" and field in {"data", "nodeTypes"}:
        assert type(DECODERS[side](frame)) is TABLES[side][kind]
    else:
        assert reason(frame, DECODERS[side]) == f"{TABLES[side][kind].__name__} has no {field}"


@pytest.mark.parametrize("bad", ["5", "null", "true", "[]", "{}", "1e400", "[5]"])
@pytest.mark.parametrize("field", ["taskId", "reason"])
def test_a_field_of_another_type_is_named_and_not_shown(field: str, bad: str) -> None:
    fields = {"type": '"broker:taskcancel"', "taskId": f'"{MARKER}"', "reason": f'"{MARKER}"', field: bad}
    text = reason(("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode())
    assert f"TaskCancel has a bad {field}: " in text
    assert MARKER not in text


@pytest.mark.parametrize(
    ("kind", "field", "bad"),
    [
        ("runner:taskoffer", "validFor", "5000.5"),
        ("runner:taskoffer", "validFor", '"5000"'),
        ("runner:taskoffer", "validFor", f'"{MARKER}"'),
        ("runner:taskoffer", "validFor", "null"),
        ("runner:info", "types", '"python"'),
        ("runner:info", "types", f'["python", {{"{MARKER}":1}}]'),
        ("runner:taskerror", "error", f'"{MARKER}"'),
        ("runner:taskerror", "error", f'["{MARKER}"]'),
        ("runner:taskdone", "data", f'"{MARKER}"'),
        ("runner:taskdone", "data", f'{{"results":"{MARKER}"}}'),
    ],
)
def test_what_a_runner_says_wrongly_is_named_and_not_shown(kind: str, field: str, bad: str) -> None:
    good = {"offerId": '"o"', "taskType": '"t"', "validFor": "1", "name": '"n"', "types": "[]", "taskId": '"t"'}
    members = {**good, "data": '{"result":1}', "error": "{}", field: bad, "type": f'"{kind}"'}
    frame = ("{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}").encode()
    text = reason(frame, decode_runner_message)
    assert f"has a bad {field}: " in text
    assert MARKER not in text


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        (b"{}", "it has no type"),
        (b'{"Type":"broker:drain"}', "it has no type"),
        (b'{"type":null}', "its type is not a text"),
        (b'{"type":5}', "its type is not a text"),
        (b'{"type":["broker:drain"]}', "its type is not a text"),
        (b"", "it is not a JSON object"),
        (b" \n", "it is not a JSON object"),
        (b"null", "it is not a JSON object"),
        (b"5", "it is not a JSON object"),
        (b'"broker:drain"', "it is not a JSON object"),
        (b'[{"type":"broker:drain"}]', "it is not a JSON object"),
        (b'{"type":"broker:drain"', "it is not a JSON object"),
        (b'{"type":"broker:drain"}}', "it is not a JSON object"),
        (b'{"type":"broker:drain"}{"type":"broker:drain"}', "it is not a JSON object"),
        (b'{"type":"broker:drain"}\x00', "it is not a JSON object"),
        (b'{"type":"broker:drain",}', "it is not a JSON object"),
        (b"{'type':'broker:drain'}", "it is not a JSON object"),
        (b'{type:"broker:drain"}', "it is not a JSON object"),
        (b'\xef\xbb\xbf{"type":"broker:drain"}', "it is not a JSON object"),
        ('{"type":"broker:drain"}'.encode("utf-16"), "it is not a JSON object"),
        (b'{"type":"broker:drain","more":NaN}', "it is not a JSON object"),
        (b'{"type":"broker:drain","more":[-Infinity]}', "it is not a JSON object"),
        (b'{"type":"broker:drain","more":01}', "it is not a JSON object"),
        (b'{"type":"broker:drain","more":"\n"}', "it is not a JSON object"),
        (b'{"type":"broker:drain","\xff":1}', "it is not a JSON object"),
        (rb'{"type":"broker:drain","a":"\ud83d","more":NaN}', "it is not a JSON object"),
        (rb'["\ud83d"]', "it is not a JSON object"),
    ],
)
def test_what_is_no_message_is_malformed(frame: bytes, part: str) -> None:
    assert part in reason(frame)


@pytest.mark.parametrize("value", [rb'"\xff"', b'"\xff"', b'"\xc3"', b'"\xed\xa0\xbd"', b'"\xc0\x80"'], ids=ascii)
@pytest.mark.parametrize("field", [b"type", b"taskId", b"reason"])
def test_a_small_field_that_is_not_utf_8_is_malformed(field: bytes, value: bytes) -> None:
    members = {b"type": b'"broker:taskcancel"', b"taskId": b'"t"', b"reason": b'"r"', field: value}
    frame = b"{" + b",".join(b'"%b":%b' % member for member in members.items()) + b"}"
    assert reason(frame).isprintable()


@pytest.mark.parametrize("depth", [500, 990, 1000, 3000, 9_990, 20_000, 200_000])
@pytest.mark.parametrize("inner", ["1", r'"\ud83d"'])
@pytest.mark.parametrize("field", ["settings", "taskId", "type", "other"])
def test_deep_nesting_is_taken_or_malformed(field: str, inner: str, depth: int) -> None:
    deep = "[" * depth + inner + "]" * depth
    members = {"type": '"broker:tasksettings"', "taskId": '"t"', "settings": "1", field: deep}
    frame = ("{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}").encode()
    if field in {"taskId", "type"}:
        assert reason(frame)
    else:
        assert isinstance(decoded_or_none(frame), TaskSettings | None)
        if depth <= 500:
            assert isinstance(decoded_or_none(frame), TaskSettings)


def decoded_or_none(frame: bytes) -> object:
    """The message in a frame, None for one that is malformed."""
    try:
        return decode_broker_message(frame)
    except MalformedMessage:
        return None


@pytest.mark.parametrize(
    "frame",
    [
        f'{{"type":"broker:drain","{MARKER}":{MARKER}}}',
        f'{{"type":"broker:drain"}}{MARKER}',
        f'{{"type":"broker:drain","a":"{MARKER}',
        f'{{"type":5,"a":"{MARKER}"}}',
        f'{{"type":{{"{MARKER}":1}}}}',
        f'{{"a":"{MARKER}"}}',
        f'["{MARKER}"]',
        f'"{MARKER}"',
        MARKER,
        f'{{"type":"broker:taskcancel","taskId":"{MARKER}","reason":["{MARKER}"]}}',
        f'{{"type":"broker:taskcancel","taskId":"{MARKER}\\ud83d","reason":["{MARKER}\\ud83d"]}}',
        f'{{"type":"broker:taskcancel","taskId":{{"{MARKER}\\ud83d":5}},"reason":"{MARKER}"}}',
        f'{{"type":"broker:drain","a":"\\ud83d{MARKER}","b":NaN{MARKER}}}',
        f'{{"type":"broker:drain","{MARKER}\\x":1}}',
    ],
)
def test_a_refusal_never_contains_what_was_sent(frame: str) -> None:
    assert MARKER not in reason(frame.encode())
    assert MARKER not in reason(frame.encode() + b"\xff")


def test_the_members_of_an_object_stay_raw() -> None:
    fields = decode_object(b'{"a": {"b" : 1} , "c":null}')
    assert {name: bytes(raw) for name, raw in fields.items()} == {"a": b'{"b" : 1}', "c": b"null"}


def test_a_class_is_filled_from_members_and_the_rest_is_ignored() -> None:
    fields = decode_object(b'{"taskId":"t","reason":"r","more":[]}')
    assert decode_fields(fields, TaskCancel) == TaskCancel("t", "r")


def test_a_value_that_json_lacks_is_a_bug_of_the_caller() -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(TaskError("t", {"message": object()}))


# Arbitrary bytes


@relaxed
@given(st.binary() | texts.map(str.encode) | documents)
@example(b"\xff")
@example(b'{"type":"\xff"}')
def test_arbitrary_bytes_are_a_message_or_malformed(frame: bytes) -> None:
    for decoder, table in ((decode_broker_message, FROM_BROKER), (decode_runner_message, FROM_RUNNER)):
        try:
            message = decoder(frame)
        except MalformedMessage:
            continue
        assert type(message) in table.values()


PIECES = st.sampled_from(
    [b'"', b"\\", b"\\ud83d", b"\xff", b"\xc3", b"NaN", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"null", b"1e400"]
)


@settings(deadline=None, max_examples=300)
@given(messages, st.data())
def test_a_message_that_was_tampered_with_is_a_message_or_malformed(message: Any, data: st.DataObject) -> None:
    frame = encode(message)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(frame)))
        end = data.draw(st.integers(start, min(len(frame), start + 3)))
        frame = frame[:start] + data.draw(PIECES | st.binary(max_size=2)) + frame[end:]
    try:
        again = decode(message, frame)
    except MalformedMessage:
        return
    assert type(again) in TABLES[side_of(message)].values()


@relaxed
@given(messages, st.data())
def test_a_message_that_was_cut_off_is_malformed(message: Any, data: st.DataObject) -> None:
    """Or its large field is, which nobody looks into here: whoever reads that finds out."""
    frame = encode(message)
    try:
        cut = decode(message, frame[: data.draw(st.integers(0, len(frame) - 1))])
    except MalformedMessage:
        return
    values = [getattr(cut, field.name) for field in attrs.fields(type(cut))]
    (large,) = (value for value in values if isinstance(value, Raw))
    with pytest.raises(ValueError):
        strict_loads(large)


# JSON of unknown origin


@relaxed
@given(documents)
def test_valid_json_is_accepted_and_is_the_same_as_before(document: bytes) -> None:
    assert bytes(check_json(document, MIB)).strip() == document.strip()
    assert strict_loads(document) == strict_loads(check_json(document, MIB))


@settings(deadline=None, max_examples=500)
@given(documents, st.data())
def test_json_is_accepted_exactly_when_the_standard_library_reads_it_strictly(
    document: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(document)))
    end = data.draw(st.integers(start, min(len(document), start + 2)))
    changed = document[:start] + data.draw(PIECES | st.sampled_from([b"0", b"-", b".", b"e", b""])) + document[end:]
    try:
        expected = strict_loads(changed)
    except (ValueError, RecursionError):
        check_refused(changed)
    else:
        assert strict_loads(check_json(changed, MIB)) == expected


@relaxed
@given(st.binary())
def test_arbitrary_bytes_are_json_or_refused(document: bytes) -> None:
    try:
        accepted = check_json(document, MIB)
    except MalformedMessage:
        return
    assert strict_loads(accepted) == strict_loads(document)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_json_may_be_any_kind_of_bytes(kind: Callable[[bytes], bytes]) -> None:
    assert bytes(check_json(kind(b' {"a": 1}'), 100)).strip() == b'{"a": 1}'
    assert json.loads(bytes(check_json(kind(rb'"\ud83d"'), 100))) == "\ud83d"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"  ",
        b"1}",
        b'1},"data":{"result":2',
        b'"a","type":"runner:taskerror"',
        b"1,2",
        b"1 2",
        b"[1,]",
        b"[1",
        b'{"a":1',
        b'"a',
        b"nul",
        b"True",
        b"'a'",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"1e",
        b"-",
        b"0x1",
        b'"\n"',
        b'"\x00"',
        rb'"\x41"',
        rb'"\u12"',
        b"NaN",
        b"[NaN]",
        b'{"a":{"b":[Infinity]}}',
        b'{"a":-Infinity}',
        rb'["\ud83d", NaN]',
        rb'["\ud83d"]]',
        rb'["\ud83d"',
        b"{1:2}",
        b'\xef\xbb\xbf"a"',
        b"1\x00",
        b"// a\n1",
        b"[" * 200_000 + b"]" * 200_000,
        rb'["\ud83d",' * 100_000 + b"1" + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_not_exactly_one_json_value_is_refused(document: bytes) -> None:
    assert "it is not one JSON value" in check_refused(document, 10 * MIB)


@pytest.mark.parametrize(
    "document",
    [
        b'"\xff"',
        b'"\xc3"',
        b'"\xc0\x80"',
        b'"\xed\xa0\xbd"',
        b'"\xf4\x90\x80\x80"',
        b'{"\xff":1}',
        b"[1]\xff",
        b"\xff",
        b"\xa0 1",
    ],
    ids=ascii,
)
def test_json_that_is_not_utf_8_is_refused(document: bytes) -> None:
    assert re.fullmatch(r"it is not UTF-8 text: [a-z ]+ at byte \d+", check_refused(document))


@pytest.mark.parametrize("depth", [1, 100, 500])
def test_json_that_is_nested_as_people_nest_it_is_accepted(depth: int) -> None:
    document = b"[" * depth + b"]" * depth
    assert bytes(check_json(document, MIB)) == document


def test_brackets_inside_texts_are_not_nesting() -> None:
    document = b'["' + b"[{" * 50_000 + rb"\"[" + b'"]'
    assert bytes(check_json(document, MIB)) == document


@pytest.mark.parametrize("document", [b'"12345"', rb'"\u00e9"', "[é]".replace("é", '"é"').encode(), b"  1"])
def test_json_may_be_as_long_as_the_limit_and_no_longer(document: bytes) -> None:
    assert check_json(document, len(document))
    assert check_refused(document, len(document) - 1) == (
        f"it has {len(document)} bytes, and at most {len(document) - 1} are allowed"
    )


@pytest.mark.parametrize(
    "document",
    [
        '["\\ud83d' + "é" * 1000 + '"]',
        '["\\ud83d' + "😀" * 1000 + '"]',
        '["\\ud83d", ' + "1e15," * 1000 + "1]",
        '["\\ud83d", "' + "\x7f" * 1000 + '"]',
    ],
    ids=["accents", "emoji", "numbers", "delete"],
)
def test_json_with_lone_surrogates_is_no_longer_than_the_limit_when_it_is_accepted(document: str) -> None:
    limit = len(document.encode())
    try:
        accepted = check_json(document.encode(), limit)
    except MalformedMessage:
        return
    assert len(bytes(accepted)) <= limit
    assert json.loads(bytes(accepted)) == json.loads(document)


@relaxed
@given(st.recursive(st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)))
@example("\ud83d")
@example({"\ude00": ["\ud83d\ude00", "\ude00\ud83d"]})
def test_lone_surrogate_escapes_are_accepted_and_kept(value: Any) -> None:
    document = json.dumps(value).encode()
    assert json.loads(bytes(check_json(document, MIB))) == json.loads(document)


@pytest.mark.parametrize("document", [rb'["\ud83d", 1e400]', rb'{"\ud83d": -1e999}', rb'["\ud83d", 1E+400, 0]'])
def test_a_number_beyond_all_bounds_beside_a_lone_surrogate_does_not_turn_into_what_is_not_json(
    document: bytes,
) -> None:
    try:
        accepted = check_json(document, 100)
    except MalformedMessage:
        return
    assert strict_loads(accepted) == strict_loads(document)


def test_the_reason_never_contains_the_document() -> None:
    for document in (
        f'"{MARKER}',
        f"{MARKER}",
        f'{{"{MARKER}":NaN}}',
        f'["\\ud83d{MARKER}",{MARKER}]',
        f'"{MARKER}"}}',
    ):
        assert MARKER not in check_refused(document.encode())
        assert MARKER not in check_refused(document.encode() + b"\xff")
        assert MARKER not in check_refused(document.encode(), 3)


# Sizes


@pytest.mark.parametrize(
    ("max_payload_size", "limit"),
    [
        (1024**3, 536_870_888 - 1024),
        (4 * 1024**3 - 1, 536_870_888 - 1024),
        (536_870_888, 536_870_888 - 1024),
        (MIB, MIB - 1024),
        (2000, 976),
        (1024, 1),
        (1, 1),
    ],
)
def test_a_result_leaves_room_for_the_rest_of_its_message(max_payload_size: int, limit: int) -> None:
    assert payload_limit(max_payload_size) == limit
    assert (STRING_CEILING, ENVELOPE_SIZE) == (536_870_888, 1024)


def test_a_result_of_the_largest_size_fits_into_a_message() -> None:
    limit = payload_limit(MIB)
    result = check_json(b'"' + b"x" * (limit - 2) + b'"', limit)
    assert len(encode(TaskDone("t" * 100, DoneData(result)))) <= MIB


# Large results, as the embedded broker reads them

BEHIND = [b"", b',"more":1', b',"more":{"a":[1,"}"]}', b',"taskId":"u"', b',"data":{"result":2}']
WITHIN = [b"", b',"customData":{"a":"1"}', b',"staticData":{"b":[1]},"more":","']


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize(
    "result", [b'["%b"]', rb'["%b\ud83d"]', b'[{"a":"%b","b":[",\\",{}"]}]', b'["%b"', b'["%b"]]', b"%b"]
)
def test_a_large_result_is_read_as_a_small_one_is(result: bytes, within: bytes, behind: bytes) -> None:
    def read(size: int) -> Any:
        filled = result % (b"x" * size)
        frame = b'{"type":"runner:taskdone","taskId":"t","data":{"result":%b%b}%b}' % (filled, within, behind)
        try:
            message = decode_runner_message(frame)
        except MalformedMessage:
            return None
        assert isinstance(message, TaskDone)
        data = message.data
        return message.task_id, bytes(data.result).replace(b"x", b""), bytes(data.custom_data), bytes(data.static_data)

    assert read(2 * LARGE) == read(10)


@pytest.mark.parametrize("text", ["x", "é", "名", "\U0001f389", "xé名\U0001f389"])
@pytest.mark.parametrize("shift", range(4))
def test_utf8_is_seen_to_be_that_wherever_it_is_cut(text: str, shift: int) -> None:
    document = b"x" * shift + (text * LARGE).encode()
    check_utf8(document)
    check_utf8(memoryview(bytearray(document)))
    for bad in (document[:-1] + b"\xff", document + "é".encode()[:1], document[:LARGE] + b"\xc3x" + document[LARGE:]):
        with pytest.raises(UnicodeDecodeError):
            check_utf8(bad)


@given(st.binary(max_size=12) | st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_what_is_no_utf8_is_refused_whatever_its_length(snippet: bytes) -> None:
    for document in (snippet, b"x" * (LARGE - 3) + snippet + b"x" * LARGE, b"x" * (2 * LARGE - 5) + snippet):
        try:
            document.decode("utf-8")
        except UnicodeDecodeError:
            with pytest.raises(UnicodeDecodeError):
                check_utf8(document)
        else:
            check_utf8(document)
