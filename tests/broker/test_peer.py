"""The embedded broker's way to a runner: what is written together, of what size, and how a dead one is found out."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType
from msgspec import Raw

from runner.broker import EmbeddedBroker, TaskEnd
from runner.broker.peer import WRITTEN_TOGETHER
from tests.broker.by_hand import SETTINGS, Message, connected, listening

SOON = 0.05
"""A short heartbeat interval, in seconds."""

SEGMENTS_IN = 152
"""Where the kernel's `tcp_info` has the number of segments that came with data."""

HANDSHAKE = """GET /runners/_ws?id=r HTTP/1.1\r
Host: localhost\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: {key}\r
Authorization: Bearer {token}\r
\r
"""


@asynccontextmanager
async def bytes_of(broker: EmbeddedBroker) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection without a WebSocket's library on this end, to see what comes as it comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(broker.uri.rpartition(":")[2]))
    key = base64.b64encode(bytes(16)).decode()
    writer.write(HANDSHAKE.format(key=key, token=broker.grant_token()).encode())
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.close()


def segments(writer: asyncio.StreamWriter) -> int:
    """In how many pieces the kernel got what has come so far: one for each small write on the other end."""
    info = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SEGMENTS_IN + 4)
    return int.from_bytes(info[SEGMENTS_IN:], sys.byteorder)


def say(writer: asyncio.StreamWriter, *messages: Message) -> None:
    """Send messages in one piece, with a mask of zeros."""
    for message in messages:
        text = json.dumps(message).encode()
        writer.write(b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text)


def offers(*names: str) -> list[Message]:
    return [{"type": "runner:taskoffer", "offerId": name, "taskType": "python", "validFor": -1} for name in names]


async def registered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b'"broker:inforequest"}')
    say(writer, {"type": "runner:info", "name": "r", "types": ["python"]})
    await reader.readuntil(b'"broker:runnerregistered"}')


async def test_what_is_sent_in_one_turn_is_written_at_once() -> None:
    async with listening() as broker, bytes_of(broker) as (reader, writer):
        await registered(reader, writer)
        for _ in range(3):
            broker.request(SETTINGS)
        before = segments(writer)
        say(writer, *offers("a", "b", "c"))
        await reader.readuntil(b'"offerId":"c"}')
        assert segments(writer) == before + 1


async def test_what_the_end_of_a_task_leads_to_is_written_with_the_rest() -> None:
    async with listening() as broker, bytes_of(broker) as (reader, writer):
        await registered(reader, writer)
        first, second = broker.request(SETTINGS), broker.request(SETTINGS)
        say(writer, *offers("a", "b", "c"))
        await reader.readuntil(b'"offerId":"b"}')
        say(writer, {"type": "runner:taskaccepted", "taskId": first.task_id})
        await reader.readuntil(bytes(SETTINGS) + b"}")

        async def once_more() -> None:
            await first.end()
            broker.request(SETTINGS)

        asking = asyncio.create_task(once_more())
        before = segments(writer)
        done = {"type": "runner:taskdone", "taskId": first.task_id, "data": {"result": []}}
        say(writer, {"type": "runner:taskaccepted", "taskId": second.task_id}, done)
        await reader.readuntil(b'"offerId":"c"}')
        assert segments(writer) == before + 1
        await asking


@pytest.mark.parametrize("around", [126, 1 << 16, WRITTEN_TOGETHER, 1 << 20])
async def test_messages_of_any_size_arrive_whole_and_in_order(around: int) -> None:
    small = len('{"type":"broker:tasksettings","taskId":"abcdefgh","settings":""}')
    async with listening() as broker, connected(broker) as runner:
        for size in range(around - small - 3, around - small + 3):
            settings = Raw(b'"' + b"x" * size + b'"')
            tasks = [broker.request(settings) for _ in range(2)]
            for number, _ in enumerate(tasks):
                await runner.offer(f"{size} {number}")
            for task in tasks:
                assert await runner.matched() == task.task_id
                await runner.say("runner:taskaccepted", taskId=task.task_id)
            heard = [await runner.hear() for _ in tasks]
            assert heard == [
                {"type": "broker:tasksettings", "taskId": task.task_id, "settings": "x" * size} for task in tasks
            ]


async def test_a_runner_that_answers_pings_stays_and_one_that_does_not_is_hung_up_on() -> None:
    async with listening(heartbeat_interval=SOON) as broker, aiohttp.ClientSession() as session:
        url, headers = f"{broker.uri}/runners/_ws?id=r", {"Authorization": f"Bearer {broker.grant_token()}"}
        async with session.ws_connect(url, headers=headers, autoping=False) as connection, asyncio.timeout(5):
            assert (await connection.receive()).type is WSMsgType.TEXT
            for _ in range(4):
                message = await connection.receive()
                assert message.type is WSMsgType.PING
                await connection.pong(message.data)
            assert (await connection.receive()).type is WSMsgType.PING
            assert (await connection.receive()).type is WSMsgType.CLOSE
            assert connection.close_code == 1002


async def test_the_pings_of_a_runner_are_answered() -> None:
    async with listening() as broker, aiohttp.ClientSession() as session:
        url, headers = f"{broker.uri}/runners/_ws?id=r", {"Authorization": f"Bearer {broker.grant_token()}"}
        async with session.ws_connect(url, headers=headers, autoping=False) as connection, asyncio.timeout(5):
            assert (await connection.receive()).type is WSMsgType.TEXT
            await connection.ping(b"who")
            answer = await connection.receive()
            assert (answer.type, answer.data) == (WSMsgType.PONG, b"who")


async def test_a_runner_that_reads_nothing_any_more_is_lost_whatever_is_still_unsent() -> None:
    async with listening(heartbeat_interval=SOON) as broker, bytes_of(broker) as (reader, writer):
        await registered(reader, writer)
        task = broker.request(Raw(b'"' + b"x" * 50_000_000 + b'"'))
        say(writer, *offers("a"))
        await reader.readuntil(b'"offerId":"a"}')
        say(writer, {"type": "runner:taskaccepted", "taskId": task.task_id})
        async with asyncio.timeout(10):
            assert (await task.end()).how is TaskEnd.RUNNER_LOST
