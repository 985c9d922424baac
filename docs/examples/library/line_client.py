"""A client of a line protocol over plain TCP, driven by the connection machine of n8n-runner.

Nothing here knows aiohttp or n8n: the table says what may happen, and a class that performs its effects is all there
is to write. The client says `HELLO token`; the server answers `WELCOME` or `NO`. When the server says `REGISTERED`,
the client says `READY`, and answers every further line with its capitals. It comes back whenever the server is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from statemachine import (
    REST_STATES,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionStep,
    Journal,
    Outcome,
)

E, F = ConnectionEvent, ConnectionEffect
Event = tuple[ConnectionEvent, int | None, str]


class LineClient:
    """Comes back for ever; `await run()` ends when `stop()` was called or the token was refused."""

    def __init__(
        self,
        host: str,
        port: int,
        token: str,
        retry_delay: float = 5.0,
        patience: float = 10.0,
        observers: tuple[Callable[[ConnectionStep], None], ...] = (),
    ) -> None:
        self.machine = ConnectionMachine(Journal(time.time), observers)
        self.mailbox: asyncio.Queue[Event] = asyncio.Queue()
        self.host, self.port, self.token = host, port, token
        self.retry_delay, self.patience = retry_delay, patience
        self.opening: asyncio.Task[None] | None = None
        self.reading: asyncio.Task[None] | None = None
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.ready = False

    def post(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> None:
        """All that happens goes through the mailbox."""
        self.mailbox.put_nowait((event, number, why))

    def stop(self) -> None:
        self.post(E.SHUTDOWN)

    async def run(self) -> None:
        """The driver: fire what is in the mailbox, and perform what the step asks for, in order."""
        self.post(E.CONNECT)
        try:
            while True:
                event, number, why = await self.mailbox.get()
                before = self.machine.number
                step = self.machine.fire(event, number, why)
                for effect in step.leaving:
                    await self.perform(effect, before)
                for effect in step.entering:
                    await self.perform(effect, self.machine.number)
                if step.outcome is Outcome.TAKEN and step.after in REST_STATES:
                    return
        finally:
            self.set_timer(0, None)
            await self.end(self.opening)
            await self.hang_up()

    async def perform(self, effect: ConnectionEffect, number: int) -> None:  # noqa: C901 - a case for each effect
        """What each effect means here. Only cancelling is awaited: the rest is started, and posts what came of it.

        The others mean nothing: there is no idle time, no renewal and no task, and `run()` ends by itself at rest.
        """
        match effect:
            case F.OPEN_SOCKET:
                self.opening = asyncio.create_task(self.open(number))
            case F.ABANDON_OPENING:
                await self.end(self.opening)
            case F.START_RECEIVING:
                self.reading = asyncio.create_task(self.read(number))
            case F.START_REGISTRATION_TIMER:
                self.set_timer(self.patience, lambda: self.post(E.LOST, number, "the server did not register us"))
            case F.START_RETRY_TIMER:
                self.set_timer(self.retry_delay, lambda: self.post(E.RETRY, number))
            case F.STOP_REGISTRATION_TIMER | F.STOP_RETRY_TIMER:
                self.set_timer(0, None)
            case F.START_OFFERS:
                self.ready = True
                self.say("READY")
            case F.STOP_OFFERS:
                self.ready = False
            case F.CANCEL_CONNECTION:
                await self.hang_up()
            case F.DRAIN:
                await self.hang_up()  # every line has been answered at once: there is nothing to wait for
                self.post(E.CLOSED, number)

    async def open(self, number: int) -> None:
        try:
            async with asyncio.timeout(self.patience):
                self.streams = await asyncio.open_connection(self.host, self.port)
                self.say(f"HELLO {self.token}")
                answer = await self.streams[0].readline()
        except OSError as error:  # a TimeoutError is one, too
            await self.hang_up()
            self.post(E.UNREACHABLE, number, str(error))
            return
        if answer.strip() == b"WELCOME":
            self.post(E.ACCEPTED, number)
        else:
            await self.hang_up()
            self.post(E.REFUSED if answer.strip() == b"NO" else E.UNREACHABLE, number, f"the answer was {answer!r}")

    async def read(self, number: int) -> None:
        why = "the server hung up"
        try:
            while line := await self.streams[0].readline() if self.streams else b"":
                if line == b"REGISTERED\n":
                    self.post(E.REGISTERED, number)
                elif self.ready:
                    self.say(line.decode().strip().upper())
        except (OSError, ValueError) as error:  # a line that is too long, or no text
            why = str(error)
        self.post(E.LOST, number, why)

    def say(self, line: str) -> None:
        if self.streams is not None:
            self.streams[1].write(f"{line}\n".encode())

    def set_timer(self, delay: float, ring: Callable[[], None] | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(delay, ring) if ring else None

    async def end(self, task: asyncio.Task[None] | None) -> None:
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task})

    async def hang_up(self) -> None:
        await self.end(self.reading)
        self.reading = None
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None
