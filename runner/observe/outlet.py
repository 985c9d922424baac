"""A text stream that never waits: what cannot be written at once is written by a thread, or in the end left out.

A log goes to whoever has started the runner, and if that stops reading, a pipe is full after 64 KiB. Whoever writes to
it then stands still; here that would be the event loop, with every task and every ping. As long as it is not full, the
thread has nothing to do, and costs nothing.
"""

from __future__ import annotations

import io
import logging
import os
import select
import threading
from collections import deque
from typing import Self, TextIO

log = logging.getLogger(__name__)

MOST_HELD = 4 * 1024 * 1024
"""How much text may wait to be written, in bytes."""

GATHERING = 0.02
"""For how long texts are gathered before they are written together, in seconds: to wake the thread for each would cost
a short task a tenth of the runner's time."""

PATIENCE = 2.0
"""How long the last of it may take, in seconds."""


class Outlet(io.TextIOBase):
    """Writes to the file behind a stream, in the order in which it is written to."""

    def __init__(self, stream: TextIO, most_held: int = MOST_HELD, patience: float = PATIENCE) -> None:
        """An outlet that has not begun. `stream` is not to be written to meanwhile."""
        super().__init__()
        self._is_terminal = stream.isatty()
        stream.flush()
        self._file = stream.fileno()
        self._most_held = most_held
        self._patience = patience
        self._room = select.poll()
        self._room.register(self._file, select.POLLOUT)
        self._lock = threading.RLock()  # what is logged by a destructor may come in the middle of another line
        self._changed = threading.Condition(self._lock)
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._untold = 0
        self._ending = threading.Event()
        self._is_broken = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self.dropped = 0
        """How many texts have been left out."""

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is left, if somebody reads it within the patience."""
        with self._changed:
            self._ending.set()
            self._changed.notify()
        self._thread.join(self._patience)

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._is_terminal

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Have a text written before long, all of it or nothing. Never waits, and raises nothing."""
        data = text.encode("utf-8", "backslashreplace")  # half characters of other people's texts too
        with self._lock:
            if not self._held_bytes:
                data = self._written_at_once(data)
            is_full = self._held_bytes and self._held_bytes + len(data) > self._most_held
            if self._is_broken or is_full:
                self.dropped += 1
                self._untold += 1
            elif data:
                self._held.append(data)
                self._held_bytes += len(data)
                self._changed.notify()
        return len(text)

    def _written_at_once(self, data: bytes) -> bytes:
        """What is left of a text, once as much is written as there is room for."""
        try:
            while data and not self._is_broken and self._room.poll(0):
                data = data[os.write(self._file, data[: select.PIPE_BUF]) :]  # so much fits in a pipe that takes any
        except OSError:  # whoever read it has gone
            self._is_broken = True
        return data

    def _run(self) -> None:
        while (data := self._next()) is not None:
            try:
                self._write_out(data)
            except OSError:  # whoever read it has gone
                with self._changed:
                    self._is_broken = True
                return
            with self._changed:
                self._held_bytes -= len(data)
                untold, self._untold = self._untold, 0
            if untold:
                log.warning("%d lines of this log were left out: nobody has read them in time", untold)

    def _next(self) -> bytes | None:
        """All that is held, once there is something; None when there will be nothing any more."""
        with self._changed:
            while not self._held and not self._ending.is_set():
                self._changed.wait()
        self._ending.wait(GATHERING)
        with self._changed:
            data = b"".join(self._held)
            self._held.clear()
        return data or None

    def _write_out(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
