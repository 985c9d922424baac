"""The parts of a connection: addresses, what failures come to, who the runner is, and how it comes by a token."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from runner.config import TaskRunnerConfig
from runner.connection.address import BrokerAddress
from runner.connection.credentials import AuthToken, GivenGrantToken
from runner.connection.failures import (
    REFUSALS,
    STATUS_MEANINGS,
    Refused,
    Unreachable,
    explain_status,
    failure_of,
)
from runner.connection.identity import RunnerIdentity
from runner.errors import ConfigurationError
from tests.support import settle

MARKER = "sEcReT-mArKeR"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def everything_shown(error: BaseException) -> str:
    """What may be shown of an error: its text, its repr and its arguments, and those of its causes."""
    shown = []
    link: BaseException | None = error
    while link is not None:
        shown += [str(link), repr(link), repr(link.args), repr(vars(link))]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n".join(shown)


# Addresses


@pytest.mark.parametrize(
    ("uri", "path", "auth_url", "socket_url"),
    [
        ("http://n8n:5679", "/runners", "http://n8n:5679/runners/auth", "ws://n8n:5679/runners/_ws"),
        ("http://n8n:5679/", "/runners", "http://n8n:5679/runners/auth", "ws://n8n:5679/runners/_ws"),
        ("https://n8n.local", "/runners", "https://n8n.local/runners/auth", "wss://n8n.local/runners/_ws"),
        (
            "https://n8n.local:8443",
            "/runners",
            "https://n8n.local:8443/runners/auth",
            "wss://n8n.local:8443/runners/_ws",
        ),
        ("ws://n8n:5679", "/runners", "http://n8n:5679/runners/auth", "ws://n8n:5679/runners/_ws"),
        ("wss://n8n", "/runners", "https://n8n/runners/auth", "wss://n8n/runners/_ws"),
        ("HTTPS://N8N", "/runners", "https://n8n/runners/auth", "wss://n8n/runners/_ws"),
        ("http://n8n/proxy", "/runners", "http://n8n/proxy/runners/auth", "ws://n8n/proxy/runners/_ws"),
        ("http://n8n/proxy/a//", "/runners", "http://n8n/proxy/a/runners/auth", "ws://n8n/proxy/a/runners/_ws"),
        ("http://n8n/a%20b", "/runners", "http://n8n/a%20b/runners/auth", "ws://n8n/a%20b/runners/_ws"),
        ("http://n8n/a%2Fb", "/runners", "http://n8n/a%2Fb/runners/auth", "ws://n8n/a%2Fb/runners/_ws"),
        ("http://n8n/50%25", "/runners", "http://n8n/50%25/runners/auth", "ws://n8n/50%25/runners/_ws"),
        ("http://n8n", "/other/path", "http://n8n/other/path/auth", "ws://n8n/other/path/_ws"),
        ("http://n8n/proxy/", "/other", "http://n8n/proxy/other/auth", "ws://n8n/proxy/other/_ws"),
        ("http://n8n", "", "http://n8n/auth", "ws://n8n/_ws"),
        ("http://[::1]:5679", "/runners", "http://[::1]:5679/runners/auth", "ws://[::1]:5679/runners/_ws"),
        ("https://[fe80::1]/p/", "/runners", "https://[fe80::1]/p/runners/auth", "wss://[fe80::1]/p/runners/_ws"),
    ],
)
def test_the_addresses_of_a_broker(uri: str, path: str, auth_url: str, socket_url: str) -> None:
    address = BrokerAddress.of(uri, path)
    assert (str(address.auth_url), str(address.socket_url)) == (auth_url, socket_url)


@pytest.mark.parametrize(
    ("uri", "port"),
    [("http://n8n", 80), ("https://n8n", 443), ("ws://n8n", 80), ("wss://n8n", 443), ("http://n8n:443", 443)],
)
def test_the_port_is_the_one_of_the_scheme_unless_it_is_given(uri: str, port: int) -> None:
    address = BrokerAddress.of(uri, "/runners")
    assert (address.auth_url.port, address.socket_url.port) == (port, port)


@pytest.mark.parametrize("runner_id", ["simple", "me & you", "a+b c", "a=b#c?d/e", "50%", "%41", "ä😀", ";,"])
def test_an_id_arrives_as_it_is(runner_id: str) -> None:
    url = BrokerAddress.of("http://n8n/proxy", "/runners").socket_url_for(runner_id)
    assert (url.scheme, url.path) == ("ws", "/proxy/runners/_ws")
    assert parse_qs(urlsplit(str(url)).query) == {"id": [runner_id]}
    assert str(url).isascii()


@settings(deadline=None)
@given(
    st.one_of(
        st.builds("{}://{}{}".format, st.sampled_from(["http", "wss"]), st.text(max_size=12), st.text(max_size=8)),
        st.builds("http://{}".format, st.text("ah0:/@?#[]%.-_~!\\*'\u00fc\u3002", max_size=14)),
    ),
    st.text("/a%.:@\u00fc\x1b\udcff*;", max_size=8).map("/{}".format) | st.just("/runners"),
)
@example("http://n8n", "/\udcff")
@example("http://a..b", "/runners")
@example("http://[::1%25lo]:5679", "/runners")
@example("http://" + "a" * 300, "/runners")
@example("http://[v1.a]", "/runners")
@example("http://n8n/..", "/../x")
def test_every_address_that_the_configuration_accepts_can_be_used(uri: str, path: str) -> None:
    try:
        config = TaskRunnerConfig(grant_token="x", task_broker_uri=uri, broker_path=path)
    except ConfigurationError:
        return
    address = BrokerAddress.of(config.task_broker_uri, config.broker_path)
    assert address.socket_url.host
    assert address.socket_url_for("id").name == "_ws"
    assert address.auth_url.name == "auth"


# Failures


def response_error(status: int) -> aiohttp.ClientResponseError:
    """What aiohttp raises for an answer with this status; its request has the token in a header."""
    headers = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {MARKER}"}))
    url = URL("http://n8n/runners/_ws")
    request = aiohttp.RequestInfo(url, "GET", headers, url)
    return aiohttp.WSServerHandshakeError(request, (), status=status, message="Invalid response", headers=headers)


def test_only_401_and_403_are_refusals() -> None:
    assert {401, 403} == REFUSALS
    assert set(STATUS_MEANINGS) == {400, 401, 403, 404, 429, 503}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_says_its_status_and_what_it_means(status: int) -> None:
    failure = failure_of(response_error(status))
    assert isinstance(failure, Refused)
    assert (failure.status, str(failure)) == (status, STATUS_MEANINGS[status])


@pytest.mark.parametrize("status", [200, 302, 400, 404, 418, 429, 500, 502, 503])
def test_every_other_status_may_pass_and_is_explained(status: int) -> None:
    failure = failure_of(response_error(status))
    assert isinstance(failure, Unreachable)
    assert str(failure) == explain_status(status)


@pytest.mark.parametrize(
    ("status", "part"),
    [
        (400, "runner id missing"),
        (404, "check N8N_RUNNERS_TASK_BROKER_URI and N8N_RUNNERS_PATH"),
        (429, "too many runners"),
        (503, "starting or stopping"),
        (418, "unexpected"),
    ],
)
def test_a_status_is_explained_in_words(status: int, part: str) -> None:
    assert explain_status(status).startswith(f"HTTP {status}: ")
    assert part in explain_status(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_the_token_is_nowhere_in_a_failure_or_its_cause(status: int) -> None:
    error = response_error(status)
    assert MARKER in everything_shown(error), "or this test would show nothing"
    failure = failure_of(error)
    assert MARKER not in everything_shown(failure)
    assert isinstance(failure.__cause__, aiohttp.WSServerHandshakeError)
    assert failure.__cause__.status == status
    assert failure.__cause__.__traceback__ is error.__traceback__


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerTimeoutError("internals"), "no answer in time"),
        (ssl.SSLError(1, "wrong version"), "TLS: "),
        (ssl.SSLCertVerificationError("self-signed"), "TLS: "),
        (ConnectionResetError("Connection reset by peer"), "Connection reset by peer"),
        (OSError(), "OSError"),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (ValueError("bad header"), "bad header"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_errors_of_the_client_may_pass_and_are_the_cause(error: Exception, text: str) -> None:
    failure = failure_of(error)
    assert isinstance(failure, Unreachable)
    assert str(failure).startswith(text)
    assert failure.__cause__ is error


# Who the runner is


def test_a_generated_id_is_different_each_time() -> None:
    ids = {RunnerIdentity("").current for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in ids)


def test_a_generated_id_stays_until_another_runner_has_it(caplog: pytest.LogCaptureFixture) -> None:
    identity = RunnerIdentity("")
    first = identity.current
    assert identity.current == first
    identity.evicted()
    assert identity.current != first
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_configured_id_stays_and_the_conflict_is_named(caplog: pytest.LogCaptureFixture) -> None:
    identity = RunnerIdentity("mine")
    identity.evicted()
    assert identity.current == "mine"
    ((level, message),) = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert level == logging.ERROR
    assert "mine" in message
    assert "N8N_RUNNERS_ID" in message


# Tokens


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[URL]:
    """A web server that answers the token exchange with `handler`; gives the address of the exchange."""
    app = web.Application()
    app.router.add_post("/runners/auth", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield BrokerAddress.of(f"http://127.0.0.1:{runner.addresses[0][1]}", "/runners").auth_url
    finally:
        await runner.cleanup()


def answering(status: int = 200, body: bytes = b"") -> Handler:
    """A handler that always answers this."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return handle


async def exchange(url: URL) -> str:
    """Fetch a grant token with a secret that must never be shown."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        return await AuthToken(MARKER, url).grant_token(session)


async def failure_at(url: URL) -> Refused | Unreachable:
    """Why no token could be had, having checked that it does not give the secret away."""
    with pytest.raises((Refused, Unreachable)) as caught:
        await exchange(url)
    assert MARKER not in everything_shown(caught.value)
    assert isinstance(caught.value, Refused | Unreachable)
    return caught.value


async def test_a_given_grant_token_is_the_same_each_time_and_not_renewable() -> None:
    credentials = GivenGrantToken("granted")
    async with aiohttp.ClientSession() as session:
        assert [await credentials.grant_token(session) for _ in range(2)] == ["granted", "granted"]
    assert credentials.renewable is False


async def test_an_auth_token_is_exchanged_for_a_fresh_grant_token_each_time() -> None:
    bodies: list[object] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.content_type == "application/json"
        bodies.append(await request.json())
        return web.json_response({"data": {"token": f"granted {len(bodies)}"}, "more": 1})

    async with serving(handle) as url, aiohttp.ClientSession() as session:
        credentials = AuthToken(MARKER, url)
        assert [await credentials.grant_token(session) for _ in range(2)] == ["granted 1", "granted 2"]
    assert bodies == [{"token": MARKER}, {"token": MARKER}]
    assert credentials.renewable is True


async def test_the_type_of_the_answer_does_not_matter() -> None:
    async with serving(answering(201, b' {"data":\n{"token":"abc"}}')) as url:
        assert await exchange(url) == "abc"


async def test_an_answer_that_comes_in_pieces_is_put_together() -> None:
    body = json.dumps({"data": {"token": "granted"}}).encode()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(body), 5):
            await response.write(body[start : start + 5])
            await settle()  # the client is on the same event loop: it reads each piece before the next is written
        return response

    async with serving(handle) as url:
        assert await exchange(url) == "granted"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_auth_token_is_a_refusal_with_its_cause(status: int) -> None:
    async with serving(answering(status)) as url:
        failure = await failure_at(url)
    assert isinstance(failure, Refused)
    assert (failure.status, str(failure)) == (status, STATUS_MEANINGS[status])
    assert isinstance(failure.__cause__, aiohttp.ClientResponseError)
    assert failure.__cause__.status == status


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_a_broker_that_gives_no_token_this_time_is_unreachable(status: int) -> None:
    async with serving(answering(status, b'{"data":{"token":"not this one"}}')) as url:
        failure = await failure_at(url)
    assert isinstance(failure, Unreachable)
    assert str(failure) == explain_status(status)
    assert isinstance(failure.__cause__, aiohttp.ClientResponseError)


async def test_a_path_that_nobody_serves_is_explained_as_such() -> None:
    async with serving(answering()) as url:
        assert "N8N_RUNNERS_PATH" in str(await failure_at(url.with_path("/other/auth")))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Not n8n</html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":[]}',
        b'{"data":{}}',
        b'{"data":{"token":null}}',
        b'{"data":{"token":5}}',
        b'{"data":{"token":""}}',
        b'{"data":{"token":["abc"]}}',
        b'{"token":"abc"}',
        b'{"data":{"token":"a\\nb"}}',
        b'{"data":{"token":"a\\r\\nX-Evil: 1"}}',
        b'{"data":{"token":"a\\u0000"}}',
        b'{"data":{"token":"\\u007f"}}',
        b'{"data":{"token":"\\u00e4"}}',
        b'{"data":{"token":"\\ud83d"}}',
        b'{"data":{"token":"abc"}} trailing',
        b"[" * 60_000,
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_an_answer_without_a_usable_token_is_unreachable_and_not_shown(body: bytes) -> None:
    async with serving(answering(200, body)) as url:
        failure = await failure_at(url)
    assert isinstance(failure, Unreachable)
    assert str(failure) == "the answer to the token exchange has no token in it: is this n8n's task broker?"


async def test_the_secret_is_not_sent_on_to_where_a_redirect_points() -> None:
    heard: list[str] = []

    async def listen(request: web.Request) -> web.StreamResponse:
        heard.append(await request.text())
        return web.json_response({"data": {"token": "abc"}})

    async with serving(listen) as elsewhere:

        async def redirect(_: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(elsewhere)

        async with serving(redirect) as url:
            assert isinstance(await failure_at(url), Unreachable)
    assert heard == []


async def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as reserved:  # bound and not listening: connecting to it is refused
        reserved.bind(("127.0.0.1", 0))
        failure = await failure_at(URL(f"http://127.0.0.1:{reserved.getsockname()[1]}/runners/auth"))
    assert isinstance(failure, Unreachable)
    assert "127.0.0.1" in str(failure)
    assert isinstance(failure.__cause__, OSError)


async def test_tls_to_a_port_without_tls_is_unreachable_and_says_tls() -> None:
    async with serving(answering()) as url:
        failure = await failure_at(url.with_scheme("https"))
    assert isinstance(failure, Unreachable)
    assert "TLS" in str(failure)


async def test_a_broker_that_hangs_up_is_unreachable() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await failure_at(URL(f"http://127.0.0.1:{port}/runners/auth")), Unreachable)


async def test_a_broker_that_speaks_no_http_is_unreachable() -> None:
    async def say_hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ESMTP\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(say_hello, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await failure_at(URL(f"http://127.0.0.1:{port}/runners/auth")), Unreachable)


async def test_a_broker_that_does_not_answer_in_time_is_unreachable() -> None:
    never = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with serving(wait) as url:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.05)) as session:
            with pytest.raises(Unreachable, match="no answer in time"):
                await AuthToken(MARKER, url).grant_token(session)
        never.set()


async def test_cancelling_the_exchange_is_no_failure() -> None:
    asked = asyncio.Event()
    never = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        asked.set()
        await never.wait()
        return web.Response()

    async with serving(wait) as url:
        task = asyncio.get_running_loop().create_task(exchange(url))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        never.set()
