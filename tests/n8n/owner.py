"""The owner of an n8n, who sees executions and stops them, over the API that n8n's own editor uses."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import aiohttp
import attrs


@attrs.frozen
class Failure:
    """What n8n shows of an execution that failed."""

    message: str
    description: str


class Owner:
    """The owner of a fresh n8n, logged in."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._cookie = ""

    async def set_up(self) -> None:
        """Become the owner of an n8n that has none; the cookie that comes with it outlives n8n's restarts."""
        person = {"email": "owner@example.org", "firstName": "Test", "lastName": "Owner"}
        password = "Aa1" + secrets.token_hex(8)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session, asyncio.timeout(60):
            while True:
                async with session.post(
                    f"{self._url}/rest/owner/setup", json={**person, "password": password}
                ) as answer:
                    if answer.status == 200 and "n8n-auth" in answer.cookies:
                        self._cookie = f"n8n-auth={answer.cookies['n8n-auth'].value}"
                        return
                await asyncio.sleep(0.2)  # n8n is still starting

    async def stop(self, execution: str) -> None:
        """Stop an execution, as the button of the editor does."""
        await self._ask("POST", f"executions/{execution}/stop")

    async def running(self) -> list[str]:
        """The ids of the executions that are under way."""
        return await self._executions("running")

    async def newest_failure(self) -> str:
        """The id of the latest execution that failed; 0 if none has."""
        return max(await self._executions("error"), key=int, default="0")

    async def failure_after(self, execution: str) -> Failure:
        """What is known of the failure that came after that of another execution."""
        async with asyncio.timeout(20):
            while int(newest := await self.newest_failure()) <= int(execution):
                await asyncio.sleep(0.05)
        details = await self._ask("GET", f"executions/{newest}")
        run = _Flattened(details["data"])
        return Failure(run.at("resultData", "error", "message"), run.at("resultData", "error", "description") or "")

    async def _executions(self, status: str) -> list[str]:
        filters = json.dumps({"status": [status]})
        return [found["id"] for found in (await self._ask("GET", "executions", filter=filters, limit="20"))["results"]]

    async def _ask(self, method: str, path: str, **query: str) -> Any:
        async with (
            aiohttp.ClientSession(headers={"Cookie": self._cookie}) as session,
            session.request(method, f"{self._url}/rest/{path}", params=query) as answer,
        ):
            body = await answer.json()
            assert answer.status == 200, body
            return body["data"]


class _Flattened:
    """A value of n8n's database: a list of parts, in which each text inside a part is the index of another part."""

    def __init__(self, text: str) -> None:
        self._parts = json.loads(text)

    def at(self, *path: str | int) -> Any:
        """The value at the end of a path, None if there is none. Only the path is read: values may be very deep."""
        value = self._parts[0]
        for step in path:
            try:
                reference = value[step]
            except (LookupError, TypeError):
                return None
            value = self._parts[int(reference)] if isinstance(reference, str) else reference
        return value
