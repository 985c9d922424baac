"""The page at /inspect, as a person sees it in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page

from runner import StatusServer, TaskRunner, TaskRunnerConfig
from runner.broker import EmbeddedBroker
from runner.observe.diagram import PLACES, ROUTES
from statemachine import CONNECTION, ConnectionState
from tests.browser.browser import look_at, looking_at
from tests.scripted_broker import ScriptedBroker
from tests.support import AUTH_TOKEN, ManualClock, code_settings, config_for, eventually, run_code

pytestmark = pytest.mark.needs("chromium")

WIDTHS = [320, 375, 768, 1280]


@pytest.fixture
async def runner(broker: EmbeddedBroker) -> TaskRunner:
    return TaskRunner(config_for(broker, max_concurrency=4, graceful_shutdown_timeout=0.1))


async def test_the_page_follows_the_connection_as_its_broker_stops_and_starts(clock: ManualClock) -> None:
    broker = EmbeddedBroker(AUTH_TOKEN)
    await broker.__aenter__()
    runner = TaskRunner(config_for(broker), clock=clock)
    async with look_at(runner) as look:
        page = look.page
        await page.wait_for_selector(".state.current[data-state=disconnected]")
        async with runner:
            await page.wait_for_selector(".state.current[data-state=listening]")
            await page.wait_for_selector(".arrow.last[data-source=authenticated][data-target=listening]")
            assert await page.text_content("#headline") == "Listening: ready for tasks"
            assert await page.locator(".reasons li").count() == 0
            await broker.__aexit__()
            await page.wait_for_selector(".state.current[data-state=backoff]")
            await page.wait_for_selector(".arrow.last[data-source=listening][data-target=backoff]")
            assert await page.locator(".state.current").count() == 1
            assert await page.locator(".arrow.last").count() == 1
            assert "trying again" in (await page.text_content("#headline") or "")
            assert "not in listening" in (await page.text_content("#reasons") or "")
            assert "backoff" in (await page.text_content("#announcement") or "")
            await page.wait_for_selector("#journal li:has-text('lost'):has-text('listening → backoff')")
            async with broker:
                await clock.advance(5)
                await page.wait_for_selector(".state.current[data-state=listening]")
                await page.wait_for_selector("#journal li:has-text('retry')")
                newest = await page.text_content("#journal li:first-child")
                assert "registered" in (newest or "")
                assert "connection 2" in (await page.text_content("#last") or "")


async def test_tasks_come_and_go_with_their_names(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with look_at(runner) as look, runner:
        page = look.page
        settings = code_settings("print(1)\nimport time\ntime.sleep(2)", nodeName="Sum up", workflowName="Billing")
        task = broker.request(settings)
        # its memory is read a moment after it has begun
        row = await page.wait_for_selector("#tasks tr:has-text('Sum up'):has-text('Billing'):has-text('MiB')")
        assert row is not None
        assert re.search(r"\d MiB", await row.text_content() or "")
        await page.wait_for_selector(".slots .busy")
        assert await page.locator(".slots .busy").count() == 1
        await task.end()
        await page.wait_for_selector("#no-tasks:visible")
        await page.wait_for_selector(".chart rect.done")
        assert await page.text_content("#rate") == "1"


async def test_a_failure_is_shown_with_its_line_and_without_what_it_says(
    broker: EmbeddedBroker, runner: TaskRunner
) -> None:
    async with look_at(runner) as look, runner:
        await run_code(broker, "x = 1\nraise ValueError('mArKeR')", nodeName="Broken")
        failure = await look.page.wait_for_selector("#failures li:has-text('Broken, line 2')")
        assert failure is not None
        assert "failed" in (await failure.text_content() or "")
        assert "mArKeR" not in await look.page.content()


MARKUP = "</li><script>window.ran=1</script><img src=x onerror=window.ran=1><svg onload=window.ran=1>"


async def markup_on(page: Page) -> Any:
    """How much of the markup has become more than text, and whether any of it has run."""
    return await page.evaluate(
        "[document.querySelectorAll('script:not([src]), img[src=x], svg[onload]').length, window.ran ?? 0]"
    )


async def test_whatever_names_are_and_whatever_code_says_is_text(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    names = {"nodeName": MARKUP, "nodeId": MARKUP, "workflowName": MARKUP, "workflowId": MARKUP}
    items = [{"json": {MARKUP: MARKUP}}]
    async with look_at(runner) as look, runner:
        running = broker.request(code_settings(f"print({MARKUP!r})\nwhile True: pass", items, **names))
        await run_code(broker, f"raise ValueError({MARKUP!r})", items, **names)
        await eventually(lambda: running.prints)
        await look.page.wait_for_selector("#tasks tr td")
        await look.page.wait_for_selector("#failures li")
        assert MARKUP in (await look.page.text_content("#tasks") or "")
        assert MARKUP in (await look.page.text_content("#failures") or "")
        assert await markup_on(look.page) == [0, 0]


async def test_whatever_a_broker_says_is_text(scripted: ScriptedBroker, clock: ManualClock) -> None:
    runner = TaskRunner(TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri), clock=clock)
    async with look_at(runner) as look, runner:
        connection = await scripted.accept()
        await connection.register()
        await connection.give_task(MARKUP, json.loads(bytes(code_settings("while True: pass", mode=MARKUP))))
        await look.page.wait_for_selector("#failures li")
        assert MARKUP in (await look.page.text_content("#failures") or "")
        await connection.socket.close(code=1008, message=MARKUP.encode())
        await look.page.wait_for_selector("#journal li:has-text('lost') .why:has-text('onerror')")
        assert await markup_on(look.page) == [0, 0]


async def test_markup_that_is_more_than_text_is_noticed(runner: TaskRunner) -> None:
    async with StatusServer(runner, port=0) as server, looking_at(server.port) as look:
        await look.page.evaluate("document.body.append(document.createElement('script'))")
        assert await markup_on(look.page) == [1, 0]


async def test_what_the_sandbox_achieves_is_shown(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with look_at(runner) as look, runner:
        await look.page.wait_for_selector("#layers li:has-text('system calls')")
        shown = await look.page.locator("#layers li").count()
    assert shown == 16


# Keyboard and readers of screens


async def focused(page: Any) -> str:
    return str(await page.evaluate("document.activeElement.id || document.activeElement.textContent"))


async def test_everything_can_be_reached_by_keyboard_and_is_seen_to_be(
    broker: EmbeddedBroker, runner: TaskRunner
) -> None:
    async with look_at(runner) as look, runner:
        page = look.page
        await run_code(broker, "1/0")
        await page.wait_for_selector("#failures li")
        order = []
        for _ in range(7):
            await page.keyboard.press("Tab")
            order.append(await focused(page))
            outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", order[-1]
        assert order == [
            "Skip to the runner",
            "pause",
            "journal-region",
            "failures-region",
            "JSON",
            "Metrics",
            "Readiness",
        ]


async def test_the_skip_link_leads_to_the_runner(runner: TaskRunner) -> None:
    async with look_at(runner) as look:
        await look.page.keyboard.press("Tab")
        await look.page.keyboard.press("Enter")
        assert await focused(look.page) == "main"


async def test_it_can_be_paused_and_then_shows_what_it_missed(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with look_at(runner) as look:
        page = look.page
        await page.focus("#pause")
        await page.keyboard.press("Space")
        assert await page.get_attribute("#pause", "aria-pressed") == "true"
        async with runner:
            await run_code(broker, "return {}")
            await page.evaluate("new Promise((done) => setTimeout(done, 1500))")
            assert await page.locator(".state.current[data-state=disconnected]").count() == 1
            await page.keyboard.press("Space")
            await page.wait_for_selector(".state.current[data-state=listening]")


async def test_a_reader_of_screens_finds_landmarks_names_and_one_voice(
    broker: EmbeddedBroker, runner: TaskRunner
) -> None:
    async with look_at(runner) as look, runner:
        page = look.page
        await page.wait_for_selector(".state.current[data-state=listening]")
        assert await page.locator("[aria-live], [role=status], [role=alert]").count() == 1
        for landmark in ("header", "main", "footer", "h1"):
            assert await page.locator(landmark).count() == 1
        unnamed = await page.evaluate(
            """[...document.querySelectorAll("section, [role=region]")].filter((each) =>
                !document.getElementById(each.getAttribute("aria-labelledby"))?.textContent).length"""
        )
        assert unnamed == 0
        label = await page.get_attribute("#throughput svg", "aria-label")
        assert label is not None
        assert "in the last 2 min" in label


# How it looks


@pytest.mark.parametrize("width", WIDTHS)
async def test_nothing_is_wider_than_the_window(broker: EmbeddedBroker, runner: TaskRunner, width: int) -> None:
    async with look_at(runner, width=width) as look, runner:
        running = broker.request(
            code_settings("print(1)\nimport time\ntime.sleep(600)", nodeName="N" * 300, workflowName="w" * 300)
        )
        await run_code(broker, "1/0", nodeName="N" * 300, workflowName="w" * 300)
        await eventually(lambda: running.prints)
        await look.page.wait_for_selector("#tasks tr")
        await look.page.wait_for_selector("#failures li")
        assert await look.page.evaluate("document.documentElement.scrollWidth") <= width


CONTRASTS = """
() => {
  const parse = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return text.startsWith("color(srgb") ? [...parts.slice(0, 3).map((part) => part * 255), parts[3] ?? 1] : parts;
  };
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!hasText || !element.checkVisibility() || element.closest("svg, .unseen, .skip")) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) found.push(`${element.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_can_be_read_in_both_schemes(broker: EmbeddedBroker, runner: TaskRunner, scheme: str) -> None:
    async with look_at(runner, color_scheme=scheme, reduced_motion="reduce") as look, runner:
        page = look.page
        await run_code(broker, "1/0")
        await page.wait_for_selector("#failures li")
        for state in ConnectionState:
            await page.evaluate("(state) => document.body.dataset.state = state", state.value)
            assert await page.evaluate(CONTRASTS) == [], state
        dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(20, 24, 26)") is (scheme == "dark")


OVERLAPS = """
() => {
  const box = (element) => element.getBoundingClientRect();
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const labels = [...document.querySelectorAll(".arrow text")];
  const boxes = [...document.querySelectorAll(".state rect")];
  const found = [];
  labels.forEach((label, index) => {
    for (const other of labels.slice(index + 1)) {
      if (meet(box(label), box(other))) found.push(`${label.textContent} on ${other.textContent}`);
    }
    for (const other of boxes) {
      if (meet(box(label), box(other))) found.push(`${label.textContent} on ${other.parentNode.dataset.state}`);
    }
  });
  for (const state of document.querySelectorAll(".state")) {
    const [inner, outer] = [box(state.querySelector("text")), box(state.querySelector("rect"))];
    if (inner.left < outer.left || inner.right > outer.right) found.push(`${state.dataset.state} is too long`);
  }
  return found;
}
"""


@pytest.mark.parametrize("width", [320, 1280])
async def test_in_the_diagram_no_name_hides_another(runner: TaskRunner, width: int) -> None:
    async with look_at(runner, width=width) as look:
        assert await look.page.evaluate(OVERLAPS) == []


def test_the_map_has_a_place_for_all_that_the_table_has() -> None:
    assert set(PLACES) == {row.state for row in CONNECTION.states}
    assert set(ROUTES) == {(source, row.target) for source, row in CONNECTION.arrows()}


# Strangers, and a runner that goes


@asynccontextmanager
async def page_of_a_stranger(body: str = "") -> AsyncIterator[int]:
    """The port of a server with a page of somebody else's."""

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", show)
    stranger = web.AppRunner(app)
    await stranger.setup()
    try:
        await web.TCPSite(stranger, "127.0.0.1", 0).start()
        yield stranger.addresses[0][1]
    finally:
        await stranger.cleanup()


async def test_no_other_page_can_frame_it(runner: TaskRunner) -> None:
    async with StatusServer(runner, port=0) as server:
        body = f"<iframe src='http://127.0.0.1:{server.port}/inspect'></iframe>"
        async with page_of_a_stranger(body) as port, looking_at(server.port) as look:
            await look.page.goto(f"http://127.0.0.1:{port}/")
            framed = look.page.frames[1]
            await framed.wait_for_load_state()
            assert await framed.locator("h1:has-text('n8n-runner')").count() == 0
            assert any("frame-ancestors" in complaint for complaint in look.complaints)


TRY = """
async (url) => {
  const heard = await new Promise((resolve) => {
    const events = new EventSource(`${url}/events`);
    events.onopen = () => resolve("opened");
    events.onerror = () => resolve(events.readyState === EventSource.CLOSED ? "closed" : "tries again");
  });
  const asked = await fetch(`${url}/events`, { mode: "no-cors" }).then(() => "answered", () => "refused");
  const shown = await new Promise((resolve) => {
    const image = document.createElement("img");
    image.onload = () => resolve("shown");
    image.onerror = () => resolve("not shown");
    image.src = `${url}/icon.svg`;
  });
  return [heard, asked, shown];
}
"""


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_no_other_page_can_hold_a_stream_open_or_tell_that_this_is_a_runner(
    runner: TaskRunner, host: str
) -> None:
    async with (
        StatusServer(runner, port=0) as server,
        page_of_a_stranger() as port,
        looking_at(server.port) as look,
    ):
        here = f"http://127.0.0.1:{server.port}/inspect"
        statuses: list[int] = []
        look.page.on("response", lambda response: statuses.append(response.status))
        await look.page.goto(f"http://{host}:{port}/")
        statuses.clear()
        assert await look.page.evaluate(TRY, here) == ["closed", "refused", "not shown"]
        assert set(statuses) <= {403}


async def test_a_runner_that_is_gone_is_said_to_be_and_found_again(runner: TaskRunner) -> None:
    async with StatusServer(runner, port=0) as server:
        port = server.port
        async with looking_at(port) as look:
            page = look.page
            await server.__aexit__()
            await page.wait_for_selector("#stale:visible")
            assert "has not answered since" in (await page.text_content("#stale") or "")
            async with StatusServer(runner, port=port):
                await page.wait_for_selector("body[data-live=yes]")
                await page.wait_for_selector("#stale", state="hidden")
                assert await page.evaluate("window.violations") == []


async def test_a_refused_credential_is_told_in_words(scripted: ScriptedBroker) -> None:
    scripted.auth_statuses.extend([403, 403])
    runner = TaskRunner(TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri))
    async with look_at(runner) as look:
        with pytest.raises(Exception, match="403"):
            await runner.start()
        await look.page.wait_for_selector(".state.current[data-state=auth_failed]")
        assert await look.page.text_content("#headline") == "n8n refused the credential"
        assert "403" not in AUTH_TOKEN
        assert AUTH_TOKEN not in await look.page.content()
