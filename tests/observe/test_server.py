"""The status server, asked over HTTP about a real runner."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from runner import CannotListen, Observer, StatusServer, TaskRunner, TaskRunnerConfig
from runner.broker import EmbeddedBroker
from runner.observe import guests as guests_module
from runner.observe import server as server_module
from runner.observe.access import HEADERS, may_read
from runner.observe.feed import MOST_WATCHERS
from runner.observe.history import Histogram
from runner.observe.metrics import METRICS, Kind
from statemachine import ConnectionState
from tests.scripted_broker import ScriptedBroker
from tests.support import AUTH_TOKEN, ManualClock, code_settings, config_for, eventually, run_code


@asynccontextmanager
async def served(runner: TaskRunner, **more: Any) -> AsyncIterator[ClientSession]:
    """Somebody who asks about a runner."""
    async with (
        StatusServer(runner, port=0, **more) as server,
        ClientSession(f"http://127.0.0.1:{server.port}") as session,
    ):
        yield session


@pytest.fixture
async def runner(broker: EmbeddedBroker) -> TaskRunner:
    """A runner that is not started."""
    return TaskRunner(config_for(broker, max_concurrency=3, graceful_shutdown_timeout=0.1))


async def text_of(session: ClientSession, path: str) -> str:
    async with session.get(path) as response:
        assert response.status == 200
        return await response.text()


def samples_of(text: str) -> dict[str, float]:
    """Each sample of a scrape, as it is written, with its value."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# Health and readiness


@pytest.mark.parametrize("path", ["/", "/healthz", "/health", "/anything/else?at=all"])
async def test_every_path_that_is_not_one_of_ours_says_ok(runner: TaskRunner, path: str) -> None:
    async with served(runner) as session:
        assert await text_of(session, path) == "OK"
        async with session.head(path) as response:
            assert response.status == 200


async def test_nothing_can_be_changed(runner: TaskRunner) -> None:
    async with served(runner) as session:
        for path in ("/", "/status", "/inspect", "/metrics"):
            async with session.post(path, data=b"x" * 100) as response:
                assert response.status == 405


async def test_readiness_is_the_truth_of_the_channel() -> None:
    async def readiness() -> tuple[int, dict[str, Any]]:
        async with session.get("/readyz") as response:
            return response.status, await response.json()

    async with EmbeddedBroker(AUTH_TOKEN) as broker:
        runner = TaskRunner(config_for(broker))
        async with served(runner) as session:
            status, told = await readiness()
            assert (status, told["ready"], told["state"]) == (503, False, "disconnected")
            async with runner:
                await runner.reached(ConnectionState.LISTENING)
                assert await readiness() == (200, {"ready": True, "state": "listening", "reasons": []})
                await broker.__aexit__()
                await runner.reached(ConnectionState.BACKOFF)
                status, told = await readiness()
                assert (status, told["state"]) == (503, "backoff")
                assert "backoff" in told["reasons"][0]
                assert await text_of(session, "/healthz") == "OK"


async def test_it_answers_while_the_runner_is_busy(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with served(runner) as session, runner:
        tasks = [broker.request(code_settings("return [{'t': 'x' * 1_000_000}] * 20")) for _ in range(6)]
        waiting = asyncio.gather(*(task.end() for task in tasks))
        while not waiting.done():
            async with asyncio.timeout(2):
                assert await text_of(session, "/healthz") == "OK"
        assert all(end.error is None for end in await waiting)


# Metrics


async def test_every_metric_of_the_table_is_there_as_it_is_declared(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with served(runner) as session, runner:
        await run_code(broker, "return {}")
        families = {
            family.name: family for family in text_string_to_metric_families(await text_of(session, "/metrics"))
        }
    for metric in METRICS:
        family = families.pop(metric.full_name.removesuffix("_total"))
        assert family.type == metric.kind.value
        assert family.documentation == metric.help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample
    assert families == {}


async def test_a_scrape_says_what_has_happened(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with served(runner) as session, runner:
        for code in ("return {'n': 1}", "return {'n': 2}", "return 1 / 0"):
            await run_code(broker, code)
        await eventually(lambda: runner.running_tasks == 0)
        samples = samples_of(await text_of(session, "/metrics"))
    assert samples["n8n_runner_ready"] == 1
    assert samples["n8n_runner_connection_state state=listening"] == 1
    assert samples["n8n_runner_connection_state state=backoff"] == 0
    assert samples["n8n_runner_tasks_finished_total outcome=done"] == 2
    assert samples["n8n_runner_tasks_finished_total outcome=failed"] == 1
    assert samples["n8n_runner_tasks_finished_total outcome=lost"] == 0
    assert samples["n8n_runner_tasks_rejected_total reason=no_slots"] == 0
    assert samples["n8n_runner_task_run_seconds_count"] == 3
    assert 0 < samples["n8n_runner_task_run_seconds_sum"] < 30
    assert samples["n8n_runner_task_run_seconds_bucket le=+Inf"] == 3
    assert samples["n8n_runner_task_start_delay_seconds_count"] == 3
    assert samples["n8n_runner_offer_wait_seconds_count"] == 3
    assert samples["n8n_runner_task_result_bytes_total"] == 2 * len('[{"json":{"n":1}}]')
    assert samples["n8n_runner_slots use=free"] == samples["n8n_runner_slots use=offered"] == 3
    assert samples["n8n_runner_worker_starts_total"] >= 3
    assert samples["n8n_runner_zygote_starts_total"] == 1
    arrow = "event=registered source=authenticated target=listening"
    assert samples[f"n8n_runner_connection_transitions_total {arrow}"] == 1
    assert sum(value for name, value in samples.items() if name.startswith("n8n_runner_memory_bytes")) > 1_000_000
    assert any(name.startswith("n8n_runner_confinement_layer") for name in samples)


async def test_failures_of_the_connection_are_counted_by_their_reason(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    runner = TaskRunner(TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri), clock=clock)
    scripted.statuses.extend([503, 299])
    async with served(runner) as session, runner:
        for _ in range(2):
            await runner.reached(ConnectionState.BACKOFF)
            await clock.advance(5)
        for code in (1001, 1001, 4999):
            connection = await scripted.accept()
            await connection.register()
            await runner.reached(ConnectionState.LISTENING)
            await connection.socket.close(code=code)
            await runner.reached(ConnectionState.BACKOFF)
            await clock.advance(5)
        samples = samples_of(await text_of(session, "/metrics"))
    assert {name.partition("=")[2]: value for name, value in samples.items() if "connection_failures" in name} == {
        "http_503": 1,
        "unreachable": 1,
        "closed_1001": 2,
        "lost": 1,
    }


async def test_no_name_that_others_choose_makes_a_time_series(scripted: ScriptedBroker, clock: ManualClock) -> None:
    runner = TaskRunner(TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri), clock=clock)
    async with served(runner) as session, runner:
        series: list[set[str]] = []
        for number in range(3):
            connection = await scripted.accept()
            await connection.register()
            names = {"nodeName": f"node {number}", "workflowName": f"workflow {number}", "workflowId": f"w{number}"}
            settings = json.loads(bytes(code_settings(f"raise ValueError('error {number}')", **names)))
            await connection.give_task(f"task {number}", settings)
            await connection.expect("runner:taskerror")
            await connection.say("broker:taskcancel", taskId=f"other {number}", reason=f"reason {number}")
            await connection.say(f"broker:unknown{number}")
            await connection.ping_answered()
            await connection.socket.close(code=4000 + number, message=f"reason {number}".encode())
            await runner.reached(ConnectionState.BACKOFF)
            series.append(set(samples_of(await text_of(session, "/metrics"))))
            await clock.advance(5)
    assert series[0] < series[1], "the way back from backoff is new"
    assert series[1] == series[2]


async def test_whoever_asks_for_openmetrics_gets_it(runner: TaskRunner) -> None:
    async with served(runner) as session:
        accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
        async with session.get("/metrics", headers=accept) as response:
            assert response.headers["Content-Type"].startswith("application/openmetrics-text")
            families = list(parse_openmetrics(await response.text()))  # type: ignore[no-untyped-call]
    assert len(families) == len(METRICS)


def test_the_table_of_metrics_keeps_to_the_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.help.endswith(".")
        assert metric.name.endswith(metric.unit)
        assert not metric.name.endswith("_total"), "the client adds it"
        assert (metric.kind is Kind.HISTOGRAM) <= (metric.unit == "seconds")


def test_a_histogram_counts_what_is_at_most_its_bounds() -> None:
    histogram = Histogram((1.0, 2.0, 4.0))
    assert histogram.quantile(0.5) is None
    for value in (0.5, 1.0, 1.5, 3.0, 100.0):
        histogram.add(value)
    assert histogram.counts == [2, 1, 1, 1]
    assert (histogram.count, histogram.total) == (5, 106.0)
    assert histogram.quantile(0.4) == 1.0
    assert 1.0 < (histogram.quantile(0.5) or 0) < 2.0
    assert histogram.quantile(1.0) == 4.0


# Status, and what it never tells


async def test_the_status_has_the_running_tasks(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with served(runner) as session, runner:
        task = broker.request(code_settings("print('on')\nimport time\ntime.sleep(600)"))
        await eventually(lambda: task.prints)
        status = json.loads(await text_of(session, "/status"))
        (shown,) = status["tasks"]["shown"]
        assert (shown["node_name"], shown["workflow_name"], shown["state"]) == ("Code", "A workflow", "running")
        assert shown["memory_bytes"] > 100_000
        assert status["slots"] == {"total": 3, "busy": 1, "offered": 2}
        assert status["connection"]["last"] == {
            "source": "authenticated",
            "event": "registered",
            "target": "listening",
        }
        assert [entry["event"] for entry in status["journal"]] == ["connect", "accepted", "registered"]
        assert {layer["layer"] for layer in status["layers"]} >= {"files", "system calls", "network"}


async def test_nothing_tells_code_items_results_or_secrets(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    markers = [AUTH_TOKEN, "mArKeR-in-code", "mArKeR-in-item", "mArKeR-in-error", "mArKeR-in-result"]
    async with served(runner) as session, runner:
        code = "x = 'mArKeR-in-code'\nraise ValueError('mArKeR-in-error', _items)"
        await run_code(broker, code, [{"json": {"n": "mArKeR-in-item"}}])
        await run_code(broker, "return {'n': 'mArKeR-in-' + 'result'}")
        running = broker.request(code_settings("print('mArKeR-in-code')\nimport time\ntime.sleep(600)"))
        await eventually(lambda: running.prints)
        told = [await text_of(session, path) for path in ("/readyz", "/metrics", "/status", "/inspect")]
        async with session.get("/inspect/events") as events:
            told.append((await events.content.readuntil(b"event: beat")).decode())
    for text in told:
        assert [marker for marker in markers if marker in text] == []
    failure = json.loads(told[2])["failures"][0]
    assert (failure["outcome"], failure["line"]) == ("failed", 2)


async def test_a_name_that_is_far_too_long_is_cut(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with served(runner) as session, runner:
        await run_code(broker, "1/0", nodeName="n" * 100_000, workflowName="w" * 100_000)
        running = broker.request(code_settings("print(1)\nimport time\ntime.sleep(600)", nodeName="n" * 100_000))
        await eventually(lambda: running.prints)
        assert len(await text_of(session, "/status")) < 20_000


# Who may read


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:5681", True),
        ("[::1]:5681", True),
        ("[fe80::1]", True),
        ("10.1.2.3", True),
        ("localhost:5681", True),
        ("LOCALHOST.", True),
        ("n8n-runner:5681", True),
        ("n8n-runner.default.svc.cluster.local:5681", True),
        ("printer.local", True),
        ("runner.example.com:5681", True),
        ("evil.example:5681", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("rebound.svc.evil.example", False),
        ("runner.example.com.evil.example", False),
        ("", False),
    ],
)
def test_names_that_a_stranger_can_have_are_not_ours(host: str, expected: bool) -> None:
    assert may_read(host, {"Runner.example.com"}) is expected


@pytest.mark.parametrize("path", ["/status", "/inspect", "/inspect/events", "/inspect/page.js"])
async def test_what_tells_of_workflows_is_kept_from_names_that_are_not_ours(runner: TaskRunner, path: str) -> None:
    async with served(runner, names={"runner.example.com"}) as session:
        async with session.get(path, headers={"Host": "evil.example"}) as response:
            assert response.status == 403
            assert "N8N_RUNNERS_HEALTH_CHECK_SERVER_NAMES" in await response.text()
        async with session.get(path, headers={"Host": "runner.example.com"}) as response:
            assert response.status == 200
        async with session.get("/healthz", headers={"Host": "evil.example"}) as response:
            assert response.status == 200


STREAM = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("path", ["/status", "/inspect", "/inspect/events", "/inspect/page.js"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-Fetch-Site": "cross-site", **STREAM}, 403),
        ({"Sec-Fetch-Site": "cross-site", **LINK}, 403),
        ({"Sec-Fetch-Site": "same-site", **STREAM}, 403),
        ({"Sec-Fetch-Site": "same-site", **LINK}, 200),
        ({"Sec-Fetch-Site": "same-origin", **STREAM}, 200),
        ({"Sec-Fetch-Site": "none", **LINK}, 200),
        ({"Sec-Fetch-Site": "something-new"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:5681"}, 403),
        ({"Origin": "https://stranger.example"}, 403),
        ({"Origin": "http://localhost:5678"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:5681"}, 200),
        ({}, 200),
    ],
)
async def test_what_a_page_of_another_site_asks_for_is_not_answered(
    runner: TaskRunner, path: str, headers: dict[str, str], expected: int
) -> None:
    async with (
        served(runner) as session,
        session.get(path, headers={"Host": "localhost:5681", **headers}) as response,
    ):
        assert response.status == expected
        if expected == 403:
            assert "type the address" in await response.text()


async def test_who_names_no_host_costs_no_question_to_dns(runner: TaskRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(*_: object) -> str:
        raise AssertionError("the event loop would wait for DNS")

    monkeypatch.setattr(socket, "getfqdn", waits)
    async with served(runner) as session:
        url = session._base_url
        assert url is not None
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /status HTTP/1.0\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"403"
        writer.close()


async def test_every_answer_forbids_to_be_framed_mixed_or_kept(runner: TaskRunner) -> None:
    def check(response: ClientResponse) -> None:
        assert {name: response.headers[name] for name in HEADERS} == HEADERS

    async with served(runner) as session:
        for path in ("/", "/readyz", "/metrics", "/status", "/inspect", "/inspect/page.css", "/inspect/events"):
            async with session.get(path) as response:
                check(response)
        async with session.post("/") as response:
            check(response)
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in HEADERS["Content-Security-Policy"]


async def test_the_page_comes_from_here_alone(runner: TaskRunner) -> None:
    async with served(runner) as session:
        page = await text_of(session, "/inspect")
        script = await text_of(session, "/inspect/page.js")
        style = await text_of(session, "/inspect/page.css")
        async with session.get("/inspect/../server.py") as response:
            assert await response.text() == "OK"
    for text in (page, style):
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "innerHTML" not in script
    assert " style=" not in page
    assert "onclick" not in page


async def test_the_page_is_found_with_a_slash_behind_it_too(runner: TaskRunner) -> None:
    async with served(runner) as session, session.get("/inspect/") as response:
        assert response.url.path == "/inspect"
        assert "<h1>n8n-runner</h1>" in await response.text()


# Watchers


async def read_beat(response: ClientResponse) -> str:
    return (await response.content.readuntil(b"event: beat\n")).decode()


async def test_a_watcher_is_told_what_changes_and_nothing_else(broker: EmbeddedBroker, runner: TaskRunner) -> None:
    async with served(runner) as session, session.get("/inspect/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        first = await read_beat(response)
        assert all(f"event: {name}\n" in first for name in ("about", "connection", "journal", "layers"))
        async with runner:
            await runner.reached(ConnectionState.LISTENING)
            heard = ""
            async with asyncio.timeout(10):
                while '"state":"listening"' not in heard:
                    heard = await read_beat(response)
            assert "event: about\n" not in heard


async def test_there_are_only_so_many_watchers(runner: TaskRunner) -> None:
    async with served(runner) as session:
        watching = [await session.get("/inspect/events") for _ in range(MOST_WATCHERS)]
        async with session.get("/inspect/events") as response:
            assert response.status == 503
        watching.pop().close()

        async def is_let_in() -> bool:
            async with session.get("/inspect/events") as response:
                return response.status == 200

        async with asyncio.timeout(10):
            while not await is_let_in():
                pass
        for each in watching:
            each.close()


async def read_past_beat(response: ClientResponse) -> None:
    """Read to the end of the next beat, however much comes before it."""
    read = b""
    while b"event: beat" not in read:
        read = read[-20:] + await response.content.readany()


@asynccontextmanager
async def slow_reader(port: int) -> AsyncIterator[socket.socket]:
    """A connection that takes little before it is read from."""
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", port))
        yield slow


async def test_a_watcher_that_does_not_read_is_let_go_and_keeps_nobody_waiting(
    runner: TaskRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, looks = ManualClock(), itertools.count()

    async def look_at_much() -> dict[str, object]:
        return {"much": f"{next(looks)}" * 200_000}

    async with StatusServer(runner, port=0, clock=clock) as server:
        feed = server._feed
        monkeypatch.setattr(feed, "_look", look_at_much)
        async with (
            slow_reader(server.port) as slow,
            ClientSession(f"http://127.0.0.1:{server.port}") as session,
            session.get("/inspect/events") as response,
        ):
            request = b"GET /inspect/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(slow, request)
            await eventually(lambda: len(feed._watchers) == 2)
            async with asyncio.timeout(30):
                while len(feed._watchers) == 2:
                    await clock.advance(1.0)
                    await read_past_beat(response)
            assert len(feed._watchers) == 1
            await clock.advance(1.0)
            await read_past_beat(response)


async def test_answers_that_nobody_reads_are_not_kept(runner: TaskRunner) -> None:
    clock, loop = ManualClock(), asyncio.get_running_loop()
    async with StatusServer(runner, port=0, clock=clock) as server, slow_reader(server.port) as slow:
        sending = asyncio.ensure_future(
            loop.sock_sendall(slow, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200_000)
        )
        async with asyncio.timeout(30):
            while not sending.done():
                await clock.advance(1.0)
                await asyncio.wait([sending], timeout=0.01)
        with pytest.raises(ConnectionError):
            sending.result()


async def is_let_go(reader: asyncio.StreamReader) -> bool:
    """Whether a connection ends without an answer, once it has ended."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


async def test_of_too_many_connections_the_oldest_give_way_even_if_they_come_at_once(
    runner: TaskRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests_module, "MOST_CONNECTIONS", 10)
    async with StatusServer(runner, port=0) as server:
        opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)))
        ends = [asyncio.ensure_future(is_let_go(reader)) for reader, _ in opened]
        await eventually(lambda: sum(end.done() for end in ends) == 50)
        async with ClientSession(f"http://127.0.0.1:{server.port}") as session:
            assert await text_of(session, "/healthz") == "OK"
            await eventually(lambda: sum(end.done() for end in ends) == 51)
    assert all(await asyncio.gather(*ends))
    for _, writer in opened:
        writer.close()


async def test_a_request_that_comes_in_drips_is_not_waited_for(
    runner: TaskRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "KEEP_ALIVE", 0.3)
    async with StatusServer(runner, port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        end = asyncio.ensure_future(is_let_go(reader))
        async with asyncio.timeout(10):
            while not end.done():
                writer.write(b"x")
                await asyncio.wait([end], timeout=0.02)
        assert end.result()
        writer.close()


async def test_its_end_lets_go_of_watchers_and_of_the_runner(runner: TaskRunner) -> None:
    async with StatusServer(runner, port=0) as server:
        session = ClientSession(f"http://127.0.0.1:{server.port}")
        response = await session.get("/inspect/events")
        await read_beat(response)
    async with asyncio.timeout(5):
        await response.content.read()
    await session.close()
    assert not runner._observers


async def test_an_address_that_is_taken_is_an_error_that_says_what_to_do(runner: TaskRunner) -> None:
    async with StatusServer(runner, port=0) as server:
        with pytest.raises(CannotListen, match="N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT") as caught:
            await StatusServer(runner, port=server.port).__aenter__()
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", server.port)


async def test_two_runners_in_one_process_have_a_server_each(broker: EmbeddedBroker) -> None:
    first, second = TaskRunner(config_for(broker)), TaskRunner(config_for(broker))
    async with served(first) as one, served(second) as other:
        first.note_stall(2.0)
        assert samples_of(await text_of(one, "/metrics"))["n8n_runner_loop_stall_seconds_total"] == 2
        assert samples_of(await text_of(other, "/metrics"))["n8n_runner_loop_stall_seconds_total"] == 0


def test_the_observer_of_the_page_hears_what_the_page_shows() -> None:
    from runner.observe.feed import Feed
    from runner.observe.history import History

    ours = {name for name in vars(Observer) if name.startswith("on_")}
    assert ours == {name for name in vars(History) if name.startswith("on_")}
    assert {name for name in vars(Feed) if name.startswith("on_")} < ours
