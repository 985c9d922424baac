"""The connection lifecycle of a task runner, as a table, and the machine that follows it.

Seven states, no others. All rules about what may happen to a connection, and what is to be done about it, are rows
below; this module does not know who performs the effects, nor over which transport.

Connection numbers
------------------
Every attempt to connect has a number, one higher than the one before. An event speaks of the connection whose number
it carries; one that speaks of an earlier connection is *stale*: it is counted, journalled, and changes nothing. So a
late answer of a lost connection can never disturb the next one. (A number that no connection had yet is stale too:
it can only be a mistake.) `connect` and `shutdown` come from the owner of the
runner and speak of no connection.

The cycle of a runner that works: `disconnected` - `connecting` - `authenticated` - `listening`. A connection that
is lost goes through `backoff` and comes back; one that has grown old is renewed without it; a refused credential ends
in `auth_failed`; `shutdown` leads to `disconnected` from everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from statemachine.diagram import DrawableMachine
from statemachine.journal import Entry, Journal
from statemachine.machine import (
    EffectRow,
    EventRow,
    Lifecycle,
    Outcome,
    StateRow,
    Step,
    Table,
    TransitionRow,
)


class ConnectionState(Enum):
    """Where a connection stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    AUTHENTICATED = "authenticated"
    LISTENING = "listening"
    BACKOFF = "backoff"
    AUTH_FAILED = "auth_failed"
    SHUTTING_DOWN = "shutting_down"


class ConnectionEvent(Enum):
    """What can happen to a connection."""

    CONNECT = "connect"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    REGISTERED = "registered"
    LOST = "lost"
    RETRY = "retry"
    RENEW = "renew"
    SHUTDOWN = "shutdown"
    CLOSED = "closed"


class ConnectionEffect(Enum):
    """What a step asks its performer to do."""

    OPEN_SOCKET = "open_socket"
    ABANDON_OPENING = "abandon_opening"
    START_RECEIVING = "start_receiving"
    START_REGISTRATION_TIMER = "start_registration_timer"
    STOP_REGISTRATION_TIMER = "stop_registration_timer"
    START_OFFERS = "start_offers"
    STOP_OFFERS = "stop_offers"
    START_IDLE_TIMER = "start_idle_timer"
    STOP_IDLE_TIMER = "stop_idle_timer"
    START_AGE_TIMER = "start_age_timer"
    STOP_AGE_TIMER = "stop_age_timer"
    CANCEL_CONNECTION = "cancel_connection"
    START_RETRY_TIMER = "start_retry_timer"
    STOP_RETRY_TIMER = "stop_retry_timer"
    REPORT_REFUSAL = "report_refusal"
    DRAIN = "drain"
    KILL_TASKS = "kill_tasks"
    REST = "rest"


ConnectionStep = Step[ConnectionState, ConnectionEvent, ConnectionEffect]

_S, _E, _F = ConnectionState, ConnectionEvent, ConnectionEffect

UNNUMBERED = frozenset({_E.CONNECT, _E.SHUTDOWN})
"""Events of the runner's owner: they speak of no connection and are never stale."""

CONNECTION: Table[ConnectionState, ConnectionEvent, ConnectionEffect] = Table(
    name="connection",
    meaning="The connection of a task runner to its task broker.",
    initial=_S.DISCONNECTED,
    states=(
        StateRow(
            _S.DISCONNECTED,
            "Not started, or stopped: nothing is open and nothing is pending.",
            leads_to=(_S.CONNECTING,),
            entering=(_F.REST,),
        ),
        StateRow(
            _S.CONNECTING,
            "A credential is fetched and the socket is being opened.",
            leads_to=(_S.AUTHENTICATED, _S.AUTH_FAILED, _S.BACKOFF, _S.SHUTTING_DOWN),
            entering=(_F.OPEN_SOCKET,),
            leaving=(_F.ABANDON_OPENING,),
        ),
        StateRow(
            _S.AUTHENTICATED,
            "The socket is open; the broker has yet to register the runner.",
            leads_to=(_S.LISTENING, _S.BACKOFF, _S.SHUTTING_DOWN),
            entering=(_F.START_RECEIVING, _F.START_REGISTRATION_TIMER),
            leaving=(_F.STOP_REGISTRATION_TIMER,),
        ),
        StateRow(
            _S.LISTENING,
            "Registered: slots are offered and tasks are taken.",
            leads_to=(_S.CONNECTING, _S.BACKOFF, _S.SHUTTING_DOWN),
            entering=(_F.START_OFFERS, _F.START_IDLE_TIMER, _F.START_AGE_TIMER),
            leaving=(_F.STOP_OFFERS, _F.STOP_IDLE_TIMER, _F.STOP_AGE_TIMER),
        ),
        StateRow(
            _S.BACKOFF,
            "No connection; the next attempt follows after the retry delay.",
            leads_to=(_S.CONNECTING, _S.SHUTTING_DOWN),
            entering=(_F.START_RETRY_TIMER,),
            leaving=(_F.STOP_RETRY_TIMER,),
        ),
        StateRow(
            _S.AUTH_FAILED,
            "The broker refused the credential: start() has raised, and only its owner can try again.",
            leads_to=(_S.CONNECTING, _S.SHUTTING_DOWN),
            entering=(_F.REPORT_REFUSAL,),
        ),
        StateRow(
            _S.SHUTTING_DOWN,
            "Tasks in flight get the graceful timeout; their results may still be sent.",
            leads_to=(_S.DISCONNECTED,),
            entering=(_F.DRAIN,),
        ),
    ),
    events=(
        EventRow(_E.CONNECT, "start() was called."),
        EventRow(_E.ACCEPTED, "The upgrade was answered with 101: the credential was good."),
        EventRow(_E.REFUSED, "401 or 403: this credential will never do."),
        EventRow(_E.UNREACHABLE, "Any other failure to connect: refused, timeout, DNS, TLS, 429, 5xx."),
        EventRow(_E.REGISTERED, "The broker said broker:runnerregistered."),
        EventRow(_E.LOST, "Closed, reset, no pong, or the registration never came."),
        EventRow(_E.RETRY, "The retry delay has passed."),
        EventRow(_E.RENEW, "The connection is old enough to be stuck without showing it, and no task runs on it."),
        EventRow(_E.SHUTDOWN, "stop(), a signal, or the idle timeout."),
        EventRow(_E.CLOSED, "The tasks have ended and the socket is closed."),
    ),
    effects=(
        EffectRow(_F.OPEN_SOCKET, "Fetch a credential and open the socket; post what came of it."),
        EffectRow(
            _F.ABANDON_OPENING,
            "Cancel an attempt that is under way, and await its end; leave an open socket.",
        ),
        EffectRow(_F.START_RECEIVING, "Start the coroutines that read and write the socket."),
        EffectRow(_F.START_REGISTRATION_TIMER, "Post `lost` if the broker does not register the runner in time."),
        EffectRow(_F.STOP_REGISTRATION_TIMER, "Forget that timer."),
        EffectRow(_F.START_OFFERS, "Offer every free slot, and keep offering."),
        EffectRow(_F.STOP_OFFERS, "Make no more offers and forget the open ones."),
        EffectRow(_F.START_IDLE_TIMER, "Ask the owner to shut down after the idle timeout, if there is one."),
        EffectRow(_F.STOP_IDLE_TIMER, "Forget that timer."),
        EffectRow(
            _F.START_AGE_TIMER, "Post `renew` once the connection is old, if it may be renewed, and free of tasks."
        ),
        EffectRow(_F.STOP_AGE_TIMER, "Forget that timer."),
        EffectRow(
            _F.CANCEL_CONNECTION,
            "Cancel every coroutine of the connection, tasks included, await their ends, drop the socket.",
        ),
        EffectRow(_F.START_RETRY_TIMER, "Post `retry` after the retry delay."),
        EffectRow(_F.STOP_RETRY_TIMER, "Forget that timer."),
        EffectRow(_F.REPORT_REFUSAL, "End start() with the refusal."),
        EffectRow(_F.DRAIN, "Grant tasks the graceful timeout, kill the rest, close any socket; post `closed`."),
        EffectRow(_F.KILL_TASKS, "Kill what still runs: nobody is left to take its result."),
        EffectRow(_F.REST, "Nothing is open any more: end start(), if it has not ended."),
    ),
    transitions=(
        TransitionRow(
            (_S.DISCONNECTED, _S.AUTH_FAILED),
            _E.CONNECT,
            _S.CONNECTING,
            "start() was called",
        ),
        TransitionRow(
            (_S.CONNECTING,),
            _E.ACCEPTED,
            _S.AUTHENTICATED,
            "the upgrade was answered with 101",
        ),
        TransitionRow(
            (_S.CONNECTING,),
            _E.REFUSED,
            _S.AUTH_FAILED,
            "401 or 403: no retry with the same credential",
        ),
        TransitionRow(
            (_S.CONNECTING,),
            _E.UNREACHABLE,
            _S.BACKOFF,
            "anything else that kept the socket from opening",
        ),
        TransitionRow(
            (_S.AUTHENTICATED,),
            _E.REGISTERED,
            _S.LISTENING,
            "registered: from here on offers are made",
        ),
        TransitionRow(
            (_S.AUTHENTICATED, _S.LISTENING),
            _E.LOST,
            _S.BACKOFF,
            "the connection is gone, and its tasks with it",
            effects=(_F.CANCEL_CONNECTION,),
        ),
        TransitionRow(
            (_S.LISTENING,),
            _E.RENEW,
            _S.CONNECTING,
            "an old connection gives way to a fresh one, at once",
            effects=(_F.CANCEL_CONNECTION,),
        ),
        TransitionRow(
            (_S.BACKOFF,),
            _E.RETRY,
            _S.CONNECTING,
            "the retry delay has passed",
        ),
        TransitionRow(
            (_S.CONNECTING, _S.AUTHENTICATED, _S.LISTENING, _S.BACKOFF, _S.AUTH_FAILED),
            _E.SHUTDOWN,
            _S.SHUTTING_DOWN,
            "stop(), a signal, the idle timeout",
        ),
        TransitionRow(
            (_S.SHUTTING_DOWN,),
            _E.LOST,
            _S.SHUTTING_DOWN,
            "the broker went first: what still runs is killed",
            effects=(_F.KILL_TASKS,),
        ),
        TransitionRow(
            (_S.SHUTTING_DOWN,),
            _E.CLOSED,
            _S.DISCONNECTED,
            "tasks finished or killed, the socket closed",
        ),
    ),
)

REST_STATES = frozenset({_S.DISCONNECTED, _S.AUTH_FAILED})
"""States in which nothing is open, nothing is pending and nobody has to drive the machine."""

Observer = Callable[[ConnectionStep], None]


class ConnectionMachine(DrawableMachine):
    """The connection table with its connection numbers, its journal and its observers.

    Not safe for threads, and not re-entrant: one consumer fires, one event after the other. An observer is called
    after each step, ignored ones included; it must neither raise nor fire.
    """

    def __init__(self, journal: Journal, observers: tuple[Observer, ...] = ()) -> None:
        """A machine in `disconnected` that writes every fired event into `journal`."""
        self.journal = journal
        self._lifecycle = Lifecycle(CONNECTION)
        self._observers = observers
        self._number = 0

    @property
    def state(self) -> ConnectionState:
        """Where the connection stands."""
        return self._lifecycle.state

    @property
    def number(self) -> int:
        """The number of the latest attempt to connect; 0 before the first."""
        return self._number

    def fire(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> ConnectionStep:
        """Fire one event, and return what is to be performed.

        Parameters:
            event: the event.
            number: the connection that it speaks of; not needed for the events in `UNNUMBERED`.
            why: one line for people. Never a secret.

        Raises:
            ValueError: a numbered event came without a number, which is a bug of the caller.
        """
        if event in UNNUMBERED:
            number = self._number
        elif number is None:
            raise ValueError(f"the event {event.value!r} has to say which connection it speaks of")
        if number != self._number:
            step = ConnectionStep(event, self.state, self.state, Outcome.STALE, why)
        else:
            step = self._lifecycle.fire(event, why)
            if step.after is _S.CONNECTING and step.outcome is Outcome.TAKEN:
                self._number += 1
        self.journal.record(step, number)
        for observer in self._observers:
            observer(step)
        return step

    def _drawn(
        self, current: bool, path: bool
    ) -> tuple[Table[ConnectionState, ConnectionEvent, ConnectionEffect], ConnectionState | None, tuple[Entry, ...]]:
        return CONNECTION, self.state if current else None, self.journal.entries if path else ()
