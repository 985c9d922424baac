"""The WebSocket: the one place that speaks to aiohttp's client once a token is at hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp

from runner.config import TaskRunnerConfig
from runner.connection.address import BrokerAddress
from runner.connection.credentials import AuthToken, Credentials, GivenGrantToken
from runner.connection.failures import ConnectionLost, Refused, Unreachable, failure_of
from runner.connection.transport import SignOfLife

CONNECT_TIMEOUT = 10.0
"""How long the token exchange, and then the upgrade, may each take, in seconds."""

CLOSE_TIMEOUT = 1.0
"""How long the broker may take to answer our close, in seconds."""

CLOSE_REASONS = {
    1000: "the broker closed the connection",
    1001: "the broker is going away",
    1002: "the broker judged this runner unresponsive, or missed its pong",
    1006: "the connection broke off",
    1007: "the broker got text from us that is not UTF-8",
    1009: "a message was larger than allowed",
}
"""What a close code means on this protocol."""


T = TypeVar("T")


class BrokerSocket:
    """One open WebSocket to a task broker. Text frames are received as the bytes they are."""

    def __init__(self, session: aiohttp.ClientSession, response: aiohttp.ClientWebSocketResponse[bool]) -> None:
        """Take over an open WebSocket, aiohttp's `response`, and the `session` that it belongs to."""
        self._session = session
        self._socket = response

    async def receive(self) -> bytes | SignOfLife | None:
        """The next text frame; None for one that is not text. Pings are answered, and told of like pongs.

        Raises:
            ConnectionLost: there will be no more frames.
        """
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            frame: bytes = message.data
            return frame
        if message.type is aiohttp.WSMsgType.PING:
            await self._answer(message.data)
            return SignOfLife.HEARTBEAT
        if message.type is aiohttp.WSMsgType.PONG:
            return SignOfLife.HEARTBEAT
        if message.type is aiohttp.WSMsgType.BINARY:
            return None
        raise self._lost(message.type, message.data, message.extra)

    async def _answer(self, ping: bytes) -> None:
        try:
            await self._socket.pong(ping)
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLost(f"the connection broke off while answering a ping: {error}") from error

    def _lost(self, kind: aiohttp.WSMsgType, data: Any, extra: str | None) -> ConnectionLost:
        """What the last message of a connection comes to."""
        code: int = 1006
        said: object = self._socket.exception()
        if kind is aiohttp.WSMsgType.CLOSE:
            code, said = data, extra
        elif kind is aiohttp.WSMsgType.ERROR:
            # aiohttp calls an end without a close frame 1000 as well: only an error's own code is believed
            code, said = self._socket.close_code or 1006, data
        why = CLOSE_REASONS.get(code, "the connection was closed")
        return ConnectionLost(f"{why} (code {code}{f', {said}' if said else ''})", code)

    async def send(self, frame: bytes) -> None:
        """Send one text frame, and wait while too much is under way.

        Raises:
            ConnectionLost: the frame was not sent.
        """
        try:
            await self._socket.send_frame(frame, aiohttp.WSMsgType.TEXT)
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLost(f"the connection broke off while sending: {error}") from error

    async def close(self) -> None:
        """Close with code 1000, wait a moment for the broker's answer, and let go of everything."""
        try:
            await self._say_goodbye()
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Let go of everything at once, without another word, whatever is still unsent."""
        connection = self._socket.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        try:
            await self._say_goodbye()  # nobody hears it, but it is what lets aiohttp's own parts go
        finally:
            await self._session.close()

    async def _say_goodbye(self) -> None:
        """Close the WebSocket, unless the peer reads nothing and there is no polite end to be had."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                await self._socket.close(code=aiohttp.WSCloseCode.OK)


class WebSocketTransport:
    """Connections to the task broker that a configuration names, with the credential that it has."""

    def __init__(self, config: TaskRunnerConfig) -> None:
        """A way to the broker of `config`."""
        self._config = config
        self._address = BrokerAddress.of(config.task_broker_uri, config.broker_path)
        self._credentials = _credentials(config, self._address)

    async def open(self, runner_id: str) -> BrokerSocket:
        """Fetch a grant token and open the WebSocket with it.

        Raises:
            Refused: 401 or 403.
            Unreachable: everything else.
        """
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CONNECT_TIMEOUT))
        try:
            response = await with_grant_token(
                lambda: self._credentials.grant_token(session),
                lambda token: self._upgrade(session, runner_id, token),
                self._credentials.renewable,
            )
        except BaseException:
            await session.close()
            raise
        return BrokerSocket(session, response)

    async def _upgrade(
        self, session: aiohttp.ClientSession, runner_id: str, token: str
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        failure: Refused | Unreachable
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await session.ws_connect(
                    self._address.socket_url_for(runner_id),
                    headers={"Authorization": f"Bearer {token}"},
                    heartbeat=self._config.heartbeat_interval,
                    autoping=False,  # what answers pings by itself does not tell of them
                    max_msg_size=self._config.max_payload_size,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                    decode_text=False,
                )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            failure = failure_of(error)
        # raised out here, where the error with the token in it is no longer at hand to become the context
        raise failure from failure.__cause__


async def with_grant_token(
    fetch: Callable[[], Awaitable[str]], upgrade: Callable[[str], Awaitable[T]], renewable: bool
) -> T:
    """Do an upgrade with a grant token.

    A renewable credential whose token is refused at the upgrade gets one more attempt with a fresh one: tokens expire
    on the way (after 30 s), and behind a load balancer another replica may have issued it.
    """
    token = await fetch()
    try:
        return await upgrade(token)
    except Refused as refusal:
        if not renewable or refusal.status != 403:
            raise
    return await upgrade(await fetch())


def _credentials(config: TaskRunnerConfig, address: BrokerAddress) -> Credentials:
    """The credential that lasts longest of those configured."""
    if config.auth_token:
        return AuthToken(config.auth_token, address.auth_url)
    return GivenGrantToken(config.grant_token)
