"""The result of a task, written in parts (see `parts`), of which never much more than one is held. Runs in the child.

Most results fit into one part and are encoded at once. What is larger is taken apart: lists and objects into slices
that are encoded together, and what is too large even alone is opened and taken apart in turn. That is done without
recursion, so that everything can be written that the runner takes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from gc import get_referents
from operator import length_hint
from typing import Any

from runner.execution.sandbox import parts
from runner.execution.sandbox.child import quick
from runner.execution.sandbox.child.conversion import as_key, convert, opened
from runner.execution.sandbox.child.encoding import contains_itself, to_bytes, to_text, too_deep, too_many_digits
from runner.execution.sandbox.child.given.records import Record
from runner.execution.sandbox.child.levels import ATOMS, MOST_LEVELS, keys_in

Send = Callable[[int, bytes], None]

ENOUGH = parts.PART_LIMIT // 2
"""A part of this size, in bytes, is worth being sent."""

PIECE_LENGTH = 10_000
"""How many characters of a long string make a piece: escaped, each may take six bytes."""

FIRST_SLICE = 16
"""How many elements are encoded together until their size is known."""

NARROW = 1000
"""Up to how many values a level of a value is looked at before it is taken apart."""

SIZE_OF_ATOMS = 8
"""About how long one of these becomes, in characters. A part that becomes too long nevertheless is seen to be."""

SIZE_OF_MEMBERS = 4
"""What a member of a dict takes beside its key and its value, in characters."""

CONTAINERS_HAVE = ("__len__", "__dataclass_fields__", "__attrs_attrs__")
"""What tells that a value of another type may have many values in it. It is converted to find out."""


class ResultWriter:
    """Writes one result: a whole value with `write`, or one after the other with `open_list`, `item`, `close_list`."""

    def __init__(self, send: Send) -> None:
        """A writer of nothing yet; `send` takes the kind and the payload of each part."""
        self._send = send
        self._above: list[int] = []
        """The ids of the values that have been opened; those of the list that `item` adds to, and of texts, are 0."""
        self._last: tuple[int, bytes] | None = None
        """What completes the result. It is held back, since what is complete cannot be taken back."""
        self._batch: list[bytes] = []
        self._batch_size = self._batch_brackets = self._size = self._misses = 0

    def write(self, value: Any) -> None:
        """Write a whole value, which is the result.

        Raises:
            BadResult: it cannot be written; see `encoding.to_json`.
            Exception: whatever the methods of a value raise.
        """
        is_long = type(value) is list and len(value) > 4 * FIRST_SLICE  # or else to begin quickly takes longer
        whole = quick.whole(value) if is_long else None
        encoded = _encoded(value) if whole is None else (whole, 0)
        if encoded is None:
            self._take_apart(value)
        else:
            self._last = (parts.VALUES, encoded[0])

    def open_list(self) -> None:
        """Begin a result that is a list."""
        self._open(parts.LIST, 0)

    def item(self, value: Any) -> None:
        """Write an element of the list. One that cannot be written leaves nothing behind. Raises what `write` does."""
        encoded = _encoded(value)
        if encoded is None:
            self._flush()
            before = len(self._above)
            try:
                self._take_apart(value)
            except BaseException:
                self._drop(before)
                raise
        else:
            self._add(*encoded)

    def _add(self, document: bytes, brackets: int) -> None:
        """Add one element, or several with commas between them, to what is sent together."""
        too_long = self._batch_size + len(document) > parts.PART_LIMIT - len(self._batch) - 1
        if too_long or self._batch_brackets + brackets > parts.MOST_BRACKETS:
            self._flush()
        self._batch.append(document)
        self._batch_size += len(document)
        self._batch_brackets += brackets

    def items(self, values: list[Any]) -> bool:
        """Write several elements of the list at once, which is much faster for small ones.

        Returns False if they have to be written one by one, with `item`. Then, and when it raises what `write` does,
        nothing has been written.
        """
        encoded = self._together(values, ())
        if encoded and encoded[0]:
            self._add(*encoded)
        return encoded is not None

    def close_list(self) -> None:
        """Complete the list."""
        self._flush()
        self._close()

    def restart(self) -> None:
        """Take back everything: something else is going to be the result."""
        self._last = None
        self._batch = []
        self._batch_size = self._batch_brackets = 0
        self._drop(0)

    def last_parts(self) -> list[tuple[int, bytes]]:
        """What is to be sent when nothing can become of the result any more but what has been written."""
        end = (parts.END, b"")
        return [end] if self._last is None else [self._last, end]

    def end(self) -> None:
        """Say that the result is complete."""
        for part in self.last_parts():
            self._send(*part)

    def _flush(self) -> None:
        if self._batch:
            self._send(parts.VALUES, b",".join(self._batch))
            self._batch = []
            self._batch_size = self._batch_brackets = 0

    # What is open

    def _open(self, kind: int, identity: int) -> None:
        if len(self._above) >= parts.MOST_LEVELS:
            raise too_deep()
        self._send(kind, b"")
        self._above.append(identity)

    def _close(self) -> None:
        if len(self._above) == 1:
            self._last = (parts.CLOSE, b"")
        else:
            self._send(parts.CLOSE, b"")
            self._above.pop()

    def _drop(self, down_to: int) -> None:
        while len(self._above) > down_to:
            self._send(parts.DROP, b"")
            self._above.pop()

    # What is too large for one part

    def _take_apart(self, value: Any) -> None:
        """Write a value that does not fit, piece by piece; on the stack are those in the midst of which it is."""
        stack = [self._opened(value)]
        try:
            while stack:
                inner = next(stack[-1], _NOTHING)
                if inner is _NOTHING:
                    stack.pop()
                else:
                    stack.append(self._pieces(inner))
        except RecursionError:
            raise too_deep() from None

    def _pieces(self, value: Any) -> Iterator[Any]:
        """Write a value, but for what is too large in it: that is handed out, to be written before going on."""
        encoded = _encoded(value, self._above)
        if encoded is None:
            yield from self._opened(value)
        else:
            self._send(parts.VALUES, encoded[0])

    def _opened(self, value: Any) -> Iterator[Any]:
        """Write a value that does not fit into one part as `_pieces` does."""
        if id(value) in self._above:
            raise contains_itself(value)
        whole = opened(value)
        if isinstance(whole, str):
            self._text(whole)
        elif isinstance(whole, dict):
            self._open(parts.OBJECT, id(value))
            yield from self._members(whole)
            self._close()
        elif isinstance(whole, list | tuple):
            self._open(parts.LIST, id(value))
            for _, inner in self._slices(parts.VALUES, whole, list):
                yield inner
            self._close()
        else:
            raise too_many_digits(f"It does not fit into {parts.PART_LIMIT} bytes.")  # nothing else is as long

    def _members(self, whole: dict[Any, Any]) -> Iterator[Any]:
        if not all(type(key) is str for key in whole):
            whole = {as_key(key): member for key, member in whole.items()}
        for key, inner in self._slices(parts.MEMBERS, list(whole.items()), dict):
            document = to_bytes(to_text(key)) if len(key) <= PIECE_LENGTH else None
            if document is None or parts.brackets_in(document) > parts.MOST_BRACKETS:
                self._text(key)
            else:
                self._send(parts.KEY, document)
            yield inner

    def _slices(self, kind: int, whole: Any, gathered: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
        """Write what can be written in slices; a single element that cannot is handed out, with its key if any.

        Parameters:
            gathered: what makes a value of a slice, a list or a dict.
        """
        start, length, is_object = 0, FIRST_SLICE, kind == parts.MEMBERS
        while start < len(whole):
            found = whole[start : start + length]
            encoded = self._together(gathered(found), self._above)
            if encoded is not None:
                document, brackets = encoded
                self._send(kind, document)
                self._size += len(document)
                if self._size > quick.WORTH_LOADING and quick.load():
                    self._misses = 0
                start += len(found)
                if len(document) < ENOUGH and 2 * brackets < parts.MOST_BRACKETS:
                    length *= 2
            elif len(found) > 1:
                length = len(found) // 2
            else:
                yield found[0] if is_object else (None, found[0])
                start += 1

    def _together(self, values: Any, above: list[int] | tuple[()]) -> tuple[bytes, int] | None:
        """As `_encoded` has it for a slice, but quickly, unless there is too often what only that can write."""
        if self._misses < quick.MOST_MISSES:
            document = quick.written(values)
            self._misses += document is None
            if document is not None:
                brackets = parts.brackets_in(document)
                if document and brackets <= min(parts.MOST_BRACKETS, parts.MOST_LEVELS - len(above)):
                    return document, brackets
                if len(values) > 1:
                    return None
        return _encoded(values, above, as_slice=True)

    def _text(self, text: str) -> None:
        """Write a long string."""
        self._open(parts.TEXT, 0)
        for start in range(0, len(text), PIECE_LENGTH):
            self._send(parts.PIECE, to_bytes(to_text(text[start : start + PIECE_LENGTH]))[1:-1])
        self._close()


_NOTHING = object()


def _encoded(value: Any, above: list[int] | tuple[()] = (), *, as_slice: bool = False) -> tuple[bytes, int] | None:
    """A value as JSON, if that fits into one part, and how many brackets it has.

    Parameters:
        as_slice: it is a list or a dict of what is written together, without the brackets around it.

    Raises:
        BadResult: it cannot be written, in parts or not.
    """
    levels = parts.MOST_LEVELS - len(above)
    if not (as_slice and _is_bounded(value)) and _is_large(value):
        if _is_deep_and_narrow(value, levels + as_slice):  # or else each level would be looked at from each above
            raise too_deep()
        return None
    try:
        document = to_bytes(to_text(value, above))
    except RecursionError:
        document = b""
    if as_slice:
        document = document[1:-1]
    brackets = parts.brackets_in(document)
    if document and len(document) <= parts.PART_LIMIT and brackets <= parts.MOST_BRACKETS and brackets <= levels:
        return document, brackets
    if _is_deeper(value, levels + as_slice):  # and would be found to be at its deepest level, each encoded on the way
        raise too_deep()
    return None


def _is_bounded(values: Any) -> bool:
    """Whether what is to be written together is sure not to take much memory as text.

    One level at a time, at the speed of C. What is counted is as long as the text but for what stands between, numbers,
    and keys that occur more than once.
    """
    left, level = parts.PART_LIMIT, [values]
    for _ in range(MOST_LEVELS):
        kinds = set(map(type, level))
        keys = keys_in(level, kinds)
        if keys is None:
            return False
        left -= sum(map(len, keys))
        left -= sum(map(len if kinds.isdisjoint(ATOMS) else length_hint, level))
        if left < 0:
            return False
        level = get_referents(*level)
        if not level:
            return True
    return False


def _is_large(value: Any) -> bool:
    """Whether a value is sure not to fit into a part, or a list that is long. Looks no further than it has to."""
    if type(value) is list and len(value) > parts.MOST_BRACKETS:  # which it will have, as most are lists of items
        return True
    left = parts.PART_LIMIT
    waiting: list[Iterable[Any]] = [(value,)]
    for values in waiting:
        if left < 0:
            break
        for each in values:  # every value of every result comes by here: what is frequent is asked for first
            kind = type(each)
            if kind is str:
                left -= len(each)
            elif kind in ATOMS:
                left -= SIZE_OF_ATOMS
            elif kind is dict or kind is Record:
                left -= SIZE_OF_MEMBERS * len(each)
                waiting.append(each.values())
                try:
                    left -= len("".join(each))  # half the time of adding up their lengths
                except TypeError:  # some keys are no texts
                    waiting.append(each)
            elif kind is list or kind is tuple:
                left -= len(each)
                waiting.append(each)
            else:
                left -= _size_of_others(each, waiting)
    return left < 0


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether dicts and lists alone are nested in more than so many levels, in a value that is not large."""
    level = [value]
    for _ in range(levels + 1):
        containers = [each for each in level if type(each) in (dict, list, tuple)]
        if not containers:
            return False
        level = [inner for each in containers for inner in (each.values() if type(each) is dict else each)]
    return True


def _is_deep_and_narrow(value: Any, levels: int) -> bool:
    """Whether dicts and lists alone are nested in more than so many levels, each of them small and met but once.

    For a value that is large, since what is not seen here is seen when it is taken apart, only later.
    """
    level, met = [value], set[int]()
    for _ in range(levels + 1):
        containers = [each for each in level if type(each) in (dict, list, tuple)]
        before = len(met)
        met.update(map(id, containers))
        if not containers or sum(map(len, containers)) > NARROW or len(met) < before + len(containers):
            return False
        level = [inner for each in containers for inner in (each.values() if type(each) is dict else each)]
    return True


def _size_of_others(value: Any, waiting: list[Iterable[Any]]) -> int:
    """About how long a value becomes of a type that JSON lacks; what is in it will have to wait."""
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return len(value)
    if any(hasattr(kind, name) for name in CONTAINERS_HAVE):
        with contextlib.suppress(Exception):  # it will be raised again when the value is encoded
            waiting.append((convert(value),))
    return SIZE_OF_ATOMS
