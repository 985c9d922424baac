"""What the page is told as it happens. However many watch, and however slowly: what is kept is the latest, once.

The runner's sections are looked at when something happens, and every second, as long as anybody watches. Each watcher
is sent what has changed since it was last sent something, so one that reads slowly misses what came in between, and
nothing waits for it in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from runner.clock import Alarm, Clock
from runner.observe.events import ConnectionFailure, TaskFinished, TaskStarted
from runner.observe.observers import Observer
from runner.scope import Scope
from statemachine import Entry

INTERVAL = 1.0
"""How often the sections are looked at when nothing happens, in seconds."""

PAUSE = 0.2
"""How often at most, in seconds."""

MOST_WATCHERS = 16
"""How many may watch at the same time."""


class Watcher:
    """One who watches, and how much it has been sent."""

    def __init__(self) -> None:
        """One who has seen nothing."""
        self.seen = 0
        self.news = asyncio.Event()


class Feed(Observer):
    """The sections of a runner as they change."""

    def __init__(self, look: Callable[[], Awaitable[dict[str, Any]]], clock: Clock, scope: Scope) -> None:
        """A feed that nobody watches.

        Parameters:
            look: returns the sections of this moment by their names.
            scope: the owner of the coroutine that looks.
        """
        self._look = look
        self._clock = clock
        self._scope = scope
        self._version = 0
        self._sections: dict[str, tuple[int, bytes]] = {}
        self._watchers: set[Watcher] = set()
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = 0.0
        self._due = asyncio.Event()
        self._alarm = Alarm(clock, self._due.set)
        self._is_closed = False

    def join(self) -> Watcher | None:
        """Begin to watch; None when there are too many already, or when it is over."""
        if len(self._watchers) >= MOST_WATCHERS or self._is_closed:
            return None
        watcher = Watcher()
        self._watchers.add(watcher)
        if self._looking is None or self._looking.done():
            self._looking = self._scope.spawn(self._run(), "feed of the page")
        self._due.set()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Watch no longer."""
        self._watchers.discard(watcher)

    def close(self) -> None:
        """Send everybody away."""
        self._is_closed = True
        self._alarm.stop()
        for watcher in self._watchers:
            watcher.news.set()

    async def news_for(self, watcher: Watcher) -> bytes | None:
        """What has changed since it was last asked, as server-sent events; waits for it. None when it is over."""
        await watcher.news.wait()
        if self._is_closed:
            return None
        watcher.news.clear()
        seen, watcher.seen = watcher.seen, self._version
        changed = [text for version, text in self._sections.values() if version > seen]
        return b"".join([*changed, event("beat", {"now": self._clock.wall()})])

    async def _run(self) -> None:
        while self._watchers and not self._is_closed:
            self._due.clear()
            self._alarm.set(INTERVAL)
            self._looked_at = self._clock.now()
            self._take(await self._look())
            await self._due.wait()
        self._alarm.stop()

    def _take(self, sections: dict[str, Any]) -> None:
        """Keep what has changed, and tell everybody."""
        self._version += 1
        for name, content in sections.items():
            text = event(name, content)
            if name not in self._sections or self._sections[name][1] != text:
                self._sections[name] = self._version, text
        for watcher in self._watchers:
            watcher.news.set()

    # What happens

    def _wake(self) -> None:
        """Something has happened: look soon, but not as often as things can happen."""
        if self._watchers and not self._is_closed:
            self._alarm.set(max(0.0, self._looked_at + PAUSE - self._clock.now()))

    def on_transition(self, entry: Entry) -> None:
        """Look."""
        self._wake()

    def on_connection_failed(self, failure: ConnectionFailure) -> None:
        """Look."""
        self._wake()

    def on_task_started(self, task: TaskStarted) -> None:
        """Look."""
        self._wake()

    def on_task_finished(self, task: TaskFinished) -> None:
        """Look."""
        self._wake()


def event(name: str, content: Any) -> bytes:
    """A server-sent event with JSON, which has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (name.encode("ascii"), msgspec.json.encode(content))
