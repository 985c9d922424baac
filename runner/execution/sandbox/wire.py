"""What runner, zygote and workers say to each other: frames with a kind and a length, over sockets, both ways.

Two kinds of sockets. The control line joins the runner and the zygote, which the runner trusts little once it has
forked a task, and obeys. A task's line joins the runner and one worker: to the worker goes one TASK; from it come
one COMPILED if the code had to be compiled, PRINTs, the parts of a result (see `parts`), and one ERROR or the result's
end. While the code runs, it may ask: what it asks comes in PARTs, and a QUESTION says that they are complete and what
they are for; one ANSWER to each goes to the worker, in any order. What a task LEAVES beside its result comes in PARTs
as well. The runner trusts none of it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import os
import select
import signal
import struct
from collections.abc import Iterable, Mapping

# On a task's line
TASK = 1
PRINT = 2
ERROR = 4
COMPILED = 5
PART = 6
QUESTION = 7
LEAVES = 8
ANSWER = 9

# On the control line, to the zygote
ORDER = 64
FORK = 65
KILL = 66
LARGE = 67

# On the control line, from the zygote
IMPORTING = 80
READY = 81
FORKED = 82
NOT_FORKED = 83
ENDED = 84
LEFT_THREADS = 85

MEANINGS = {
    TASK: "the compiled code if it is known (4 bytes of length before it), and the settings of a task",
    PRINT: "the arguments of one call of print, as a JSON list of texts",
    ERROR: "why the task has no result, as JSON; nothing follows",
    COMPILED: "the code, compiled; nothing if it is too long; before any of it runs, so that it has no say in it",
    PART: "a part of what is asked or left behind: its kind (1 byte), and its payload (see `parts`)",
    QUESTION: "asks: its number (4 bytes), and a function of n8n's or `data`; what is asked are the parts before it",
    LEAVES: "leaves behind what the parts before it are: `customData` or `staticData`",
    ANSWER: "to a worker: the number of its question (4 bytes), whether it was refused (1 byte), and JSON: what was "
    "asked for, or n8n's error",
    ORDER: "what the zygote is to be, as JSON (see `order`)",
    FORK: "fork a worker; its standard input and output and its line come along as descriptors",
    KILL: "kill a worker: its number (4 bytes)",
    LARGE: "tasks are large: from now on workers are to have what reads and writes much JSON; no payload",
    IMPORTING: "a module is about to be imported: its name",
    READY: "workers can be forked: what was achieved, as JSON",
    FORKED: "a worker's number (4 bytes)",
    NOT_FORKED: "there is no worker: why, as text",
    ENDED: "a worker is gone: its number and its wait status (4 bytes each)",
    LEFT_THREADS: "a module has left threads running, so this zygote cannot fork: its name",
}
"""Each kind of frame but the parts of a result: what its payload is."""

HEADER = struct.Struct("!BI")
"""A frame begins with its kind (1 byte) and the length of what follows (4 bytes, at most 4 GiB - 1)."""

NUMBER = struct.Struct("!I")
ANSWERED = struct.Struct("!I?")
END = struct.Struct("!Ii")

TEXTS_LIMIT = 1024**2
"""The longest PRINT or ERROR that is taken, in bytes."""

PRINTS_LIMIT = 8 * 1024**2
"""The longest that all PRINTs of a task together may be, in bytes: n8n holds them in memory, and the log on disk."""

LAST_PRINT_LIMIT = 1024
"""How much of that is kept for the line about what was left out, in bytes."""

COMPILED_LIMIT = 4 * 1024**2
"""The longest COMPILED that is taken, in bytes."""

QUESTION_LIMIT = 256 * 1024**2
"""The longest question that is taken, all its PARTs together, in bytes. A byte of a file becomes three or four here."""

NAME_LIMIT = 64
"""The longest QUESTION or LEAVES that is taken, in bytes."""

MOST_OPEN = 8
"""How many questions a task may have open at a time. Until one is answered, no more is taken from its line."""

DATA = "data"
"""What a QUESTION is for that asks for data of the execution, and not for a function."""

CUSTOM_DATA = "customData"
STATIC_DATA = "staticData"

EXIT_NOT_CONFINED = 70
"""How a worker exits that could not confine itself as it was promised."""

# `signal` would make enumerations of them, which takes longer than all the rest of a short message
ALL_SIGNALS = frozenset(map(int, signal.valid_signals()))

FIRST_PIECE = 16 * 1024
"""How much of a frame is read at once, in bytes, before its length is known."""

PIECE = 256 * 1024
"""Frames up to this size are written with one system call, for which they are copied once. In bytes."""


TOGETHER = 128 * 1024
"""From how many bytes on it is written what is held back to be written together with what follows."""

MOST_TOGETHER = 256
"""From how many frames on it is written in any case: the kernel takes 1,024 pieces at a time."""


def pack(kind: int, payload: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    """A frame, in pieces that are to be sent one after the other."""
    header = HEADER.pack(kind, len(payload))
    return (header + payload,) if len(payload) <= PIECE else (header, payload)


def write_frame(descriptor: int, kind: int, payload: bytes) -> None:
    """Write one frame, waiting as long as it takes."""
    for piece in pack(kind, payload):
        _write(descriptor, piece)


def _write(descriptor: int, piece: bytes | memoryview) -> None:
    written = os.write(descriptor, piece)
    if written < len(piece):
        view = memoryview(piece)[written:]
        while view:
            view = view[os.write(descriptor, view) :]


def read_frame(descriptor: int) -> tuple[int, bytearray]:
    """Read one frame and nothing behind it, waiting as long as it takes.

    Raises:
        EOFError: the other side is gone.
    """
    header = bytearray(HEADER.size)
    _read_exactly(descriptor, memoryview(header), 0)
    kind, length = HEADER.unpack(header)
    payload = bytearray(length)
    _read_exactly(descriptor, memoryview(payload), 0)
    return kind, payload


class FrameReader:
    """Reads one frame behind which nothing comes yet: in one go if it is short, into memory that is there already."""

    def __init__(self, descriptor: int) -> None:
        """A reader that has read nothing yet."""
        self._descriptor = descriptor
        self._header_size = HEADER.size
        self._buffer = memoryview(bytearray(FIRST_PIECE))
        self._buffers = [self._buffer]

    def read(self) -> memoryview:
        """What the frame says, once it has come. What its kind is, those who send it know.

        Raises:
            EOFError: the other side is gone.
        """
        filled = os.readv(self._descriptor, self._buffers)
        if filled < self._header_size:  # with nothing yet, or in a thousand pieces
            _read_exactly(self._descriptor, self._buffer[: self._header_size], filled)
            filled = self._header_size
        whole = self._header_size + HEADER.unpack_from(self._buffer)[1]
        if filled == whole:
            return self._buffer[self._header_size : whole]
        frame = memoryview(bytearray(whole))
        frame[:filled] = self._buffer[:filled]
        _read_exactly(self._descriptor, frame, filled)
        return frame[self._header_size :]


def _read_exactly(descriptor: int, payload: memoryview, filled: int) -> None:
    """Fill what is left of a payload."""
    view = payload[filled:]
    while view:
        count = os.readv(descriptor, [view])
        if count == 0:
            raise EOFError("the other side is gone")
        view = view[count:]


class Cutter:
    """Cuts what comes in into frames."""

    def __init__(self) -> None:
        """Nothing has come in yet."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what has come in."""
        self._buffer += data

    def frame(self, limits: Mapping[int, int]) -> tuple[int, bytes] | None:
        """The next frame, if it is complete.

        Parameters:
            limits: the kinds that are taken, and how long each may be, in bytes.

        Raises:
            ValueError: it is of another kind, or longer; told as soon as it begins.
        """
        buffer = self._buffer
        if len(buffer) < HEADER.size:
            return None
        kind, length = HEADER.unpack_from(buffer)
        if length > limits.get(kind, -1):
            raise ValueError(f"a frame of kind {kind} with {length} bytes is not taken")
        end = HEADER.size + length
        if len(buffer) < end:
            return None
        payload = bytes(memoryview(buffer)[HEADER.size : end])
        del buffer[:end]
        return kind, payload


class Line:
    """The worker's end, for whole frames only, whatever threads and signal handlers do."""

    def __init__(self, descriptor: int) -> None:
        """The line of this process at `descriptor`."""
        self._descriptor = descriptor
        self._owner = os.getpid()
        self._lock = _thread.RLock()
        self._reading = _Reading()
        self._held: list[bytes] = []
        self._held_size = 0

    def claim(self) -> None:
        """Make it this process's own, which may have been forked since this object was made."""
        self._owner = os.getpid()

    def is_ours(self) -> bool:
        """Whether this process may use it. One that the user's code has forked may not: it is not the task."""
        return os.getpid() == self._owner

    def send(self, kind: int, payload: bytes) -> None:
        """Write one frame. A signal handler that raises has to wait for its end."""
        with self._lock:
            before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL_SIGNALS)
            try:
                write_frame(self._descriptor, kind, payload)
            finally:
                _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    def post(self, kind: int, payload: bytes) -> None:
        """Write one frame, if need be not before `conclude`, so that the other side is woken once for many.

        What is sent meanwhile comes first. A signal handler that raises has to wait for its end.
        """
        with self._lock:
            before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL_SIGNALS)
            try:
                self._held += (HEADER.pack(kind, len(payload)), payload)
                self._held_size += len(payload)
                if self._held_size >= TOGETHER or len(self._held) >= 2 * MOST_TOGETHER:
                    self._write_held()
            finally:
                _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    def conclude(self, frames: Iterable[tuple[int, bytes]]) -> None:
        """Write what has been posted, then these, and nothing ever after, as this process is to end now.

        Neither threads nor signal handlers get another turn. A process that the user's code has forked writes nothing.
        """
        self._lock.acquire()
        _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL_SIGNALS)
        if os.getpid() == self._owner:
            for kind, payload in frames:
                self._held += (HEADER.pack(kind, len(payload)), payload)
            self._write_held()

    def _write_held(self) -> None:
        held, self._held, self._held_size = self._held, [], 0
        written = os.writev(self._descriptor, held)
        if written < sum(map(len, held)):
            _write(self._descriptor, memoryview(b"".join(held))[written:])

    def receive(self) -> tuple[int, bytearray] | None:
        """The next frame, or nothing if this is not the whole of it yet; waits until there is something.

        For one thread at a time. A signal handler that raises loses nothing of what has come.

        Raises:
            EOFError: the other side is gone.
            MemoryError: the frame is larger than the memory that is left. It is read and dropped.
        """
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        waiting.poll()
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL_SIGNALS)
        try:
            return self._reading.step(self._descriptor)
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


class _Reading:
    """A frame that is being read, as far as it has come."""

    def __init__(self) -> None:
        self._header = self._payload = bytearray()
        self._filled = self._to_drop = 0

    def step(self, descriptor: int) -> tuple[int, bytearray] | None:
        """Read once, which does not wait when something has come; the frame, if it is complete now."""
        if self._to_drop:
            self._to_drop -= len(_some(descriptor, min(self._to_drop, PIECE)))
            return None
        if len(self._header) < HEADER.size:
            self._header = self._header + _some(descriptor, HEADER.size - len(self._header))
            if len(self._header) < HEADER.size:
                return None
            self._begin(HEADER.unpack(self._header)[1])
        elif self._filled < len(self._payload):
            count = os.readv(descriptor, [memoryview(self._payload)[self._filled :]])
            if not count:
                raise EOFError("the other side is gone")
            self._filled += count
        if self._filled < len(self._payload):
            return None
        kind, payload = HEADER.unpack(self._header)[0], self._payload
        self._header = self._payload = bytearray()
        self._filled = 0
        return kind, payload

    def _begin(self, length: int) -> None:
        try:
            self._payload = bytearray(length)
        except MemoryError:
            self._header, self._to_drop = bytearray(), length
            raise


def _some(descriptor: int, most: int) -> bytes:
    found = os.read(descriptor, most)
    if not found:
        raise EOFError("the other side is gone")
    return found
