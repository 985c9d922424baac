"""`httpRequest` and the older `request`, as n8n answers them, straight from this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import aiohttp
import attrs
from yarl import URL

from runner.broker.local.http_options import BadOptions, HttpCall, call_of, legacy_call_of
from runner.broker.service import CallFailed
from runner.protocol.codec import MalformedMessage, read_json

MAX_RESPONSE = 64 * 1024 * 1024
"""The longest body of a response, in bytes."""


class Http(Protocol):
    """The HTTP of a local service."""

    async def http_request(self, options: Any) -> Any:
        """`helpers.httpRequest`. Raises CallFailed."""

    async def request(self, options: Any) -> Any:
        """`helpers.request`. Raises CallFailed."""

    async def close(self) -> None:
        """End every connection."""


class NoHttp:
    """No HTTP: for code that is to be run without effects on others."""

    def __init__(self, why: str = "HTTP requests are switched off here") -> None:
        """`why` is what code is told that tries."""
        self._why = why

    async def http_request(self, options: Any) -> Any:
        """Say no."""
        raise CallFailed(self._why)

    async def request(self, options: Any) -> Any:
        """Say no."""
        raise CallFailed(self._why)

    async def close(self) -> None:
        """There is nothing to close."""


class DirectHttp:
    """HTTP without a proxy, and without credentials other than those in the options: n8n's own stay in n8n."""

    def __init__(self) -> None:
        """A client that has no connections yet."""
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End every connection."""
        if self._session is not None:
            await self._session.close()

    async def http_request(self, options: Any) -> Any:
        """`helpers.httpRequest`; see `http_options` for what it knows."""
        return await self._perform(call_of, options)

    async def request(self, options: Any) -> Any:
        """`helpers.request`, n8n's older function: text unless `json` is set, and options of other names."""
        return await self._perform(legacy_call_of, options)

    async def _perform(self, read: Callable[[Any], HttpCall], options: Any) -> Any:
        try:
            call = read(options)
        except BadOptions as error:
            raise CallFailed(str(error), code="ERR_BAD_OPTION") from error
        try:
            response = await self._send(call)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # an end of patience is an OSError as well
            if isinstance(error, TimeoutError) and call.timeout:
                raise CallFailed(f"timeout of {call.timeout * 1000:.0f}ms exceeded", code="ECONNABORTED") from error
            raise CallFailed(f"{call.method} {call.url}: {str(error) or type(error).__name__}") from error
        if not call.accepts(response.status):
            raise CallFailed(
                call.complaint(response.status, response.body),
                name="AxiosError",
                code="ERR_BAD_REQUEST" if 400 <= response.status < 500 else "ERR_BAD_RESPONSE",
                status=response.status,
            )
        return _answer(call, response)

    async def _send(self, call: HttpCall) -> Response:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())  # each request is for itself
        async with (
            asyncio.timeout(call.timeout or None),
            self._session.request(
                call.method,
                URL(call.url, encoded=True),
                headers=call.headers,
                data=_form(call.parts) if call.parts is not None else call.body,
                allow_redirects=call.max_redirects > 0,
                max_redirects=max(1, call.max_redirects),
                ssl=call.verifies,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_RESPONSE:
                    raise ValueError(f"the response is longer than {MAX_RESPONSE} bytes")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(response.status, response.reason or "", headers, bytes(body))


@attrs.frozen
class Response:
    """What came back."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


def _form(parts: Mapping[str, str]) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in parts.items():
        form.add_field(name, value)
    return form


def _answer(call: HttpCall, response: Response) -> Any:
    """What the function returns."""
    body: Any = response.body
    if not call.wants_bytes:
        body = response.body.decode("utf-8-sig", "replace")
        if call.parses and body:
            with contextlib.suppress(MalformedMessage):  # as n8n: what is no JSON stays text
                body = read_json(response.body)
    if not call.wants_all:
        return body
    return {
        "body": body,
        "headers": dict(response.headers),
        "statusCode": response.status,
        "statusMessage": response.reason,
    }
