r"""Between frames and messages: how JSON is read and written on the wire is known here and nowhere else.

Reading is one pass over the envelope: large fields stay the bytes they are. msgspec refuses lone surrogates
(`"\ud83d"`), which n8n does send when a text was cut inside an emoji; such a frame is read again, slowly, by the
standard library, whose output has them escaped. Both take time in proportion to the frame, on the event loop: of the
messages that may be large, the large field is not read at all.

What is plain is read and written in one call of msgspec, which is told the form of each class. All else, and what is
wrong with it, is found out field by field.

Every failure is a `MalformedMessage` with a reason for people, which never contains what the message said.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, NoReturn, TypeVar, get_type_hints

import attrs
import msgspec
from msgspec import Raw

from runner.protocol.forms import SIDES, WIRE_TYPES, form_of, reader_from, reader_of, wire_name
from runner.protocol.messages import NULL, BrokerMessage, RunnerMessage

Frame = bytes | bytearray | memoryview
Fields = dict[str, Raw]
M = TypeVar("M")

STRING_CEILING = 536_870_888
"""The longest text that n8n can take in (V8's longest string): a longer frame hangs its task. In bytes."""

ENVELOPE_SIZE = 1024
"""What is kept free for the rest of a message around a result, in bytes."""

LARGE = 64 * 1024
"""Above which size JSON that is only passed on is not even read, in bytes."""

_TEXT = rb'"[^"\\]*"'


def _begins(kind: str, *fields: str, large: str) -> re.Pattern[bytes]:
    """The beginning of a message as n8n writes it, with these fields, which are texts, up to the large one's value."""
    texts = b"".join(rb'"%b":(?P<%b>%b),' % (name.encode(), name.encode(), _TEXT) for name in fields)
    return re.compile(rb'\{"type":(?P<type>"%b"),%b"%b":' % (kind.encode(), texts, large.encode()))


_LARGE_FIELDS = {
    _begins("broker:tasksettings", "taskId", large="settings"): "settings",
    _begins("broker:rpcresponse", "taskId", "callId", "status", large="data"): "data",
    _begins("broker:taskdataresponse", "taskId", "requestId", large="data"): "data",
}
"""Of each message whose last field may be large: how n8n writes it up to the value of that field, and its name."""

_END_SIZE = 1024
"""How much of the end of a large message is searched for fields behind its large one, in bytes."""


class MalformedMessage(ValueError):
    """A frame that is no message. The text says why, not what was in it."""


class UnknownMessage(MalformedMessage):
    """A message of a type that is not in the protocol: newer brokers may send some, and they are ignored."""


@attrs.frozen
class _Field:
    """One field of a message class: its names, its decoder, whether it is a class of ours, and may be missing."""

    name: str
    wire_name: str
    decoder: msgspec.json.Decoder[Any]
    nested: bool
    optional: bool


_ENVELOPE: msgspec.json.Decoder[Fields] = msgspec.json.Decoder(Fields)
_KNOWN_FIELDS: dict[type, tuple[_Field, ...]] = {}
_ENCODER = msgspec.json.Encoder()


def decode_broker_message(frame: Frame) -> BrokerMessage:
    """The message of a broker that is in `frame`. Large settings are not read: they may turn out not to be JSON.

    Raises:
        UnknownMessage: the type is not in the protocol.
        MalformedMessage: the frame is no message.
    """
    message: BrokerMessage = _decode(frame, "broker")
    return message


def decode_runner_message(frame: Frame) -> RunnerMessage:
    """The message of a runner that is in `frame`. Raises what `decode_broker_message` raises."""
    message: RunnerMessage = _decode(frame, "runner")
    return message


def encode(message: BrokerMessage | RunnerMessage) -> bytes:
    """The frame for a message.

    Raises:
        ValueError, TypeError, OverflowError: a value cannot be written as JSON, which is a bug of the caller.
    """
    cls: type = type(message)
    try:
        return _ENCODER.encode(msgspec.convert(message, form_of(cls), from_attributes=True))
    except UnicodeEncodeError:
        members = {"type": WIRE_TYPES[cls], **_wire_members(message)}
        return _ENCODER.encode(_without_surrogates(members))


def _wire_members(message: Any) -> dict[str, Any]:
    """The members of a message's JSON object. An optional one that is not there is left out, as n8n does."""
    members: dict[str, Any] = {}
    for field in _fields(type(message)):
        value = getattr(message, field.name)
        if field.optional and value is NULL:
            continue
        members[field.wire_name] = _wire_members(value) if field.nested else value
    return members


def _without_surrogates(value: Any) -> Any:
    """The same value with lone surrogates, which no UTF-8 text can hold, replaced by question marks."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(member) for member in value]
    return value


def decode_as(cls: type[M], document: Frame) -> M:
    """An attrs class read from a JSON object; members that it does not know are ignored.

    Raises:
        MalformedMessage: it is no JSON object, or a field is missing or is of the wrong type.
    """
    kind: type = cls
    try:
        return msgspec.convert(reader_of(kind).decode(document), cls, from_attributes=True)
    except (ValueError, RecursionError):
        return decode_fields(decode_object(document), cls)


def _decode(frame: Frame, side: str) -> Any:
    table = SIDES[side]
    if side == "runner" or len(frame) <= LARGE:  # what a broker hears is read as a whole, by one who has the time
        try:
            form = reader_from(side).decode(frame)
            return msgspec.convert(form, table[form.__struct_config__.tag], from_attributes=True)
        except (ValueError, RecursionError):
            pass  # read slowly, it may be a message all the same
    fields = _members(frame)
    kind = fields.get("type")
    if kind is None:
        raise MalformedMessage("it has no type")
    try:
        name = msgspec.json.decode(kind, type=str)
    except ValueError as error:
        raise MalformedMessage("its type is not a text") from error
    cls = table.get(name)
    if cls is None:
        raise UnknownMessage(f"its type {name[:100]!r} is not known")
    return decode_fields(fields, cls)


def _members(frame: Frame) -> Fields:
    """The members of a message.

    Settings that cannot be read, such as those with a thousand levels, are split off as large ones are: it is known
    whose they are, so that the task fails because of them, at once. A frame that is ignored leaves it to its timeout.
    """
    fields = _split(frame, longer_than=LARGE) if len(frame) > LARGE else None
    if fields is not None:
        return fields
    try:
        return decode_object(frame)
    except MalformedMessage:
        fields = _split(frame, longer_than=0)
        if fields is None:
            raise
        return fields


def _split(frame: Frame, longer_than: int) -> Fields | None:
    """The members of a message with a last field that may be large, if the frame is that, and as n8n writes it.

    The value of the large field is all that stands between its name and the last brace. It is a view on the frame that
    nobody has looked into: it need not even be JSON. This is safe because the broker is trusted, and because what
    parses these bytes is the task's own process: it finds out, and only that task fails.

    Should a later n8n write a field behind the large one, the frame is left to the slower way, which knows fields in
    any order. This is seen by the last `_END_SIZE` bytes: a longer object or list there would be taken for a part of
    the large value, which is then no JSON, and the task fails because of its settings.

    Parameters:
        longer_than: how many bytes the value of that field has to exceed.
    """
    view = memoryview(frame)
    for start, name in _LARGE_FIELDS.items():
        match = start.match(view)
        if match is None or len(view) - match.end() <= longer_than:
            continue
        end = bytes(view[-_END_SIZE:])
        if end.endswith(b"}") and not _has_more(end):
            small = {key: Raw(value) for key, value in match.groupdict().items()}
            return {**small, name: Raw(view[match.end() : -1])}
    return None


def _has_more(end: bytes) -> bool:
    """Whether the end of a message shows where the last but one of its own fields ends.

    Behind that comma, and no other, stands exactly what makes one JSON object when a brace is put in front: in a nested
    object, a brace at the end is left over, and at the end of a text, the quotation marks do not come in pairs.
    """
    return any(_is_object(b"{" + end[comma.end() :]) for comma in re.finditer(b',(?=")', end))


def _is_object(document: bytes) -> bool:
    try:
        _ENVELOPE.decode(document)
    except (ValueError, RecursionError):
        return False
    return True


def decode_fields(fields: Fields, cls: type[M]) -> M:
    """An attrs class filled from the members of a JSON object; members that it does not know are ignored.

    Raises:
        MalformedMessage: a field is missing or is of the wrong type.
    """
    values: dict[str, Any] = {}
    for field in _fields(cls):
        raw = fields.get(field.wire_name)
        if raw is None:
            if not field.optional:
                raise MalformedMessage(f"{cls.__name__} has no {field.wire_name}")
            continue
        try:
            values[field.name] = _decode_value(field, raw)
        except (ValueError, RecursionError) as error:
            raise MalformedMessage(f"{cls.__name__} has a bad {field.wire_name}: {error}") from error
    return cls(**values)


def _decode_value(field: _Field, raw: Raw) -> Any:
    if field.decoder.type is Raw:
        return raw
    if field.nested:
        return decode_fields(decode_object(memoryview(raw)), field.decoder.type)
    try:
        return field.decoder.decode(raw)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(_without_surrogates(_load_slowly(raw)), field.decoder.type)


def decode_object(frame: Frame) -> Fields:
    """The members of a JSON object, each as raw JSON.

    Raises:
        MalformedMessage: the bytes are not one JSON object.
    """
    try:
        return _ENVELOPE.decode(frame)
    except (ValueError, RecursionError) as error:
        try:
            return {name: _dump_slowly(member) for name, member in _load_slowly(frame).items()}
        except (ValueError, AttributeError, RecursionError):
            raise MalformedMessage(f"it is not a JSON object: {error}") from None


def read_json(document: Frame) -> Any:
    """The value of a JSON document of a peer.

    Raises:
        MalformedMessage: it is no JSON document.
    """
    try:
        return msgspec.json.decode(document)
    except (ValueError, RecursionError) as error:
        try:
            return _load_slowly(document)
        except (ValueError, RecursionError):
            raise MalformedMessage(f"it is not one JSON value: {error}") from None


def write_json(value: Any) -> Raw:
    """A value as JSON. NaN and infinities are written as null, lone surrogates as question marks.

    Raises:
        ValueError, TypeError, OverflowError, RecursionError: the value cannot be written as JSON.
    """
    try:
        return Raw(_ENCODER.encode(value))
    except UnicodeEncodeError:
        return Raw(_ENCODER.encode(_without_surrogates(value)))


def _load_slowly(document: Frame) -> Any:
    """A JSON document read by the standard library, which takes lone surrogates."""
    return json.loads(str(document, "utf-8"), parse_constant=_refuse_constant)


def _dump_slowly(value: Any) -> Raw:
    """A value written by the standard library, which escapes lone surrogates."""
    return Raw(json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii"))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _fields(cls: type) -> tuple[_Field, ...]:
    """The fields of a message class, worked out once."""
    known = _KNOWN_FIELDS.get(cls)
    if known is None:
        known = _KNOWN_FIELDS[cls] = _find_fields(cls)
    return known


def _find_fields(cls: type) -> tuple[_Field, ...]:
    hints = get_type_hints(cls)
    return tuple(
        _Field(
            name=attribute.name,
            wire_name=wire_name(attribute.name),
            decoder=msgspec.json.Decoder(hints[attribute.name]),
            nested=attrs.has(hints[attribute.name]),
            optional=attribute.default is not attrs.NOTHING,
        )
        for attribute in attrs.fields(cls)
    )


def payload_limit(max_payload_size: int) -> int:
    """The largest result that can be sent, in bytes, when no message may be larger than `max_payload_size`."""
    return max(1, min(max_payload_size, STRING_CEILING) - ENVELOPE_SIZE)


def check_utf8(document: Frame) -> None:
    """See that bytes are UTF-8, a piece at a time: as one text, they would need memory of their own.

    Raises:
        UnicodeDecodeError: they are not.
    """
    if len(document) <= LARGE:
        str(document, "utf-8")
        return
    view, start = memoryview(document), 0
    while start < len(view):
        end = start + LARGE
        start += codecs.utf_8_decode(view[start:end], "strict", end >= len(view))[1]


def check_json(document: Frame, limit: int) -> Raw:
    """Bytes of unknown origin, as JSON that may be spliced into a message.

    Whatever is spliced must not be able to end the message it is put into, nor to break the connection: it has to be
    exactly one JSON value, in valid UTF-8 (n8n closes the connection otherwise), and short enough.

    Parameters:
        limit: the largest allowed size, in bytes.

    Raises:
        MalformedMessage: says which of these it is not.
    """
    if len(document) > limit:
        raise MalformedMessage(f"it has {len(document)} bytes, and at most {limit} are allowed")
    try:
        str(document, "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"it is not UTF-8 text: {error.reason} at byte {error.start}") from error
    try:
        return msgspec.json.decode(document, type=Raw)
    except (ValueError, RecursionError) as error:
        try:
            _load_slowly(document)
            return Raw(bytes(document))
        except (ValueError, RecursionError):
            raise MalformedMessage(f"it is not one JSON value: {error}") from None
