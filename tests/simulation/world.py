"""The world of one real runner, as the rules of the connection lifecycle want to see it.

Nothing here is told what to do: a picture is made of what is really alive, that is the sockets of the network, the
tasks of the event loop, the timers of the runner's clock, and the runner's own tasks.

The machine hears of things through its mailbox. What is over but has not been heard of, such as an attempt that has
failed, counts as alive while its message is the one that the state waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runner import AuthenticationFailed, TaskRunner
from runner.clock import Alarm
from runner.connection.driver import Posted
from statemachine import REST_STATES, ConnectionEvent, ConnectionMachine, ConnectionState, ConnectionStep, TaskState
from statemachine.testing import Coroutine, Picture, Role, Start, Timer, World
from tests.simulation.clock import SimulatedClock
from tests.simulation.network import Network

_S, _E = ConnectionState, ConnectionEvent

OWN = "simulated: "
"""How the names of the simulation's own coroutines begin."""

ANSWERING = "question "
"""How those begin in which the broker answers what a task asks: in the same event loop, and not the runner's."""

TIMERS = {
    "_registration_overdue": Timer.REGISTRATION,
    "_retry_now": Timer.RETRY,
    "_idle": Timer.IDLE,
    "_grown_old": Timer.AGE,
}
"""What an alarm calls, and which timer of the table it is."""

RECEIVING = frozenset({"reader of connection", "writer of connection"})
OPENING = "opening of connection"
"""What coroutines are called before the number of their connection."""

CONNECTED = (_S.AUTHENTICATED, _S.LISTENING)

NEWS = {
    _S.CONNECTING: (_E.REFUSED, _E.UNREACHABLE),
    _S.AUTHENTICATED: (_E.LOST,),
    _S.LISTENING: (_E.LOST,),
    _S.SHUTTING_DOWN: (_E.CLOSED,),
}
"""The news of its connection's end that a state may have in its mailbox."""


class SimulatedWorld(World):
    """Watches one runner, and hands each step to `judge` when it has been performed."""

    def __init__(
        self,
        runner: TaskRunner,
        clock: SimulatedClock,
        network: Network,
        judge: Callable[[SimulatedWorld, ConnectionMachine, ConnectionStep], None],
    ) -> None:
        super().__init__()
        self.runner = runner
        self.clock = clock
        self.network = network
        self.start: asyncio.Task[None] | None = None
        """The coroutine of the latest `start()`."""
        self.machine: ConnectionMachine = runner._driver._machine
        self._judge = judge
        self._step: ConnectionStep | None = None
        self._unjudged: ConnectionStep | None = None
        self._watch()

    def _watch(self) -> None:
        """Stand between the driver and what it calls."""
        driver: Any = self.runner._driver
        take, abandon, reached = driver._take, driver._abandon, driver._on_state

        async def watched_take(posted: Posted) -> None:
            self._expect(posted.number)
            await take(posted)
            self._performed()

        async def watched_abandon() -> None:
            self._expect(self.machine.number)
            await abandon()
            self._performed()

        def watched_reached(state: ConnectionState) -> None:
            self.announced = self.picture(entered=False)
            reached(state)

        driver._take, driver._abandon, driver._on_state = watched_take, watched_abandon, watched_reached
        self.machine._observers += (self._fired,)

    def _expect(self, spoken_of: int | None) -> None:
        if self.start is not None and self.start.done():
            self.ended()
        self.expect(self.picture(), self.machine.number, spoken_of)

    def _fired(self, step: ConnectionStep) -> None:
        self.fired[step.outcome] += 1
        self._step = step
        self.network.story.tell(
            "runner", f"{step.event.value}: {step.before.value} -> {step.after.value} ({step.outcome.value})", step.why
        )

    def _performed(self) -> None:
        """A step has been performed. One that leads to rest is judged when start() has ended, as it now should."""
        if self._step is None:
            raise AssertionError("nothing was fired")
        step, self._step = self._step, None
        if step.after in REST_STATES and self.start is not None and not self.start.done():
            self._unjudged = step
        else:
            self._look(step)

    def _look(self, step: ConnectionStep) -> None:
        self.now = self.picture()
        self._judge(self, self.machine, step)

    def started(self, start: asyncio.Task[None]) -> None:
        """The owner has called start()."""
        self.start = start

    def ended(self) -> None:
        """start() has ended."""
        if self._unjudged is not None:
            step, self._unjudged = self._unjudged, None
            self._look(step)

    # What is alive

    def picture(self, *, entered: bool = True) -> Picture:
        """What is alive now; `entered` is whether the effects of entering the state have been performed."""
        state, number = self.machine.state, self.machine.number
        names = self.coroutines()
        titled = [name.rpartition(" ") for name in names]
        opening = {int(connection) for title, _, connection in titled if title == OPENING}
        coroutines = {Coroutine(int(each), Role.RECEIVE) for title, _, each in titled if title in RECEIVING}
        draining = "drain" in names
        if self._has_news(state):
            opening |= {number} if state is _S.CONNECTING else set()
            coroutines |= {Coroutine(number, Role.RECEIVE)} if state in CONNECTED else set()
            draining |= state is _S.SHUTTING_DOWN
        return Picture(
            opening=frozenset(opening),
            sockets=frozenset(socket.number for socket in self.network.open if socket.handed_over),
            timers=self._timers(entered and state is _S.LISTENING),
            coroutines=frozenset(coroutines | self._tasks() | self._offers()),
            draining=draining,
            start=self._where_start_stands(),
        )

    def coroutines(self) -> list[str]:
        """The names of all coroutines of the runner that have not ended."""
        names = [task.get_name() for task in asyncio.all_tasks(self.clock.loop)]
        return [name for name in names if not name.startswith((OWN, ANSWERING))]

    def _has_news(self, state: ConnectionState) -> bool:
        """Whether the mailbox holds the news of an end that the state waits for."""
        news = NEWS.get(state, ())
        return any(posted.event in news and posted.number == self.machine.number for posted in self._mail())

    def _mail(self) -> tuple[Posted, ...]:
        """What is in the mailbox."""
        queue: Any = self.runner._mailbox._queue
        return () if queue is None else tuple(queue._queue)

    def _timers(self, listening: bool) -> frozenset[Timer]:
        """The timers of the table among those that are set on the runner's clock; an alarm says what it calls."""
        called = {getattr(timer.callback, "__self__", None) for timer in self.clock.timers}
        names = {alarm._callback.__name__ for alarm in called if isinstance(alarm, Alarm)}
        excused = {"_idle"} if listening and self._need_not_count_idle_time() else set()
        if listening and self._need_not_grow_old():
            excused.add("_grown_old")
        return frozenset(timer for name, timer in TIMERS.items() if name in names | excused)

    def _need_not_count_idle_time(self) -> bool:
        """The idle timer of the table is there, in effect, while nobody asked for it, a task runs, or it has rung."""
        run = self.runner._run
        called = run is not None and len(run.handlers) > 0
        rung = called or any(posted.event is _E.SHUTDOWN for posted in self._mail())
        return not self.runner.config.is_auto_shutdown_enabled or self.runner.running_tasks > 0 or rung

    def _need_not_grow_old(self) -> bool:
        """The age timer of the table is there, in effect, while a connection cannot be renewed, or is about to be."""
        config = self.runner.config
        return not (config.max_connection_age and config.auth_token) or self.runner._effects._renewal is not None

    def _tasks(self) -> set[Coroutine]:
        """The tasks that hold a slot: those in flight, and those that are being killed."""
        return {
            Coroutine(
                task._channel.number,  # type: ignore[attr-defined] # the channel is the link of a connection
                Role.KILLED_TASK if task.state is TaskState.ABORTING else Role.TASK,
            )
            for task in self.runner._workload._tasks.values()
        }

    def _offers(self) -> set[Coroutine]:
        """The making of offers."""
        books = [served.offers for served in self.runner._workload._types.values()]
        offering = any(book._making or len(book) for book in books)
        return {Coroutine(self.machine.number, Role.OFFER)} if offering else set()

    def _where_start_stands(self) -> Start:
        if self.start is None:
            return Start.NOT_CALLED
        if not self.start.done():
            return Start.RUNNING
        if self.start.cancelled():  # in the last moment, by its owner, who did not want to hear of a refusal
            return Start.REFUSED if self.machine.state is _S.AUTH_FAILED else Start.STOPPED
        refused = isinstance(self.start.exception(), AuthenticationFailed)
        return Start.REFUSED if refused else Start.STOPPED
