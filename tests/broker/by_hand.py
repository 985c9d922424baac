"""A runner that is written out by hand, word by word, and the broker that it speaks to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from msgspec import Raw

from runner.broker import BrokerLimits, EmbeddedBroker
from tests.support import AUTH_TOKEN, ManualClock

SETTINGS = Raw(b'{"code":"return 1"}')
Message = dict[str, Any]


class HandMadeRunner:
    """The runner's end of a connection, said word by word."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket = socket

    async def hear(self) -> Message:
        async with asyncio.timeout(5):
            message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, f"hung up with {self.socket.close_code}"
        decoded: Message = json.loads(message.data)
        return decoded

    async def hung_up(self) -> int:
        """The code of the close that comes next."""
        async with asyncio.timeout(5):
            message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE, message
        return int(message.data)

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"type": kind, **fields}))

    async def register(self, *types: str) -> None:
        assert await self.hear() == {"type": "broker:inforequest"}
        await self.say("runner:info", name="by hand", types=list(types or ["python"]))
        assert await self.hear() == {"type": "broker:runnerregistered"}

    async def offer(self, offer_id: str, valid_for: Any = 5000, task_type: str = "python") -> None:
        await self.say("runner:taskoffer", offerId=offer_id, taskType=task_type, validFor=valid_for)

    async def matched(self) -> str:
        """The task that an offer was accepted for."""
        accept = await self.hear()
        assert accept["type"] == "broker:taskofferaccept"
        return str(accept["taskId"])

    async def take(self, offer_id: str) -> str:
        """Offer, take what is matched, and hear its settings."""
        await self.offer(offer_id)
        task_id = await self.matched()
        await self.say("runner:taskaccepted", taskId=task_id)
        assert (await self.hear())["type"] == "broker:tasksettings"
        return task_id

    async def nothing_more(self) -> None:
        """Be sure that everything said was heard and that nothing came back, by a question that is answered."""
        await self.socket.ping()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def connected(
    broker: EmbeddedBroker, runner_id: str = "r", registered: bool = True
) -> AsyncIterator[HandMadeRunner]:
    url = f"{broker.uri}/runners/_ws?id={runner_id}"
    headers = {"Authorization": f"Bearer {broker.grant_token()}"}
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as socket:
        runner = HandMadeRunner(socket)
        if registered:
            await runner.register()
        yield runner


@asynccontextmanager
async def listening(clock: ManualClock | None = None, **limits: Any) -> AsyncIterator[EmbeddedBroker]:
    async with EmbeddedBroker(AUTH_TOKEN, clock=clock, limits=BrokerLimits(**limits)) as broker:
        yield broker
