"""Bytes on their way to n8n and back: there they are objects, `{"type": "Buffer", "data": [0, 255, …]}`.

Runs in the child.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from runner.execution.sandbox import parts
from runner.execution.sandbox.child.given.records import Record
from runner.execution.sandbox.child.writing import ResultWriter

SLICE = 16 * 1024
"""How many bytes make a part: each takes up to four characters."""

START = b'{"type":"Buffer","data":['
END = b"]}"

SEARCHED = 64 * 1024
"""How much is read at a time of the numbers of a buffer, in characters."""

_TEXTS = [str(number) for number in range(256)]

Bytes = (bytes, bytearray, memoryview)


class Params(ResultWriter):
    """Writes the arguments of a call: a list, in which bytes are buffers."""

    def write(self, value: Sequence[Any]) -> None:
        """Write the arguments. Raises what writing a result does."""
        self.open_list()
        for each in value:
            if isinstance(each, Bytes):
                self._flush()
                self._buffer(memoryview(each).cast("B"))
            else:
                self.item(each)
        self.close_list()

    def _buffer(self, content: memoryview) -> None:
        self._open(parts.OBJECT, 0)
        self._send(parts.MEMBERS, b'"type":"Buffer"')
        self._send(parts.KEY, b'"data"')
        self._open(parts.LIST, 0)
        for start in range(0, len(content), SLICE):
            numbers = map(_TEXTS.__getitem__, content[start : start + SLICE])
            self._send(parts.VALUES, ",".join(numbers).encode("ascii"))
        self._close()
        self._close()


def loaded(document: bytes | bytearray) -> Any:
    """What n8n has answered: records for objects, and bytes for a buffer, or for the `body` that is one."""
    if document.startswith(START) and document.endswith(END):
        return _bytes_of(document)
    value = json.loads(document, object_hook=Record)
    if type(value) is Record and is_buffer(value.get("body")):
        value["body"] = bytes(value["body"]["data"])
    return bytes(value["data"]) if is_buffer(value) else value


def is_buffer(value: Any) -> bool:
    """Whether a value stands for bytes."""
    return type(value) is Record and value.keys() == {"type", "data"} and value["type"] == "Buffer"


def _bytes_of(document: bytes | bytearray) -> bytes:
    """The bytes of a buffer, read a little at a time: as a list of numbers, they would take eight times the memory."""
    content = bytearray()
    start, end = len(START), len(document) - len(END)
    while start < end:
        stop = document.find(b",", start + SEARCHED, end)
        stop = end if stop < 0 else stop
        content += bytes(json.loads(b"[" + document[start:stop] + b"]"))
        start = stop + 1
    return bytes(content)
