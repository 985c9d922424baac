"""Servers that take what is sent to them: for error reports, and for spans."""

from __future__ import annotations

import gzip
from typing import Self

import attrs
from aiohttp import web


@attrs.frozen
class Delivery:
    """What was sent: where to, and what."""

    path: str
    body: bytes


class Collector:
    """Takes everything that is posted to it."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._site: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._site = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._site.setup()
        await web.TCPSite(self._site, "127.0.0.1", 0).start()
        self.port = self._site.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._site is not None
        await self._site.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        unpacked = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        self.deliveries.append(Delivery(request.path, unpacked))
        return web.Response()
