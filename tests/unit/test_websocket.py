"""The WebSocket where the network lets it down in the middle of what aiohttp does by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from runner.connection.failures import ConnectionLost
from runner.connection.transport import SignOfLife
from runner.connection.websocket import BrokerSocket


@contextlib.asynccontextmanager
async def connected(peer: Callable[[web.WebSocketResponse], Awaitable[None]]) -> AsyncIterator[aiohttp.ClientSession]:
    """A server whose end of each WebSocket is `peer`, and a session that has it as its base address."""

    async def upgrade(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(autoping=False)
        await response.prepare(request)
        await peer(response)
        return response

    app = web.Application()
    app.router.add_get("/", upgrade)
    server = web.AppRunner(app, shutdown_timeout=0)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.addresses[0][1]}") as session:
        yield session
    await server.cleanup()


@pytest.mark.parametrize("error", [aiohttp.ClientConnectionResetError("closing transport"), ConnectionResetError(104)])
async def test_a_ping_that_cannot_be_answered_any_more_is_a_lost_connection(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping is read, and the connection breaks off before it is answered: by whoever reads, in the middle of that."""
    may_go = asyncio.Event()

    async def ping(peer: web.WebSocketResponse) -> None:
        await peer.ping()
        await may_go.wait()

    async def broken(*_: object) -> None:
        raise error

    async with connected(ping) as session:
        response = await session.ws_connect("/", autoping=False)
        monkeypatch.setattr(response, "pong", broken)
        socket = BrokerSocket(session, response)
        with pytest.raises(ConnectionLost, match="while answering a ping") as caught:
            await socket.receive()
        assert caught.value.code == 1006
        await socket.drop()
        may_go.set()


async def test_a_ping_is_answered_with_what_it_says_and_a_pong_is_told_of() -> None:
    """n8n closes the connection of a runner whose pong does not come."""
    answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    may_go = asyncio.Event()

    async def ping(peer: web.WebSocketResponse) -> None:
        await peer.ping(b"are you there?")
        answered.set_result((await peer.receive()).data)
        await peer.pong(b"so am I")
        await may_go.wait()

    async with connected(ping) as session:
        socket = BrokerSocket(session, await session.ws_connect("/", autoping=False))
        assert await socket.receive() is SignOfLife.HEARTBEAT
        assert await answered == b"are you there?"
        assert await socket.receive() is SignOfLife.HEARTBEAT
        may_go.set()
        await socket.close()
