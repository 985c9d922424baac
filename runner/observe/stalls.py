"""Watches an event loop: when it stands still, no ping is answered and no task is taken, and somebody has to know why.

    watch = StallWatch(on_stall)
    with watch, asyncio.Runner(loop_factory=watch.new_loop) as loop_runner:
        loop_runner.run(...)

The loop says when it begins to work and when it waits; a thread looks whether it has been working for too long. While
the loop has next to nothing to do, so has the thread: an idle process should not wake up.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Self

log = logging.getLogger(__name__)

LIMIT = 0.5
"""How long the loop may be busy with one thing, in seconds."""

LOOKS = 4
"""How often it is looked after within the limit, until a look finds it waiting."""

DOZES = 10
"""How long it is not looked after while it is idle, in limits: what holds it up then is found later, if it lasts."""

SHORT_WAITS = 4
"""After how many waits in a row that were shorter than the limit the loop is idle no longer."""

FRAMES_SHOWN = 6


class StallWatch:
    """A watch of one event loop, which it makes itself."""

    def __init__(self, on_stall: Callable[[float], None] = lambda _: None, limit: float = LIMIT) -> None:
        """A watch that has not begun.

        Parameters:
            on_stall: told of each stall when it is over: how long it was, in seconds. Called by the loop.
            limit: what counts as a stall, in seconds.
        """
        self._on_stall = on_stall
        self._limit = limit
        self._working_since = 0.0
        """Since when the loop has been working; 0 while it waits."""
        self._waiting_since = 0.0
        """Since when it waits, or has waited last."""
        self._short_waits = 0
        """How many short waits there were in a row since nobody looks after it."""
        self._shown = 0.0
        """The last `_working_since` of which it has been logged where it was."""
        self._loop_thread = threading.get_ident()
        self._is_needed = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall watch", daemon=True)

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that is watched."""
        return asyncio.SelectorEventLoop(_Selector(self.waits, self.works))

    def __enter__(self) -> Self:
        """Begin to watch the loop, which runs in the thread that calls this."""
        self._loop_thread = threading.get_ident()
        self._is_needed.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no longer."""
        self._is_over.set()
        self._is_needed.set()
        self._thread.join()

    def works(self) -> None:
        """The loop has something to do."""
        self._working_since = now = time.monotonic()
        if not self._is_needed.is_set():
            self._short_waits = self._short_waits + 1 if now - self._waiting_since < self._limit else 0
            if self._short_waits > SHORT_WAITS:  # not at once: to wake the thread takes half as long as an idle turn
                self._is_needed.set()

    def waits(self) -> None:
        """The loop has done it."""
        since, self._working_since = self._working_since, 0.0
        self._waiting_since = now = time.monotonic()
        took = now - since if since else 0.0
        if took > self._limit:
            log.warning("The event loop stood still for %.1f s; no ping was answered and no task taken meanwhile", took)
            self._on_stall(took)

    def _watch(self) -> None:
        while not self._is_over.is_set():
            if not self._is_needed.wait(DOZES * self._limit):
                self._look()
                continue
            while self._is_needed.is_set() and not self._is_over.wait(self._limit / LOOKS):
                self._look()
                if not self._working_since:
                    self._short_waits = 0
                    self._is_needed.clear()

    def _look(self) -> None:
        """Log where the loop is, if it has been there for too long: once for each time."""
        since = self._working_since
        if since and since != self._shown and time.monotonic() - since > self._limit:
            self._shown = since
            frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - there is no other way to it
            frames = traceback.extract_stack(frame)[-FRAMES_SHOWN:] if frame is not None else []
            where = " <- ".join(f"{each.name} ({each.filename}:{each.lineno})" for each in reversed(frames))
            log.warning("The event loop has stood still for %g s, in %s", self._limit, where)


class _Selector(selectors.DefaultSelector):
    """The selector of the watched loop: between two calls of `select`, the loop works."""

    def __init__(self, waits: Callable[[], None], works: Callable[[], None]) -> None:
        super().__init__()
        self._waits = waits
        self._works = works

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        self._waits()
        try:
            return super().select(timeout)
        finally:
            self._works()
