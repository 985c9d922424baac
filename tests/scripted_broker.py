"""A broker that says what the test tells it to: a real WebSocket server, and no rules at all."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, Self

from aiohttp import WSMsgType, web

from tests.support import AUTH_TOKEN

Message = dict[str, Any]


class RunnerConnection:
    """The broker's end of one connection of a runner."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.runner_id = request.query.get("id", "")
        self.authorization = request.headers.get("Authorization", "")
        self.url = str(request.rel_url)
        self.socket = socket
        self.over = asyncio.Event()
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._put_back: deque[Message] = deque()

    async def pump(self) -> None:
        """Keep what the runner says, until it hangs up."""
        async for message in self.socket:
            if message.type is WSMsgType.TEXT:
                self._messages.put_nowait(json.loads(message.data))
        self._messages.put_nowait(None)
        self.over.set()

    async def receive(self) -> Message | None:
        """What the runner says next; None when it has hung up."""
        if self._put_back:
            return self._put_back.popleft()
        async with asyncio.timeout(10):
            return await self._messages.get()

    async def expect(self, kind: str) -> Message:
        """The next message of this type; others that come before it are kept for later."""
        passed: list[Message] = []
        while True:
            message = await self.receive()
            assert message is not None, f"the runner hung up before it sent {kind}; it sent {passed}"
            if message["type"] == kind:
                self._put_back.extendleft(reversed(passed))
                return message
            passed.append(message)

    def heard(self, kind: str) -> list[Message]:
        """What has come so far of this type."""
        while not self._messages.empty():
            message = self._messages.get_nowait()
            if message is not None:
                self._put_back.append(message)
        return [message for message in self._put_back if message["type"] == kind]

    def forget(self) -> None:
        """Forget what has come so far."""
        self.heard("")
        self._put_back.clear()

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        await self.socket.send_str(json.dumps({"type": kind, **fields}))

    async def say_bytes(self, frame: bytes) -> None:
        """Send a text frame of these bytes, whatever they are."""
        await self.socket.send_frame(frame, WSMsgType.TEXT)

    async def register(self) -> Message:
        """Do what a broker does first, and return the runner's info."""
        await self.say("broker:inforequest")
        info = await self.expect("runner:info")
        await self.say("broker:runnerregistered")
        return info

    async def offer(self) -> str:
        """The id of the next offer."""
        return str((await self.expect("runner:taskoffer"))["offerId"])

    async def give_task(self, task_id: str, settings: Any) -> None:
        """Accept an offer for a task, and send its settings when the runner has taken it."""
        await self.say("broker:taskofferaccept", taskId=task_id, offerId=await self.offer())
        accepted = await self.expect("runner:taskaccepted")
        assert accepted["taskId"] == task_id
        await self.say("broker:tasksettings", taskId=task_id, settings=settings)

    async def ping_answered(self) -> None:
        """Wait until everything that was said before has been heard, by a message that is always answered."""
        await self.say("broker:taskofferaccept", taskId="probe", offerId="no such offer")
        while (await self.expect("runner:taskrejected"))["taskId"] != "probe":
            pass


class ScriptedBroker:
    """Listens on a free port. Upgrades are answered with `statuses`, one after the other, then with 101."""

    def __init__(self) -> None:
        self.statuses: deque[int] = deque()
        self.auth_statuses: deque[int] = deque()
        self.attempts = 0
        self.exchanges = 0
        self.tokens: list[str] = []
        self.connections: asyncio.Queue[RunnerConnection] = asyncio.Queue()
        self._site: web.AppRunner | None = None
        self._port = 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/runners/auth", self._exchange)
        app.router.add_get("/runners/_ws", self._upgrade)
        self._site = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._site.setup()
        await web.TCPSite(self._site, "127.0.0.1", self._port).start()
        self._port = self._site.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._site is not None
        await self._site.cleanup()

    async def accept(self) -> RunnerConnection:
        """The next connection of a runner."""
        async with asyncio.timeout(10):
            return await self.connections.get()

    async def _exchange(self, request: web.Request) -> web.Response:
        self.exchanges += 1
        if self.auth_statuses:
            return web.Response(status=self.auth_statuses.popleft())
        assert (await request.json()) == {"token": AUTH_TOKEN}
        self.tokens.append(f"grant-{self.exchanges}")
        return web.json_response({"data": {"token": self.tokens[-1]}})

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        self.attempts += 1
        status = self.statuses.popleft() if self.statuses else 101
        if status != 101:
            return web.Response(status=status)
        socket = web.WebSocketResponse(timeout=0.2, max_msg_size=0)
        await socket.prepare(request)
        connection = RunnerConnection(request, socket)
        self.connections.put_nowait(connection)
        await connection.pump()
        return socket
