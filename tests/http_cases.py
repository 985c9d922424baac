"""HTTP requests and what n8n 2.41 makes of them: for whoever claims to answer them as n8n does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import attrs
from aiohttp import web

NOT_COMPARED = {"Host", "Connection", "User-Agent", "Accept-Encoding"}
"""Headers that differ from client to client."""

PICTURE = b"\x89PNG\xff\x00"


async def _echo(request: web.Request) -> web.Response:
    """What was sent, as JSON."""
    headers = {name: value for name, value in request.headers.items() if name not in NOT_COMPARED}
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "headers": headers,
            "body": (await request.read()).decode("latin-1"),
        }
    )


async def _form(request: web.Request) -> web.Response:
    """The fields of a form that was sent."""
    return web.json_response({name: str(value) for name, value in (await request.post()).items()})


async def _redirect(_: web.Request) -> web.Response:
    raise web.HTTPFound("/echo")


async def _answers(request: web.Request) -> web.Response:
    return {
        "teapot": web.json_response({"why": "teapot"}, status=418, headers={"X-Kind": "tea"}),
        "broken": web.Response(text="no", status=500),
        "picture": web.Response(body=PICTURE, content_type="image/png"),
        "text": web.Response(text="plain ä"),
        "numbers": web.Response(text="[1,2]", content_type="text/plain"),
        "bad-json": web.Response(text="{nope", content_type="application/json"),
        "empty": web.Response(status=204),
        "cookie": web.Response(text="eaten", headers={"Set-Cookie": "a=b; Path=/"}),
    }[request.match_info["name"]]


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[str]:
    """The address of a server that these requests go to."""
    app = web.Application()
    app.router.add_route("*", "/echo", _echo)
    app.router.add_route("*", "/form", _form)
    app.router.add_route("*", "/redirect", _redirect)
    app.router.add_route("*", "/{name}", _answers)
    server = web.AppRunner(app, access_log=None)
    await server.setup()
    try:
        await web.TCPSite(server, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{server.addresses[0][1]}"
    finally:
        await server.cleanup()


@attrs.frozen
class Request:
    """A request, and what comes of it: a value, or the message of an error.

    Parameters:
        path: behind the server's address.
        options: beside the address.
        answer: what is returned; of an echo, the members that are named here.
        error: what the message begins with.
    """

    name: str
    path: str
    options: dict[str, Any] = attrs.field(factory=dict)
    answer: Any = None
    error: str | None = None
    legacy: bool = False

    def against(self, server: str) -> dict[str, Any]:
        """The options, with the address."""
        return {**self.options, "uri" if self.legacy else "url": server + self.path}

    def is_answered_by(self, answer: Any) -> bool:
        """Whether this is the answer of n8n."""
        echoed = self.path.partition("?")[0] in {"/echo", "/redirect"}
        if echoed and isinstance(answer, dict) and isinstance(self.answer, dict):
            return {key: answer.get(key) for key in self.answer} == self.answer
        return bool(answer == self.answer)


ANY = "application/json, text/plain, */*"
JSON = {"Accept": ANY, "Content-Type": "application/json"}
FORM = {"Accept": ANY, "Content-Type": "application/x-www-form-urlencoded"}

REQUESTS = (
    Request("plain", "/echo", {}, {"method": "GET", "path": "/echo", "headers": {"Accept": ANY}, "body": ""}),
    Request("header", "/echo", {"headers": {"X-A": "b"}}, {"headers": {"Accept": ANY, "X-A": "b"}}),
    Request("json", "/echo", {"json": True}, {"headers": {"Accept": "application/json"}}),
    Request(
        "query",
        "/echo?x=1",
        {"qs": {"a": "ä b", "b": [1, 2], "c": {"d": True}}},
        {"path": "/echo?x=1&a=%C3%A4%20b&b%5B0%5D=1&b%5B1%5D=2&c%5Bd%5D=true"},
    ),
    Request("repeat", "/echo", {"qs": {"b": [1, 2]}, "arrayFormat": "repeat"}, {"path": "/echo?b=1&b=2"}),
    Request("body", "/echo", {"method": "POST", "body": {"a": "ä"}}, {"body": '{"a":"\xc3\xa4"}', "method": "POST"}),
    Request("list", "/echo", {"method": "PUT", "body": [1, 2]}, {"body": "[1,2]", "method": "PUT"}),
    Request("text", "/echo", {"method": "POST", "body": "text"}, {"body": "text"}),
    Request("get", "/echo", {"method": "GET", "body": {"a": 1}}, {"body": ""}),
    Request(
        "urlencoded",
        "/echo",
        {"method": "POST", "body": {"a": 1, "b": [1, 2]}, "headers": {"Content-Type": FORM["Content-Type"]}},
        {"body": "a=1&b%5B%5D=1&b%5B%5D=2"},
    ),
    Request(
        "multipart",
        "/form",
        {"method": "POST", "body": {"a": "b", "c": {"d": "e"}}, "headers": {"Content-Type": "multipart/form-data"}},
        {"a": "b", "c[d]": "e"},
    ),
    Request(
        "auth",
        "/echo",
        {"auth": {"username": "u", "password": "p"}},
        {"headers": {"Accept": ANY, "Authorization": "Basic dTpw"}},
    ),
    Request("status", "/teapot", error="Request failed with status code 418"),
    Request("broken", "/broken", error="Request failed with status code 500"),
    Request("ignored", "/teapot", {"ignoreHttpStatusErrors": True}, {"why": "teapot"}),
    Request("picture", "/picture", {"encoding": "arraybuffer"}, PICTURE),
    Request("words", "/text", {}, "plain ä"),
    Request("numbers", "/numbers", {}, [1, 2]),
    Request("numbers-as-text", "/numbers", {"encoding": "text"}, "[1,2]"),
    Request("bad-json", "/bad-json", {}, "{nope"),
    Request("empty", "/empty", {}, ""),
    Request("redirect", "/redirect", {}, {"method": "GET"}),
    Request("no-redirect", "/redirect", {"disableFollowRedirect": True}, error="Request failed with status code 302"),
    Request("base", "/echo", {"baseURL": "http://127.0.0.1:1"}, {"path": "/echo"}),
    Request("legacy", "/numbers", {}, "[1,2]", legacy=True),
    Request("legacy-json", "/numbers", {"json": True}, [1, 2], legacy=True),
    Request("legacy-form", "/form", {"method": "POST", "form": {"a": 1}}, '{"a": "1"}', legacy=True),
    Request("legacy-status", "/teapot", {}, error='418 - "{\\"why\\": \\"teapot\\"}"', legacy=True),
    Request("legacy-not-simple", "/teapot", {"simple": False}, '{"why": "teapot"}', legacy=True),
    Request("legacy-bytes", "/picture", {"encoding": None}, PICTURE, legacy=True),
)
