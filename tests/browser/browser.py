"""A real, headless Chromium that looks at the page of a runner, and what it has to complain about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
from playwright.async_api import Page, async_playwright

from runner import StatusServer, TaskRunner

WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@attrs.define
class Look:
    """A look at a page: the page, and everything that would not be there if all were well."""

    page: Page
    complaints: list[str]

    async def check(self) -> None:
        """Fail if the browser has had something to complain about."""
        assert await self.page.evaluate("window.violations") == []
        assert self.complaints == []


@asynccontextmanager
async def looking_at(port: int, width: int = 1280, height: int = 900, **context: Any) -> AsyncIterator[Look]:
    """The page of the server on this port, once it is live, in a window of this size."""
    origin = f"http://127.0.0.1:{port}/"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            window = await browser.new_context(viewport={"width": width, "height": height}, **context)
            page = await window.new_page()
            page.set_default_timeout(15_000)
            look = Look(page, [])
            page.on("console", lambda message: look.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: look.complaints.append(f"error: {error}"))
            page.on(
                "request",
                lambda asked: None if asked.url.startswith(origin) else look.complaints.append(f"asks {asked.url}"),
            )
            await page.add_init_script(WATCH_POLICY)
            await page.goto(f"{origin}inspect")
            await page.wait_for_selector("body[data-live=yes]")
            yield look
        finally:
            await browser.close()


@asynccontextmanager
async def look_at(runner: TaskRunner, width: int = 1280, height: int = 900, **context: Any) -> AsyncIterator[Look]:
    """A look at the page of a runner, at the end of which there must be nothing to complain about."""
    async with StatusServer(runner, port=0) as server, looking_at(server.port, width, height, **context) as look:
        yield look
        await look.check()
