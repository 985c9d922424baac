"""An event loop on simulated time: it waits for nothing, and goes to the next timer when nothing else is left to do.

`asyncio.timeout`, `asyncio.sleep` and every other part of asyncio that asks the loop for the time work on it as they
are. There are no sockets, no threads and no signals, so the order of callbacks depends on nothing but the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple

Ts = TypeVarTuple("Ts")

MAX_CALLS_AT_ONCE = 1_000_000
"""So many callbacks without time going on are a livelock."""

LAST_WORDS = 60.0
"""How long coroutines may take to end when the loop is abandoned, in seconds."""


class Deadlock(AssertionError):
    """Nothing is left to be done, ever, and something is still being waited for."""


class Livelock(AssertionError):
    """Time does not go on any more."""


class Call(asyncio.TimerHandle):
    """A callback that has yet to be called. Slim: most of a simulation's time goes through here.

    Without a context of its own it is called in the loop's: nothing here sets a context variable outside of tasks.
    """

    __slots__ = ("when_due",)

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[object, ...], context: Context | None
    ) -> None:
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False
        self.when_due = when

    def __repr__(self) -> str:
        return f"<Call of {self._callback!r} at {self.when_due}{', cancelled' if self._cancelled else ''}>"

    def when(self) -> float:
        return self.when_due

    def cancel(self) -> None:
        self._cancelled = True
        self._args = ()

    def cancelled(self) -> bool:
        return self._cancelled


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop whose time is a number."""

    def __init__(self) -> None:
        self._runs = False  # the base class asks
        super().__init__()
        self.set_debug(False)  # the traceback of every task's creation would be most of the work
        self._now = 0.0
        self._calls: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._over = False
        self.problems: list[str] = []
        """What reached nobody but the loop: exceptions of callbacks, and of tasks that nobody asked."""
        self.set_exception_handler(self._note_problem)

    # What asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def is_running(self) -> bool:
        return self._runs

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Call:
        call = Call(self._now, callback, args, context)
        self._calls.append(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Call:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Call:
        call = Call(when, callback, args, context)
        heapq.heappush(self._timers, (when, next(self._order), call))
        return call

    def stop(self) -> None:
        self._over = True

    def run_forever(self) -> None:
        self._check_closed()
        events._set_running_loop(self)
        self._runs = True
        try:
            while not self._over:
                self._turn()
        finally:
            self._over = False
            self._runs = False
            events._set_running_loop(None)

    def _check_closed(self) -> None:
        if self.is_closed():
            raise RuntimeError("the simulation is over")

    # How it runs

    def _turn(self) -> None:
        """Make every call that is due, and those that follow from them; then go to the next timer."""
        calls = self._calls
        budget = MAX_CALLS_AT_ONCE
        while calls:
            budget -= 1
            if budget < 0:
                raise Livelock(f"at {self._now:.3f} s, with {calls[0]!r} next")
            call = calls.popleft()
            if not call._cancelled:
                try:
                    if call._context is None:
                        call._callback(*call._args)
                    else:
                        call._context.run(call._callback, *call._args)
                except Exception as error:  # noqa: BLE001 - as every event loop does
                    self.call_exception_handler({"message": f"in {call!r}", "exception": error})
            if self._over:
                return
        self._go_on()

    def _go_on(self) -> None:
        """Let time go on to the next timer, and let all that are due then ring in order."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            waiting = sorted(task.get_name() for task in asyncio.all_tasks(self))
            raise Deadlock(f"at {self._now:.3f} s nothing is left to be done, but these still wait: {waiting}")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._calls.append(heapq.heappop(timers)[2])

    def _note_problem(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    def abandon(self) -> None:
        """End, and everything with it: what still waits is cancelled, and has a while to clean up."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        end = self._now + LAST_WORDS
        events._set_running_loop(self)
        try:
            with contextlib.suppress(Deadlock, Livelock):
                while asyncio.all_tasks(self) and self._now < end:
                    self._over = False
                    self._turn()
        finally:
            events._set_running_loop(None)
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._calls.clear()
        self._timers.clear()
        self.close()

    # What can be seen

    @property
    def pending(self) -> list[Call]:
        """The timers that have yet to ring."""
        return [call for _, _, call in sorted(self._timers, key=lambda entry: entry[:2]) if not call.cancelled()]
