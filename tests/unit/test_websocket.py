"""The WebSocket where the network lets it down in the middle of what aiohttp does by itself."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from runner.connection.failures import ConnectionLost
from runner.connection.websocket import BrokerSocket


@pytest.mark.parametrize("error", [aiohttp.ClientConnectionResetError("closing transport"), ConnectionResetError(104)])
async def test_a_ping_that_cannot_be_answered_any_more_is_a_lost_connection(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping is read, and the connection breaks off before it is answered: by whoever reads, in the middle of that."""
    may_go = asyncio.Event()

    async def ping(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.ping()
        await may_go.wait()
        return response

    async def broken(*_: object) -> None:
        raise error

    app = web.Application()
    app.router.add_get("/", ping)
    server = web.AppRunner(app, shutdown_timeout=0)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    session = aiohttp.ClientSession()
    response = await session.ws_connect(f"http://127.0.0.1:{server.addresses[0][1]}/")
    monkeypatch.setattr(response, "pong", broken)
    socket = BrokerSocket(session, response)
    with pytest.raises(ConnectionLost, match="while answering a ping") as caught:
        await socket.receive()
    assert caught.value.code == 1006
    await socket.drop()
    may_go.set()
    await server.cleanup()
