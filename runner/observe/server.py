"""The status server: what people, orchestrators and Prometheus ask a runner.

    /, /healthz     200 `OK` while the process answers, which is all that n8n's launcher asks for; so is any other path,
                    as with n8n's own runner
    /readyz         200 or 503, with the reasons as JSON: the truth of the channel to the broker
    /metrics        for Prometheus
    /status         everything as JSON
    /inspect        a page that shows it, live

It only tells. What it tells holds no code, no items and no secrets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import Self

import msgspec
from aiohttp import web

from runner.clock import Clock, SystemClock
from runner.errors import CannotListen
from runner.observe.access import HEADERS, is_from_elsewhere, may_read
from runner.observe.diagram import drawn
from runner.observe.feed import Feed
from runner.observe.guests import Guests
from runner.observe.history import History
from runner.observe.metrics import readings
from runner.observe.observed import Observed
from runner.observe.snapshot import snapshot
from runner.observe.sources import Gatherer
from runner.scope import Scope
from statemachine import CONNECTION

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAGE = Path(__file__).parent / "page"
DIAGRAM_MARK = "<!-- diagram -->"

KEEP_ALIVE = 15.0
"""How long a connection may take to bring its first request, whole, and each further one, in seconds."""

BACKLOG = 64

FOREIGN_NAME = """\
This server does not know itself by the name {host!r}, and so shows this only to those who come by another one: by its
address, or by a name of a private network. If the name is yours, put it into N8N_RUNNERS_HEALTH_CHECK_SERVER_NAMES.
"""

FOREIGN_PAGE = """\
A page of another site has asked for this, or has led you here, and this is shown only to those who come by themselves.
If that is you, type the address into your browser, or use a bookmark.
"""


class StatusServer:
    """Serves the status of one runner over HTTP."""

    def __init__(
        self,
        runner: Observed,
        *,
        host: str = "127.0.0.1",
        port: int = 5681,
        names: AbstractSet[str] = frozenset(),
        clock: Clock | None = None,
        log_lines_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        """A server that does not listen yet. It watches the runner from the moment that it does.

        Parameters:
            port: 0 for one that is free.
            names: further host names under which it may be read.
            clock: where time comes from; for tests.
            log_lines_dropped: how many lines of the log have been dropped so far.
        """
        self.port = port
        """The port; once it listens, the real one."""
        self._host = host
        self._names = {host, *names}
        self._runner = runner
        self._clock = clock or SystemClock()
        self._history = History(self._clock)
        self._gatherer = Gatherer(runner, self._history, self._clock, log_lines_dropped)
        self._scope = Scope(self._crashed)
        self._feed = Feed(self._sections, self._clock, self._scope)
        self._site: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._stop_watching: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            CannotListen: the port is in use, or the address is not this machine's.
        """
        site = web.AppRunner(self._application(), access_log=None, keepalive_timeout=KEEP_ALIVE, shutdown_timeout=1.0)
        await site.setup()
        self._site = site

        if site.server is None:
            raise AssertionError("it has been set up")
        guests = Guests(site.server, self._clock)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(guests, self._host, self.port, backlog=BACKLOG)
        except OSError as error:
            await site.cleanup()
            raise CannotListen(self._host, self.port, error.strerror or str(error)) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._stop_watching = [self._runner.observe(self._history), self._runner.observe(self._feed)]
        log.info("Health check server listening on %s, port %d", self._host, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no longer, and let go of everybody who is connected."""
        for stop in self._stop_watching:
            stop()
        self._feed.close()
        if self._server is not None:
            self._server.close()
        await self._scope.cancel()
        if self._site is not None:
            await self._site.cleanup()

    def _crashed(self, name: str, error: Exception) -> None:
        log.error("%s failed, which is a bug", name, exc_info=error)

    def _application(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/status", self._guarded(self._status))
        app.router.add_get("/inspect", self._guarded(self._page))
        app.router.add_get("/inspect/", _page_without_slash)
        app.router.add_get("/inspect/events", self._guarded(self._events), allow_head=False)
        app.router.add_get("/inspect/{name:page.css|page.js|icon.svg}", self._guarded(self._file))
        app.router.add_get("/{path:.*}", _healthz)
        return app

    def _guarded(self, handler: Handler) -> Handler:
        """The handler, for those who come by themselves, and by a name that is ours."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            host = request.headers.get("Host", "")  # not request.host, which asks DNS, and waits, where there is none
            if not may_read(host, self._names):
                return web.Response(text=FOREIGN_NAME.format(host=host), status=403)
            if is_from_elsewhere(request.headers):
                return web.Response(text=FOREIGN_PAGE, status=403)
            return await handler(request)

        return guarded

    # What is asked

    async def _readyz(self, _: web.Request) -> web.Response:
        readiness = self._runner.readiness
        told = {"ready": readiness.is_ready, "state": self._runner.state.value, "reasons": readiness.reasons}
        return web.Response(
            body=msgspec.json.encode(told),
            status=200 if readiness.is_ready else 503,
            content_type="application/json",
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        read = readings(await self._gatherer.gather())
        body, content_type = await asyncio.to_thread(_written, read, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _sections(self) -> dict[str, object]:
        return snapshot(await self._gatherer.gather(), self._clock.wall())

    async def _status(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(await self._sections()), content_type="application/json")

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=_page_text(), content_type="text/html")

    async def _file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / request.match_info["name"])

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """The sections as they change, until the one who watches goes, or reads too slowly."""
        watcher = self._feed.join()
        if watcher is None:
            return web.Response(text="There are too many who watch already.\n", status=503)
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            while (news := await self._feed.news_for(watcher)) is not None:
                await response.write(news)
        except ConnectionError:
            log.debug("A watcher has gone, or was let go because it did not read")
        finally:
            self._feed.leave(watcher)
        return response


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="OK")


async def _page_without_slash(_: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": "../inspect"})  # relative: there may be a proxy in front


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _written(*arguments: object) -> tuple[bytes, str]:
    """The metrics as Prometheus reads them. Its client takes a while to import, so this is not for the loop either."""
    from runner.observe.exposition import written

    return written(*arguments)  # type: ignore[arg-type]


@cache
def _page_text() -> str:
    """The page with the connection drawn in it."""
    return (PAGE / "index.html").read_text(encoding="utf-8").replace(DIAGRAM_MARK, drawn(CONNECTION))
