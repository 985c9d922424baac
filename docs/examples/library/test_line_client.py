"""The line client against a real TCP server that drops it, refuses it, and goes away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

import pytest
from line_client import LineClient

from statemachine import ConnectionState, ConnectionStep

S = ConnectionState
TOKEN = "open sesame"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LineServer:
    """Listens on a port of its own, and says what a test tells it to."""

    def __init__(self, answers: tuple[str, ...] = ("WELCOME", "REGISTERED"), port: int = 0) -> None:
        self.answers = answers
        self.port = port
        self.connections: asyncio.Queue[Connection] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for writer in self.writers:
            writer.close()
            with contextlib.suppress(OSError):  # it was aborted
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        assert await reader.readline() == f"HELLO {TOKEN}\n".encode()
        writer.write("".join(f"{answer}\n" for answer in self.answers).encode())
        self.connections.put_nowait((reader, writer))

    async def ready_client(self) -> Connection:
        """The next connection, when its client has said that it is ready."""
        async with asyncio.timeout(10):
            reader, writer = await self.connections.get()
            assert await reader.readline() == b"READY\n"
        return reader, writer


@contextlib.asynccontextmanager
async def running(client: LineClient) -> AsyncIterator[asyncio.Task[None]]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(client.run())
        yield task
        client.stop()


class Watched(LineClient):
    """A client that tells of its states."""

    def __init__(self, server: LineServer, retry_delay: float = 0.01, patience: float = 10.0) -> None:
        self.states: asyncio.Queue[ConnectionState] = asyncio.Queue()
        super().__init__("127.0.0.1", server.port, TOKEN, retry_delay, patience, (self.observe,))

    def observe(self, step: ConnectionStep) -> None:
        self.states.put_nowait(step.after)

    async def reached(self, state: ConnectionState) -> None:
        """Wait until a step leads to this state."""
        while await self.states.get() is not state:
            pass


async def ask(connection: Connection, line: str) -> str:
    reader, writer = connection
    writer.write(f"{line}\n".encode())
    return (await reader.readline()).decode().strip()


async def test_a_client_that_was_dropped_comes_back_and_goes_on() -> None:
    async with LineServer() as server:
        client = Watched(server)
        async with running(client):
            first = await server.ready_client()
            assert await ask(first, "hello") == "HELLO"
            first[1].transport.abort()
            second = await server.ready_client()
            assert await ask(second, "here again") == "HERE AGAIN"
            second[1].close()
            third = await server.ready_client()
        assert await third[0].read() == b"", "it has hung up"
    once = ("connecting", "authenticated", "listening")
    assert client.machine.journal.path() == (
        *("disconnected", *once, "backoff", *once, "backoff", *once),
        *("shutting_down", "disconnected"),
    )


async def test_a_refused_client_does_not_try_again() -> None:
    async with LineServer(answers=("NO",)) as server:
        client = Watched(server)
        await asyncio.wait_for(client.run(), 10)
        assert client.machine.state is S.AUTH_FAILED
        assert client.machine.number == 1


async def test_a_server_that_is_not_there_is_tried_until_it_is() -> None:
    async with LineServer() as server:
        client = Watched(server)
    async with running(client):
        await client.reached(S.BACKOFF)
        await client.reached(S.BACKOFF)
        async with LineServer(port=server.port) as server:
            await server.ready_client()
    assert {entry.event for entry in client.machine.journal.entries} >= {"unreachable", "registered"}


async def test_a_server_that_never_registers_its_client_is_left() -> None:
    async with LineServer(answers=("WELCOME",)) as server:
        client = Watched(server, patience=0.05)
        async with running(client):
            await server.connections.get()
            await asyncio.wait_for(server.connections.get(), 10)
    lost = next(entry for entry in client.machine.journal.entries if entry.event == "lost")
    assert (lost.source, lost.why) == ("authenticated", "the server did not register us")


@pytest.mark.parametrize(
    ("answers", "state"),
    [((), S.CONNECTING), (("WELCOME",), S.AUTHENTICATED), (("WELCOME", "REGISTERED"), S.LISTENING)],
)
async def test_it_stops_and_leaves_nothing_wherever_it_stands(answers: tuple[str, ...], state: ConnectionState) -> None:
    before = asyncio.all_tasks()
    async with LineServer(answers) as server:
        client = Watched(server)
        async with running(client) as task:
            reader, _ = await server.connections.get()
            await client.reached(state)
            client.stop()
            await task
            assert client.machine.state is S.DISCONNECTED
            await reader.read()  # to the end: the client has hung up
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_it_stops_in_the_middle_of_a_long_wait() -> None:
    async with LineServer() as server:
        client = Watched(server, retry_delay=3600)
    async with running(client):
        await client.reached(S.BACKOFF)
    assert client.machine.state is S.DISCONNECTED
