"""Owners of coroutines.

Every coroutine that this project starts belongs to a scope, which awaits it. A scope is cancelled as a whole, and
`cancel()` returns when the last of its coroutines has ended: nothing outlives its owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

OnCrash = Callable[[str, Exception], None]
"""Called with the name of a coroutine and the exception that it ended with."""


async def to_the_end(coroutine: Coroutine[Any, Any, None], name: str) -> None:
    """Run a coroutine that must not be cut short, such as one that cleans up.

    When the caller is cancelled meanwhile, however often, the coroutine still comes to its end first.
    """
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    try:
        await _wait_to_the_end({task})
    finally:
        task.result()


async def _wait_to_the_end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait for the last of some tasks, and only then let a cancellation of the caller go on.

    One that has ended is waited for as well: what is to follow its end, such as a slot falling free, comes first.
    """
    interrupted: asyncio.CancelledError | None = None
    while tasks:
        try:
            await asyncio.wait(tasks)
            break
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


class Scope:
    """A set of coroutines that live and end together. Once cancelled, it takes no more."""

    def __init__(self, on_crash: OnCrash) -> None:
        """An empty scope. `on_crash` hears of every exception that a coroutine did not handle itself."""
        self._on_crash = on_crash
        # in the order in which they were started, which is the order in which they are cancelled
        self._tasks: dict[asyncio.Task[None], Callable[[], None] | None] = {}
        self._cancelled = False

    def __contains__(self, task: object) -> bool:
        """Whether a task of the event loop runs a coroutine of this scope."""
        return task in self._tasks

    def __len__(self) -> int:
        """How many coroutines have not ended yet."""
        return len(self._tasks)

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], name: str, on_end: Callable[[], None] | None = None
    ) -> asyncio.Task[None]:
        """Start a coroutine that this scope owns.

        Parameters:
            name: for people who read tracebacks.
            on_end: called when it has ended, in whichever way, and has left the scope.

        Raises:
            RuntimeError: the scope was cancelled; the coroutine is closed without having run.
        """
        if self._cancelled:
            coroutine.close()
            raise RuntimeError(f"{name} was to start in a scope that has been cancelled")
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks[task] = on_end
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        on_end = self._tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._on_crash(task.get_name(), error)
        if on_end is not None:
            on_end()

    async def join(self) -> None:
        """Wait until all coroutines have ended by themselves, those started meanwhile included."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Cancel all coroutines and wait until the last one has ended.

        Not for the scope's own coroutines, which would wait for themselves. When the caller is cancelled meanwhile, the
        wait still goes on to its end, and the cancellation follows it.
        """
        if asyncio.current_task() in self._tasks:
            raise RuntimeError("a coroutine cannot cancel the scope that it belongs to: it would wait for itself")
        self._cancelled = True
        for task in tuple(self._tasks):
            task.cancel()
        await _wait_to_the_end(self._tasks)
