"""What the connection table asks for, done over a transport: the performer of the connection's effects."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable
from typing import Protocol

from runner.clock import Alarm, Clock
from runner.config import TaskRunnerConfig
from runner.connection.failures import ConnectionLost, Refused, Unreachable
from runner.connection.identity import RunnerIdentity
from runner.connection.link import Link
from runner.connection.retry import greatest_age, retry_delay
from runner.connection.transport import Socket, Transport
from runner.observe.counters import Count, Counters
from runner.observe.observers import FailureKind, Observers
from runner.protocol.codec import MalformedMessage, UnknownMessage, decode_broker_message
from runner.protocol.messages import BrokerMessage, Info, InfoRequest, RunnerRegistered
from runner.scope import OnCrash, Scope
from statemachine import ConnectionEffect, ConnectionEvent

log = logging.getLogger(__name__)

REGISTRATION_TIMEOUT = 10.0
"""How long an authenticated connection may go unregistered, in seconds."""

MIN_FLUSH_TIMEOUT = 1.0
"""How long results may take to be sent when the tasks have used up the graceful timeout, in seconds."""

RENEWAL_PATIENCE = 1.0
"""How long until another moment is looked for in which nothing depends on an old connection, in seconds."""

RUNNER_NAME = "n8n-runner"
"""How the runner introduces itself; n8n shows it in its log."""

Post = Callable[[ConnectionEvent, int | None, str], None]


class Workload(Protocol):
    """What a connection is for: offers and tasks, as far as the connection has to know them."""

    @property
    def task_types(self) -> list[str]:
        """The task types that are served."""

    def attach(self, link: Link) -> None:
        """From here on, speak on this connection."""

    def receive(self, message: BrokerMessage) -> None:
        """Hear a message of the broker. Returns at once."""

    def start_offers(self) -> None:
        """Offer every free slot, and go on offering."""

    def stop_offers(self) -> None:
        """Make no more offers and forget the open ones."""

    def start_idle_timer(self) -> None:
        """Count the time without a task, if anybody wants to know."""

    def stop_idle_timer(self) -> None:
        """Stop counting."""

    @property
    def running_tasks(self) -> int:
        """How many tasks hold a slot."""

    def lose_tasks(self) -> None:
        """Abort every task, because its connection is gone."""

    def shut_down(self) -> None:
        """From here on, reject what is accepted, and abort the tasks that outlast the graceful timeout."""

    async def drained(self) -> None:
        """Wait until all tasks have ended."""


class ConnectionEffects:
    """Opens, reads, times and closes connections, as the table says. Everything it starts, it ends."""

    def __init__(
        self,
        config: TaskRunnerConfig,
        clock: Clock,
        counters: Counters,
        observers: Observers,
        workload: Workload,
        transport: Transport,
        entropy: random.Random,
        post: Post,
        on_crash: OnCrash,
    ) -> None:
        """Effects that serve `workload` over connections that `transport` opens.

        Parameters:
            entropy: for a generated id and the spread of retries.
            post: puts an event, the number of the connection it speaks of, and a reason into the mailbox.
            on_crash: told of exceptions that a coroutine of the connection did not handle.
        """
        self._config = config
        self._clock = clock
        self._counters = counters
        self._observers = observers
        self._workload = workload
        self._post = post
        self._on_crash = on_crash
        self._opening = Scope(on_crash)
        self._closing = Scope(on_crash)
        self._transport = transport
        self._entropy = entropy
        self._identity = RunnerIdentity(config.runner_id, entropy)
        self._retry = Alarm(clock, self._retry_now)
        self._registration = Alarm(clock, self._registration_overdue)
        self._age = Alarm(clock, self._grown_old)
        self._renewal: asyncio.Task[None] | None = None
        self._number = 0
        self._opened: Socket | None = None
        self._link: Link | None = None
        self.refusal: Refused | None = None
        self._performers = {
            ConnectionEffect.ABANDON_OPENING: self._abandon_opening,
            ConnectionEffect.CANCEL_CONNECTION: self._cancel_connection,
        }
        self._starters: dict[ConnectionEffect, Callable[[], None]] = {
            ConnectionEffect.OPEN_SOCKET: self._open,
            ConnectionEffect.START_RECEIVING: self._start_receiving,
            ConnectionEffect.START_REGISTRATION_TIMER: lambda: self._registration.set(REGISTRATION_TIMEOUT),
            ConnectionEffect.STOP_REGISTRATION_TIMER: self._registration.stop,
            ConnectionEffect.START_OFFERS: self._start_offers,
            ConnectionEffect.STOP_OFFERS: workload.stop_offers,
            ConnectionEffect.START_IDLE_TIMER: workload.start_idle_timer,
            ConnectionEffect.STOP_IDLE_TIMER: workload.stop_idle_timer,
            ConnectionEffect.START_AGE_TIMER: self._start_age_timer,
            ConnectionEffect.STOP_AGE_TIMER: self._stop_age_timer,
            ConnectionEffect.START_RETRY_TIMER: self._start_retry_timer,
            ConnectionEffect.STOP_RETRY_TIMER: self._retry.stop,
            ConnectionEffect.REPORT_REFUSAL: self._report_refusal,
            ConnectionEffect.DRAIN: self._drain,
            ConnectionEffect.KILL_TASKS: workload.lose_tasks,
            ConnectionEffect.REST: lambda: None,  # the driver ends by itself when the machine rests
        }

    @property
    def silent_for(self) -> float:
        """How long there has been no sign of life of the broker, in seconds; without a connection, for ever."""
        return self._clock.now() - self._link.heard_at if self._link is not None else math.inf

    @property
    def runner_id(self) -> str:
        """The id that the broker knows this runner by."""
        return self._identity.current

    async def perform(self, effect: ConnectionEffect, number: int) -> None:
        """Perform one effect for the connection `number`. Only cancelling is awaited; all else is started."""
        self._number = number
        waiting = self._performers.get(effect)
        if waiting is not None:
            await waiting()
        else:
            self._starters[effect]()

    # Opening

    def _open(self) -> None:
        self._opening = Scope(self._on_crash)
        self._opening.spawn(self._try_to_open(self._number), f"opening of connection {self._number}")

    async def _try_to_open(self, number: int) -> None:
        try:
            self._opened = await self._transport.open(self._identity.current)
        except Refused as refusal:
            self.refusal = refusal
            self._observers.connection_failed(FailureKind.REFUSED, str(refusal), refusal.status)
            self._post(ConnectionEvent.REFUSED, number, str(refusal))
        except Unreachable as failure:
            self._counters.add(Count.CONNECTIONS_UNREACHABLE)
            self._observers.connection_failed(FailureKind.UNREACHABLE, str(failure), failure.status)
            log.warning("Failed to connect to broker: %s - retrying...", failure)
            self._post(ConnectionEvent.UNREACHABLE, number, str(failure))
        else:
            log.info("Connected to broker")
            self._post(ConnectionEvent.ACCEPTED, number, "")

    async def _abandon_opening(self) -> None:
        """End an attempt that is under way. One that has just succeeded leaves a socket for its successor."""
        await self._opening.cancel()

    # Listening

    def _start_receiving(self) -> None:
        if self._opened is None:
            raise AssertionError("accepted, but there is no socket: only _try_to_open posts that")
        link = Link(self._number, self._opened, self._clock, self._counters, self._on_crash)
        self._opened, self._link = None, link
        self._workload.attach(link)
        link.start(self._receive, self._lost)

    def _receive(self, frame: bytes | None) -> None:
        """Hear one frame. One that cannot be understood changes nothing."""
        try:
            if frame is None:
                raise MalformedMessage("it is a binary frame")
            message = decode_broker_message(frame)
        except UnknownMessage as unknown:
            self._counters.add(Count.MESSAGES_UNKNOWN)
            log.debug("Ignored a message of the broker: %s", unknown)
        except MalformedMessage as malformed:
            self._counters.add(Count.MESSAGES_MALFORMED)
            log.warning("Ignored a malformed message of the broker: %s", malformed)
        else:
            self._dispatch(message)

    def _dispatch(self, message: BrokerMessage) -> None:
        if self._link is None:
            return
        if isinstance(message, InfoRequest):
            self._link.send(Info(RUNNER_NAME, self._workload.task_types))
        elif isinstance(message, RunnerRegistered):
            self._post(ConnectionEvent.REGISTERED, self._number, "")
        else:
            self._workload.receive(message)

    def _start_offers(self) -> None:
        log.info("Registered with broker")
        self._workload.start_offers()

    def _lost(self, lost: ConnectionLost) -> None:
        self._counters.add(Count.CONNECTIONS_LOST)
        self._observers.connection_failed(FailureKind.LOST, str(lost), lost.code)
        log.warning("Disconnected from broker: %s", lost)
        if lost.code == 1000:
            self._identity.evicted()
        self._post(ConnectionEvent.LOST, self._number, str(lost))

    async def _cancel_connection(self) -> None:
        """End all that belongs to the connection, and be sure of it."""
        self._workload.lose_tasks()
        self._closing, closing = Scope(self._on_crash), self._closing
        await closing.cancel()
        if self._link is not None:
            await self._link.cancel()
            self._link = None
        await self._drop_unused_socket()

    async def _drop_unused_socket(self) -> None:
        """Let go of a socket that opened too late for anybody to use it."""
        if self._opened is not None:
            await self._opened.drop()
            self._opened = None

    # Timers

    def _start_retry_timer(self) -> None:
        self._retry.set(retry_delay(self._config.retry_spread, self._entropy))

    def _retry_now(self) -> None:
        self._post(ConnectionEvent.RETRY, self._number, "")

    def _registration_overdue(self) -> None:
        self._counters.add(Count.CONNECTIONS_LOST)
        why = f"the broker did not register this runner within {REGISTRATION_TIMEOUT:g} s"
        self._observers.connection_failed(FailureKind.LOST, why, None)
        log.warning("Disconnected from broker: %s", why)
        self._post(ConnectionEvent.LOST, self._number, why)

    def _start_age_timer(self) -> None:
        """Let the connection grow old, if another one can be had: a grant token is good for one alone."""
        if self._config.max_connection_age and self._config.auth_token:
            self._age.set(greatest_age(self._config.max_connection_age, self._entropy))

    def _stop_age_timer(self) -> None:
        self._age.stop()
        if self._renewal is not None:
            self._renewal.cancel()  # its link awaits it
            self._renewal = None

    def _grown_old(self) -> None:
        if self._link is not None:
            self._renewal = self._link.spawn(self._renew(self._link), f"renewal of connection {self._number}")

    async def _renew(self, link: Link) -> None:
        """Ask for another connection in a moment in which nothing depends on this one.

        What the broker accepts from then on, which may be on its way, is rejected: it asks the next runner at once.
        """
        await self._workload.drained()
        await link.flushed()
        if self._workload.running_tasks or link.has_unsent:
            self._age.set(RENEWAL_PATIENCE)  # another task has come in the meantime
            return
        self._workload.stop_offers()
        log.info("Renewing a connection that has grown old")
        self._post(ConnectionEvent.RENEW, link.number, "")

    # The end

    def _report_refusal(self) -> None:
        if self.refusal is not None:
            log.error("Authentication failed with status %d: %s", self.refusal.status, self.refusal)

    def _drain(self) -> None:
        self._workload.shut_down()
        self._closing = Scope(self._on_crash)
        self._closing.spawn(self._close_down(self._number), "drain")

    async def _close_down(self, number: int) -> None:
        try:
            started = self._clock.now()
            await self._workload.drained()
            if self._link is not None:
                left = self._config.graceful_shutdown_timeout - (self._clock.now() - started)
                await self._link.close(max(left, MIN_FLUSH_TIMEOUT))
                self._link = None
                log.info("Disconnected from broker")
            await self._drop_unused_socket()
        finally:
            self._post(ConnectionEvent.CLOSED, number, "")
