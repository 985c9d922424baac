"""A result as it is put together in the runner, from the parts that a task's process sends."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import ClassVar

import attrs
import msgspec
from msgspec import Raw

from runner.errors import TaskFailed
from runner.execution.sandbox import parts


class Context(enum.Enum):
    """What a part finds. The values are how error messages call it."""

    START = "at the start"
    IN_LIST = "in a list"
    IN_OBJECT = "where a key belongs"
    AFTER_KEY = "after a key"
    IN_TEXT = "in a string"
    COMPLETE = "after a complete value"
    ENDED = "after the end"


_AFTER = {
    Context.START: Context.COMPLETE,
    Context.IN_LIST: Context.IN_LIST,
    Context.IN_OBJECT: Context.AFTER_KEY,
    Context.AFTER_KEY: Context.IN_OBJECT,
}
"""What follows when one thing has been written: a value, or a key where a key belongs."""

_read = msgspec.json.Decoder(Raw).decode

_WITH_PAYLOAD = frozenset({parts.VALUES, parts.KEY, parts.MEMBERS, parts.PIECE})
_WITH_COMMAS = frozenset({Context.IN_LIST, Context.IN_OBJECT})


@attrs.frozen
class _Open:
    """What has been opened: where it stands, how it ends, and where it and its content begin."""

    context: Context
    closing: bytes
    start: int
    content: int


class Assembly:
    """A result in the making.

    Whatever the parts are, what has been written is the beginning of one JSON value in UTF-8, nested no deeper than
    `parts.MOST_LEVELS`, and it is complete when the last part has been taken. To add a part takes a fraction of a
    millisecond, however much there is already.
    """

    def __init__(self, limit: int, called: str = "The result") -> None:
        """A result of at most `limit` bytes; `called` is how an error names it."""
        self._limit = limit
        self._called = called
        self._written = bytearray()
        self._context = Context.START
        self._opened: list[_Open] = []
        self._levels = 0

    def add(self, kind: int, payload: bytes | memoryview) -> None:
        """Take the next part.

        Raises:
            TaskFailed: the part does not belong here or is not what its kind says, or the result is too large or too
                deeply nested. Nothing of the part has been written then.
        """
        if len(payload) > parts.PART_LIMIT:
            raise _refused(f"a part has {len(payload)} bytes, and at most {parts.PART_LIMIT} are allowed")
        take = self.RULES.get((self._context, kind))
        if take is None:
            raise _refused(f"part {kind} does not belong {self._context.value}")
        if kind not in _WITH_PAYLOAD and payload:
            raise _refused(f"part {kind} has a payload")
        take(self, bytes(payload))

    def result(self) -> Raw:
        """The result, which may be spliced into a message.

        Raises:
            TaskFailed: it has no end yet.
        """
        if self._context is not Context.ENDED:
            raise _refused("its end is missing")
        return Raw(self._written)

    def _take_value(self, payload: bytes) -> None:
        self._bound_levels(payload)
        _check(payload)
        self._write(payload)
        self._context = _AFTER[self._context]

    def _take_values(self, payload: bytes) -> None:
        self._bound_levels(payload)
        _check_filled(payload)
        _check(b"[%b]" % payload)
        self._write(payload, self._comma())

    def _take_members(self, payload: bytes) -> None:
        self._bound_levels(payload)
        _check_filled(payload)
        _check(b"{%b}" % payload)
        self._write(payload, self._comma())

    def _take_key(self, payload: bytes) -> None:
        if payload[:1] != b'"':
            raise _refused("a key is no string")
        _check(payload)
        self._write(b"%b%b:" % (self._comma(), payload))
        self._context = Context.AFTER_KEY

    def _take_piece(self, payload: bytes) -> None:
        _check(b'"%b"' % payload)
        self._write(payload)

    def _open_list(self, _: bytes) -> None:
        self._open_level(Context.IN_LIST, b"[", b"]")

    def _open_object(self, _: bytes) -> None:
        self._open_level(Context.IN_OBJECT, b"{", b"}")

    def _open_text(self, _: bytes) -> None:
        self._open(Context.IN_TEXT, b'"', b'":' if self._context is Context.IN_OBJECT else b'"')

    def _open_level(self, context: Context, opening: bytes, closing: bytes) -> None:
        self._bound_levels(opening)
        self._open(context, opening, closing)
        self._levels += 1

    def _open(self, context: Context, opening: bytes, closing: bytes) -> None:
        start = len(self._written)
        self._write(self._comma() + opening)
        self._opened.append(_Open(self._context, closing, start, len(self._written)))
        self._context = context

    def _close(self, _: bytes) -> None:
        self._write(self._opened[-1].closing)
        self._context = _AFTER[self._leave().context]

    def _drop(self, _: bytes) -> None:
        dropped = self._leave()
        del self._written[dropped.start :]
        self._context = dropped.context

    def _leave(self) -> _Open:
        if self._context is not Context.IN_TEXT:
            self._levels -= 1
        return self._opened.pop()

    def _end(self, _: bytes) -> None:
        self._context = Context.ENDED

    def _comma(self) -> bytes:
        """What has to stand in front of the next thing: a comma unless it is the first, or has a key."""
        if self._context in _WITH_COMMAS and len(self._written) > self._opened[-1].content:
            return b","
        return b""

    def _bound_levels(self, payload: bytes) -> None:
        """Refuse what may be nested too deeply, as far as its brackets tell."""
        brackets = parts.brackets_in(payload)
        if self._levels + brackets > parts.MOST_LEVELS:
            raise _too_deep()
        if brackets > parts.MOST_BRACKETS:
            raise _refused(f"a part has {brackets} brackets, and at most {parts.MOST_BRACKETS} are allowed")

    def _write(self, document: bytes, comma: bytes = b"") -> None:
        if len(self._written) + len(comma) + len(document) > self._limit:
            raise TaskFailed(
                f"{self._called} is too large: it has more than the {self._limit} bytes that can be sent to n8n",
                "N8N_RUNNERS_MAX_PAYLOAD says how large a message may be; n8n itself takes at most 512 MiB.",
            )
        self._written += comma
        self._written += document

    RULES: ClassVar[dict[tuple[Context, int], Callable[[Assembly, bytes], None]]] = {
        (Context.START, parts.VALUES): _take_value,
        (Context.START, parts.LIST): _open_list,
        (Context.START, parts.OBJECT): _open_object,
        (Context.START, parts.TEXT): _open_text,
        (Context.IN_LIST, parts.VALUES): _take_values,
        (Context.IN_LIST, parts.LIST): _open_list,
        (Context.IN_LIST, parts.OBJECT): _open_object,
        (Context.IN_LIST, parts.TEXT): _open_text,
        (Context.IN_LIST, parts.CLOSE): _close,
        (Context.IN_LIST, parts.DROP): _drop,
        (Context.IN_OBJECT, parts.KEY): _take_key,
        (Context.IN_OBJECT, parts.MEMBERS): _take_members,
        (Context.IN_OBJECT, parts.TEXT): _open_text,
        (Context.IN_OBJECT, parts.CLOSE): _close,
        (Context.IN_OBJECT, parts.DROP): _drop,
        (Context.AFTER_KEY, parts.VALUES): _take_value,
        (Context.AFTER_KEY, parts.LIST): _open_list,
        (Context.AFTER_KEY, parts.OBJECT): _open_object,
        (Context.AFTER_KEY, parts.TEXT): _open_text,
        (Context.AFTER_KEY, parts.DROP): _drop,
        (Context.IN_TEXT, parts.PIECE): _take_piece,
        (Context.IN_TEXT, parts.CLOSE): _close,
        (Context.IN_TEXT, parts.DROP): _drop,
        (Context.COMPLETE, parts.END): _end,
    }
    """What becomes of a part of each kind in each context. What is not here is refused."""


def _check_filled(payload: bytes) -> None:
    """Refuse what has nothing in it, which would leave two commas side by side."""
    if not payload or payload.isspace():
        raise _refused("a part is empty")


def _check(document: bytes) -> None:
    """Refuse what is not exactly one JSON value, in valid UTF-8.

    A payload that stands between brackets here is exactly the content of one list, object or string: if it closed the
    opening one, the last one would be too many.
    """
    try:
        str(document, "utf-8")
        try:
            _read(document)
        except ValueError:
            _read(with_surrogates_hidden(document))
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError as error:
        raise _refused(f"a part is not UTF-8 text: {error.reason}") from None
    except ValueError as error:
        raise _refused(f"a part is not JSON: {error}") from None


def with_surrogates_hidden(document: bytes) -> bytes:
    r"""A document of the same form without escaped surrogates, of which msgspec refuses those that have no partner.

    JSON has no such rule, and n8n sends and takes them. Where `\ud83d` stands, `\u083d` is a character as well; behind
    an escaped backslash these are only letters, and the one is as good as the other.
    """
    return document.replace(rb"\ud", rb"\u0").replace(rb"\uD", rb"\u0")


def _too_deep() -> TaskFailed:
    return TaskFailed("The result is nested too deeply", "It has more levels than can be sent to n8n.")


def _refused(reason: str) -> TaskFailed:
    return TaskFailed(f"The task's process sent a result that cannot be sent on: {reason}")
