"""Grant tokens: what the task broker takes for one connection, and how a runner comes by them."""

from __future__ import annotations

import json
from typing import Protocol

import aiohttp
from yarl import URL

from runner.connection.failures import Refused, Unreachable, failure_of

MAX_ANSWER = 65_536
"""How much of an answer is read, in bytes: a token is much shorter."""


class Credentials(Protocol):
    """Where the grant token of each attempt comes from."""

    @property
    def renewable(self) -> bool:
        """Whether another call of `grant_token` gives another token."""

    async def grant_token(self, session: aiohttp.ClientSession) -> str:
        """A grant token for one attempt.

        Raises:
            Refused: the broker does not know our secret.
            Unreachable: no token could be had this time.
        """


class GivenGrantToken:
    """The one grant token that a launcher or n8n handed over. The broker takes it once."""

    renewable = False

    def __init__(self, token: str) -> None:
        """A credential that is good for one connection."""
        self._token = token

    async def grant_token(self, session: aiohttp.ClientSession) -> str:
        """The token, the same each time."""
        return self._token


class AuthToken:
    """The secret shared with n8n, exchanged for a fresh grant token at each attempt."""

    renewable = True

    def __init__(self, token: str, auth_url: URL) -> None:
        """A credential that lasts as long as n8n's own setting."""
        self._token = token
        self._auth_url = auth_url

    async def grant_token(self, session: aiohttp.ClientSession) -> str:
        """A fresh grant token of the broker."""
        failure: Refused | Unreachable
        try:
            return _token_in(await self._exchange(session))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = failure_of(error)
        raise failure from failure.__cause__

    async def _exchange(self, session: aiohttp.ClientSession) -> bytes:
        """The body of the broker's answer. A redirect is not followed: the secret is for this address alone."""
        body = b""
        async with session.post(self._auth_url, json={"token": self._token}, allow_redirects=False) as response:
            if response.status >= 300:
                raise aiohttp.ClientResponseError(
                    response.request_info, (), status=response.status, message=response.reason or ""
                )
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER:
                    break
        return body


def _token_in(body: bytes) -> str:
    """The token in the broker's answer."""
    try:
        token = json.loads(body)["data"]["token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        token = None
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise Unreachable("the answer to the token exchange has no token in it: is this n8n's task broker?")
    return token
