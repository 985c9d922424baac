"""The embedded broker on the network: n8n's HTTP addresses and upgrade checks, in front of the broker's rules."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from functools import partial
from typing import Self

from aiohttp import web
from msgspec import Raw

from runner.broker.admission import GrantTokens, RateLimit
from runner.broker.limits import BrokerLimits, Violation
from runner.broker.peer import CLOSE_TIMEOUT, WebSocketPeer
from runner.broker.rules import TaskBroker
from runner.broker.service import TaskService
from runner.broker.tasks import RequestedTask
from runner.clock import Clock, SystemClock

MAX_AUTH_BODY = 16 * 1024


class EmbeddedBroker:
    """A task broker in this process, listening on one address; used as a context manager.

    It can be entered again after it was left, on the same port: that is what a restart of n8n looks like.
    """

    def __init__(
        self,
        auth_token: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/runners",
        limits: BrokerLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        """A broker that does not listen yet.

        Parameters:
            auth_token: the secret that runners need for a grant token.
            port: 0 picks a free one, which is then kept.
            path: below which it serves, as N8N_RUNNERS_PATH.
        """
        self._auth_token = auth_token
        self._host = host
        self._port = port
        self._path = path
        self._limits = limits or BrokerLimits()
        self._clock = clock or SystemClock()
        self._violations: list[Violation] = []
        self._sockets: set[web.WebSocketResponse] = set()
        self._site: web.AppRunner | None = None
        self._renew()

    def _renew(self) -> None:
        """Forget all that a broker forgets when it restarts."""
        self.rules = TaskBroker(self._clock, self._limits)
        self.rules.violations = self._violations
        self._tokens = GrantTokens(self._auth_token, self._limits.grant_token_lifetime, self._clock)
        self._exchanges = RateLimit(self._limits.attempts_per_second, self._clock)
        self._upgrades = RateLimit(self._limits.attempts_per_second, self._clock)

    @property
    def uri(self) -> str:
        """Where it is, as N8N_RUNNERS_TASK_BROKER_URI."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    @property
    def violations(self) -> list[Violation]:
        """What runners sent against the rules since this object was made."""
        return self._violations

    def grant_token(self) -> str:
        """A grant token, as a launcher would hand it over."""
        return self._tokens.issue()

    def request(
        self,
        settings: Raw,
        task_type: str = "python",
        on_print: Callable[[Raw], None] | None = None,
        service: TaskService | None = None,
    ) -> RequestedTask:
        """Ask for a task to be run; see `TaskBroker.request`."""
        return self.rules.request(settings, task_type, on_print, service)

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        app = web.Application(client_max_size=MAX_AUTH_BODY)
        app.router.add_get("/healthz", self._health)
        app.router.add_post(f"{self._path}/auth", self._exchange)
        app.router.add_get(f"{self._path}/_ws", self._upgrade)
        self._site = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._site.setup()
        site = web.TCPSite(self._site, self._host, self._port, reuse_address=True)
        await site.start()
        self._port = self._site.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drop every connection, stop to listen, and forget everything, as a broker that is killed does."""
        if self._site is not None:
            await self.drop_connections()
            await self._site.cleanup()
            self.rules.close()
            await self.rules.desk.close()
            self._site = None
            self._renew()

    async def drain(self) -> None:
        """Stop as n8n does: take nothing new, wait for what runs, and hang up on every runner."""
        await self.rules.drain()

    async def drop_connections(self) -> None:
        """Break every connection off, without a word."""
        for response in tuple(self._sockets):
            connection = response.get_extra_info("socket")
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    # The addresses

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _exchange(self, request: web.Request) -> web.Response:
        """An auth token for a grant token."""
        if not self._exchanges.admits():
            return web.json_response({"message": "Too many requests"}, status=429)
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError):
            body = None
        token = body.get("token") if isinstance(body, dict) else None
        if not isinstance(token, str):
            return web.json_response({"message": 'The body must be {"token": text}'}, status=400)
        if not self._tokens.knows(token):
            return web.json_response({"message": "Forbidden"}, status=403)
        return web.json_response({"data": {"token": self._tokens.issue()}})

    def _refusal(self, request: web.Request) -> int | None:
        """The status that an upgrade is refused with, if it is; the checks in n8n's order."""
        runner_id = request.query.get("id")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        checks: list[tuple[int, Callable[[], bool]]] = [
            (429, lambda: not self._upgrades.admits()),
            (503, lambda: self.rules.draining),
            (400, lambda: not runner_id),
            (401, lambda: scheme != "Bearer" or not token),
            (403, lambda: not self._tokens.take(token)),
        ]
        return next((status for status, refuses in checks if refuses()), None)

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        """A runner's WebSocket, from its upgrade to its end."""
        status = self._refusal(request)
        if status is not None:
            return web.Response(status=status)
        response = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT,
            autoping=False,  # what pings by itself sets a timer anew with all that it hears
            max_msg_size=self._limits.max_payload_size,
            compress=False,
            decode_text=False,
        )
        await response.prepare(request)
        if request.transport is None:
            return response  # gone already
        peer = WebSocketPeer(response, request.transport, self._limits.heartbeat_interval)
        self._sockets.add(response)
        try:
            async with asyncio.TaskGroup() as group:
                closing = group.create_task(peer.closed(), name="broker's close")
                self.rules.connect(request.query["id"], peer)
                await peer.read(partial(self.rules.receive, peer))
                closing.cancel()
        finally:
            peer.forget()
            self._sockets.discard(response)
            self.rules.disconnect(peer)
        return response
