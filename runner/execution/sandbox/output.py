"""What a process writes to its standard output and error: the last of it is kept, for explanations."""

from __future__ import annotations

import asyncio
import os

OUTPUT_KEPT = 8192
"""How much is kept, in bytes."""

CHUNK = 64 * 1024
"""How much is read at a time, in bytes."""

MOST_CHUNKS = 16
"""How many of these a pipe holds at most, unless somebody goes on filling it."""


class Output:
    """The reading end of a pipe that a process writes to, kept until it is closed."""

    def __init__(self, descriptor: int) -> None:
        """The pipe at a `descriptor`. Nobody reads it yet, and whoever writes more than it holds waits."""
        self._descriptor = descriptor
        self._kept = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Of who reads it, if anybody does."""
        self._is_open = True

    def listen(self) -> None:
        """Read what is written from here on, as it comes."""
        if self._is_open and self._loop is None:
            self._loop = asyncio.get_running_loop()
            os.set_blocking(self._descriptor, False)
            self._loop.add_reader(self._descriptor, self._read)

    def _read(self) -> bool:
        """Read some of it, and say whether there was any."""
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return False
        if not data and self._loop is not None:
            self._loop.remove_reader(self._descriptor)
        self._kept += data
        del self._kept[:-OUTPUT_KEPT]
        return bool(data)

    def text(self) -> str:
        """What there is so far."""
        self.listen()
        for _ in range(MOST_CHUNKS):
            if not self._is_open or not self._read():
                break
        return self._kept.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Read no further."""
        if self._is_open:
            self._is_open = False
            if self._loop is not None:
                self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
