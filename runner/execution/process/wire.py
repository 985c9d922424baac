"""What runner and child say to each other: frames with a kind and a length, over one socket, both ways.

To the child goes one TASK. From the child come any number of PRINTs, then one RESULT or one ERROR; all carry JSON.
The runner trusts none of it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

TASK = 1
PRINT = 2
RESULT = 3
ERROR = 4

HEADER = struct.Struct("!BI")
"""A frame begins with its kind (1 byte) and the length of what follows (4 bytes, at most 4 GiB - 1)."""


def pack(kind: int, payload: bytes) -> Iterator[bytes]:
    """A frame, in pieces that are to be sent one after the other."""
    yield HEADER.pack(kind, len(payload))
    yield payload


def write_frame(descriptor: int, kind: int, payload: bytes) -> None:
    """Write one frame, waiting as long as it takes."""
    for piece in pack(kind, payload):
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]


def read_frame(descriptor: int) -> tuple[int, bytearray]:
    """Read one frame, waiting as long as it takes.

    Raises:
        EOFError: the other side is gone.
    """
    kind, length = HEADER.unpack(_read_exactly(descriptor, HEADER.size))
    return kind, _read_exactly(descriptor, length)


def _read_exactly(descriptor: int, length: int) -> bytearray:
    payload = bytearray(length)
    view = memoryview(payload)
    while view:
        count = os.readv(descriptor, [view])
        if count == 0:
            raise EOFError("the other side is gone")
        view = view[count:]
    return payload
