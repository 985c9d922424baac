"""JSON that is large, read and written by msgspec: several times as fast as Python's own `json`. Runs in the child.

It gives what `json.loads` and `encoding` give, or nothing at all: then these have to do it. What it writes may differ
in how a number or a control character is written, which no reader of JSON can tell.

Nobody else pays for it: its two dozen modules are imported where that is worth it, by a zygote that was told of large
tasks or by a worker that has a very large one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from gc import get_referents
from typing import Any

from runner.execution.sandbox import parts
from runner.execution.sandbox.child.levels import CONTAINERS, MOST_LEVELS, keys_in

WORTH_LOADING = 2 * 1024**2
"""From how many bytes on it is faster to import msgspec first, which takes a worker some 15 ms, than not to."""

HEAD = 1024
"""How many bytes of the items are searched for keys that would take more memory this way."""

LONGEST_SHARED = 32
"""Keys in ASCII of up to so many characters are the same text in all items; of others, msgspec makes one for each item,
which may be more than all the rest."""

MOST_MISSES = 4
"""So many parts of a result may be left to `encoding` before it is no longer tried."""


class _Msgspec:
    """What is needed of it, once it is loaded."""

    def __init__(self) -> None:
        import msgspec

        self.decode: Callable[[memoryview], Any] = msgspec.json.decode
        self.encode_into: Callable[[Any, bytearray], None] = msgspec.json.Encoder().encode_into


loaded: list[_Msgspec | None] = []
"""Nothing until it is asked for, and None if it cannot be had."""


def load() -> bool:
    """Import it, if it can be; whether it has been there not before but is now."""
    if loaded:
        return False
    loaded.append(None)
    with contextlib.suppress(Exception):  # such as for lack of memory: nobody depends on it
        loaded[0] = _Msgspec()
    return loaded[0] is not None


def read(document: memoryview) -> Any:
    """The value of a JSON document, which is released then; None, and it is not, if `json` has to read it."""
    if len(document) > WORTH_LOADING:
        load()
    msgspec = loaded[0] if loaded else None
    if msgspec is None or not _shares_keys(document):
        return None
    try:
        value = msgspec.decode(document)
    except (ValueError, RecursionError, MemoryError):  # such as half an emoji, or a number that is out of range
        return None
    if value is not None:  # or else it is read again
        document.release()
    return value


def _shares_keys(document: memoryview) -> bool:
    """Whether the keys of the first items can be shared with those that follow."""
    head = bytes(document[: 64 * HEAD])
    start = max(head.find(b'"items":['), 0)
    ends_of_keys = head[start : start + HEAD].split(b'":')[:-1]
    keys = [before[before.rfind(b'"') + 1 :] for before in ends_of_keys]
    return all(len(key) <= LONGEST_SHARED and key.isascii() for key in keys)


def written(values: Any) -> bytes | None:
    """What is in a list or a dict as JSON, without the brackets around it; nothing if that is too long for a part.

    None if it has to be written by `encoding`. Takes no more memory than a part, whatever the values are.
    """
    msgspec = loaded[0] if loaded else None
    if msgspec is None:
        return None
    buffer = bytearray(parts.PART_LIMIT + 2)
    with memoryview(buffer) as view:  # which keeps the buffer from growing
        try:
            msgspec.encode_into(values, buffer)
            return bytes(view[1 : len(buffer) - 1]) if _is_plain(values) else None
        except BufferError:
            return b""
        except Exception:  # noqa: BLE001 - what a method of a value raises, as it will again when `encoding` writes it
            return None


def whole(values: list[Any]) -> bytes | None:
    """A list as JSON, if that fits into one part; None if not, or if it has to be written by `encoding`."""
    document = written(values) if loaded and len(values) < parts.MOST_BRACKETS else None
    if not document or len(document) > parts.PART_LIMIT - 2 or parts.brackets_in(document) >= parts.MOST_BRACKETS:
        return None
    return b"[%b]" % document


def _is_plain(values: Any) -> bool:
    """Whether there is nothing but what JSON has in values that were just written, which bounds how many there are.

    Only that does msgspec write as `encoding` does: it may know other types too, but has other forms for them.
    """
    level = [values]
    for _ in range(MOST_LEVELS):
        kinds = set(map(type, level))
        if keys_in(level, kinds) is None:
            return False
        if kinds.isdisjoint(CONTAINERS):
            return True
        level = get_referents(*level)
    return False
