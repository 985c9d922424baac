"""A line that says how long something has been running: on a terminal only, and gone when it is over."""

from __future__ import annotations

from typing import Self, TextIO

from runner.clock import Alarm, Clock, SystemClock

PATIENCE = 0.5
"""How long something may take before anything is shown, in seconds."""

TICK = 0.1
"""How often the line changes, in seconds."""


class Progress:
    """`running ... 1.2 s`, while the context lasts; lines that are said meanwhile stay above it."""

    def __init__(self, stream: TextIO, clock: Clock | None = None) -> None:
        """Progress on `stream`, if that is a terminal."""
        self._stream = stream
        self._clock = clock or SystemClock()
        self._alarm = Alarm(self._clock, self._tick)
        self._is_terminal = stream.isatty()
        self._shown = False

    def __enter__(self) -> Self:
        """Begin to count; needs a running event loop."""
        self._began = self._clock.now()
        if self._is_terminal:
            self._alarm.set(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self._alarm.stop()
        self._clear()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._clear()
        print(line, file=self._stream, flush=True)

    def _tick(self) -> None:
        self._stream.write(f"\rrunning ... {self._clock.now() - self._began:.1f} s")
        self._stream.flush()
        self._shown = True
        self._alarm.set(TICK)

    def _clear(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False
