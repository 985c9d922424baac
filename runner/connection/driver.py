"""The driver: one task that owns the connection machine, its mailbox, and the order of things.

It takes an event from the mailbox, fires it, has the effects performed in order, and takes the next. Nobody else
fires. Whatever waits on the world is started by an effect and speaks through the mailbox, so `shutdown` is heard at
any moment; only cancelling is awaited in place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import attrs

from runner.scope import to_the_end
from statemachine import (
    REST_STATES,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionState,
)

log = logging.getLogger(__name__)


class Performer(Protocol):
    """Who does what the connection table asks for."""

    async def perform(self, effect: ConnectionEffect, number: int) -> None:
        """Perform one effect for the connection `number`. To be awaited for short, and never for the world."""


@attrs.frozen
class Posted:
    """An event in the mailbox: what happened, to which connection, and why."""

    event: ConnectionEvent
    number: int | None
    why: str


class Mailbox:
    """Where everything that happens to a connection is put, in the order in which it happened."""

    def __init__(self) -> None:
        """A mailbox that nobody empties yet."""
        self._queue: asyncio.Queue[Posted] | None = None

    def open(self, first: ConnectionEvent) -> None:
        """Begin to take events: `first`, and none left over from an earlier run."""
        self._queue = asyncio.Queue()
        self.post(first)

    def close(self) -> None:
        """Forget what is left, and what may still come."""
        self._queue = None

    def post(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> None:
        """Put an event in. Nothing happens while nobody drives: there is nothing it could speak of."""
        if self._queue is not None:
            self._queue.put_nowait(Posted(event, number, why))

    async def take(self) -> Posted:
        """The next event, when there is one."""
        if self._queue is None:
            raise AssertionError("take() is for the driver, which opens the mailbox first")
        return await self._queue.get()


class Driver:
    """The owner of the connection machine."""

    def __init__(
        self,
        machine: ConnectionMachine,
        performer: Performer,
        mailbox: Mailbox,
        on_state: Callable[[ConnectionState], None],
    ) -> None:
        """A driver at rest.

        Parameters:
            mailbox: where the performer, and everybody else, posts events.
            on_state: told of each new state, once all that belonged to the old one has ended.
        """
        self._machine = machine
        self._performer = performer
        self._mailbox = mailbox
        self._on_state = on_state

    def crashed(self, name: str, error: Exception) -> None:
        """Take note that something of the connection ended with an exception that it should have handled.

        The connection is given up as if it had been lost, and the runner lives on.
        """
        path = " -> ".join(self._machine.journal.path()[-5:])
        log.error("%s failed, which is a bug; giving the connection up (%s)", name, path, exc_info=error)
        opening = self._machine.state is ConnectionState.CONNECTING
        event = ConnectionEvent.UNREACHABLE if opening else ConnectionEvent.LOST
        self._mailbox.post(event, self._machine.number, f"{name} failed: {type(error).__name__}")

    async def run(self) -> None:
        """Take what is in the mailbox, and drive until the machine rests. Cancelling this ends everything at once."""
        try:
            while True:
                await self._take(await self._mailbox.take())
                if self._machine.state in REST_STATES:
                    return
        except asyncio.CancelledError:
            await to_the_end(self._abandon(), "abandoning the connection")
            raise

    async def _take(self, posted: Posted) -> None:
        before = self._machine.number
        step = self._machine.fire(posted.event, posted.number, posted.why)
        log.debug(
            "connection %d: %s, %s -> %s (%s)",
            self._machine.number,
            step.event.value,
            step.before.value,
            step.after.value,
            step.outcome.value,
        )
        await self._perform(step.leaving, before)
        if step.after is not step.before:
            self._on_state(step.after)
        await self._perform(step.entering, self._machine.number)

    async def _perform(self, effects: tuple[ConnectionEffect, ...], number: int) -> None:
        for effect in effects:
            try:
                await self._performer.perform(effect, number)
            except Exception as error:  # noqa: BLE001 - a bug in one effect must not end the runner
                self.crashed(f"the effect {effect.value}", error)

    async def _abandon(self) -> None:
        """Go to rest at once: whoever runs the driver was cancelled, and waits only for what has to be awaited."""
        step = self._machine.fire(ConnectionEvent.SHUTDOWN, why="start() was cancelled")
        await self._perform((*step.leaving, ConnectionEffect.CANCEL_CONNECTION), self._machine.number)
        step = self._machine.fire(ConnectionEvent.CLOSED, self._machine.number)
        self._on_state(self._machine.state)
        await self._perform(step.entering, self._machine.number)
