"""What runner and child say to each other: frames with a kind and a length, over one socket, both ways.

To the child goes one TASK. From the child come any number of PRINTs, then one RESULT or one ERROR; all carry JSON.
The runner trusts none of it.
"""

from __future__ import annotations

import _thread
import os
import signal
import struct
from collections.abc import Iterator

TASK = 1
PRINT = 2
RESULT = 3
ERROR = 4

HEADER = struct.Struct("!BI")
"""A frame begins with its kind (1 byte) and the length of what follows (4 bytes, at most 4 GiB - 1)."""

TEXTS_LIMIT = 1024**2
"""The longest PRINT or ERROR that is taken, in bytes."""

ALL_SIGNALS = frozenset(signal.valid_signals())


def pack(kind: int, payload: bytes | memoryview) -> Iterator[bytes | memoryview]:
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


class Line:
    """The child's end, for whole frames only, whatever threads and signal handlers do."""

    def __init__(self, descriptor: int) -> None:
        """The line of this process at `descriptor`."""
        self._descriptor = descriptor
        self._owner = os.getpid()
        self._lock = _thread.RLock()

    def is_ours(self) -> bool:
        """Whether this process may use it. One that the user's code has forked may not: it is not the task."""
        return os.getpid() == self._owner

    def send(self, kind: int, payload: bytes) -> None:
        """Write one frame. A signal handler that raises has to wait for its end."""
        with self._lock:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
            try:
                write_frame(self._descriptor, kind, payload)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
