"""n8n's options of an HTTP request, read into what is to be sent. As in n8n, options that are not known are ignored."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote, urljoin

import attrs
import msgspec

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
MAX_REDIRECTS = 21
USER_AGENT = "n8n-runner"


class BadOptions(ValueError):
    """The options cannot be used; the text says why."""


@attrs.frozen(kw_only=True)
class HttpCall:
    """A request, and what to make of its response.

    Parameters:
        body: what is sent; None for nothing.
        parts: what is sent as a multipart form instead.
        timeout: in seconds; 0 for none.
        parses: whether a body that is JSON is parsed.
        status_ignored: whether any status is as good as 200.
        wants_all: whether status and headers are returned with the body.
        tells_body: whether the error about a bad status has the body in it.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    parts: Mapping[str, str] | None = None
    timeout: float = 0.0
    max_redirects: int = MAX_REDIRECTS
    verifies: bool = True
    parses: bool = True
    wants_bytes: bool = False
    wants_all: bool = False
    status_ignored: bool = False
    tells_body: bool = False

    def accepts(self, status: int) -> bool:
        """Whether a response with this status is no error."""
        return self.status_ignored or 200 <= status < 300

    def complaint(self, status: int, body: bytes) -> str:
        """The text of the error about a status."""
        if self.tells_body:
            return f"{status} - {json.dumps(body.decode('utf-8', 'replace'), ensure_ascii=False)}"
        return f"Request failed with status code {status}"


class _Auth(msgspec.Struct):
    username: str = ""
    password: str = ""
    # the words of the older function
    user: str = ""
    pass_: str = msgspec.field(default="", name="pass")

    def header(self) -> str:
        """What is sent in the header `Authorization`."""
        pair = f"{self.username or self.user}:{self.password or self.pass_}"
        return "Basic " + base64.b64encode(pair.encode("utf-8", "replace")).decode()


class _Options(msgspec.Struct, rename="camel"):
    url: str
    method: str = "GET"
    base_url: str | None = msgspec.field(default=None, name="baseURL")
    headers: dict[str, Any] = {}
    body: Any = None
    qs: dict[str, Any] = {}
    array_format: Literal["indices", "brackets", "repeat", "comma"] = "indices"
    auth: _Auth | None = None
    disable_follow_redirect: bool = False
    max_redirects: int = MAX_REDIRECTS
    encoding: Literal["arraybuffer", "json", "text"] | None = None
    skip_ssl_certificate_validation: bool = False
    return_full_response: bool = False
    ignore_http_status_errors: bool = False
    timeout: float = 0
    json: bool = False
    proxy: Any = None


class _LegacyOptions(msgspec.Struct, rename="camel"):
    uri: str = ""
    url: str = ""
    method: str = "GET"
    headers: dict[str, Any] = {}
    body: Any = None
    form: dict[str, Any] | None = None
    qs: dict[str, Any] = {}
    auth: _Auth | None = None
    follow_redirect: bool = True
    encoding: str | msgspec.UnsetType | None = msgspec.UNSET
    reject_unauthorized: bool = True
    resolve_with_full_response: bool = False
    simple: bool = True
    timeout: float = 0
    json: bool = False


def call_of(options: Any) -> HttpCall:
    """The request that the options of `httpRequest` describe.

    Raises:
        BadOptions: they describe none.
    """
    read = _convert(options, _Options)
    if read.proxy is not None:
        raise BadOptions("`proxy` is not supported without n8n")
    headers = _headers(read.headers, JSON if read.json else f"{JSON}, text/plain, */*", read.auth)
    body, parts = _body(read.method, read.body, headers)
    return HttpCall(
        method=read.method.upper(),
        url=_url(urljoin(read.base_url or "", read.url), _query(read.qs, read.array_format)),
        headers=headers,
        body=body,
        parts=parts,
        timeout=read.timeout / 1000,
        max_redirects=0 if read.disable_follow_redirect else read.max_redirects,
        verifies=not read.skip_ssl_certificate_validation,
        parses=read.encoding in {None, "json"},
        wants_bytes=read.encoding == "arraybuffer",
        wants_all=read.return_full_response,
        status_ignored=read.ignore_http_status_errors,
    )


def legacy_call_of(options: Any) -> HttpCall:
    """The request that the options of `request` describe, or its address alone.

    Raises:
        BadOptions: they describe none.
    """
    read = _convert({"uri": options} if isinstance(options, str) else options, _LegacyOptions)
    headers = _headers(read.headers, JSON if read.json else "*/*", read.auth)
    if read.form is not None:
        headers["Content-Type"] = FORM
    elif read.body is not None and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = JSON
    body, parts = _body(read.method, read.body if read.form is None else read.form, headers)
    return HttpCall(
        method=read.method.upper(),
        url=_url(read.uri or read.url, _query(read.qs, "indices")),
        headers=headers,
        body=body,
        parts=parts,
        timeout=read.timeout / 1000,
        max_redirects=MAX_REDIRECTS if read.follow_redirect else 0,
        verifies=read.reject_unauthorized,
        parses=read.json,
        wants_bytes=read.encoding is None,
        wants_all=read.resolve_with_full_response,
        status_ignored=not read.simple,
        tells_body=True,
    )


def _convert(options: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(options, kind)
    except msgspec.ValidationError as error:
        raise BadOptions(f"The options cannot be used: {error}") from error


def _headers(given: Mapping[str, Any], accept: str, auth: _Auth | None) -> dict[str, str]:
    headers = {name: str(value) for name, value in given.items()}
    if auth is not None:
        headers["Authorization"] = auth.header()
    names = {name.lower() for name in headers}
    defaults = {"Accept": accept, "User-Agent": USER_AGENT}
    return {**{name: value for name, value in defaults.items() if name.lower() not in names}, **headers}


def _url(url: str, query: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise BadOptions(f"{url!r} is not an http:// or https:// address")
    address = url.partition("#")[0]
    return address + (("&" if "?" in address else "?") + query if query else "")


def _query(values: Mapping[str, Any], array_format: str) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in _flat(values, array_format))


def _body(method: str, body: Any, headers: dict[str, str]) -> tuple[bytes | None, Mapping[str, str] | None]:
    """What is sent: bytes, or the parts of a form. Sets the type of the content, where the caller did not."""
    if method.upper() == "GET" or body in (None, {}, []):
        return None, None
    kind_name = next((name for name in headers if name.lower() == "content-type"), None)
    kind = headers[kind_name].partition(";")[0] if kind_name is not None else None
    if isinstance(body, str):
        headers.setdefault(kind_name or "Content-Type", FORM)
        return body.encode("utf-8", "replace"), None
    if kind == FORM and isinstance(body, Mapping):
        return _query(body, "brackets").encode(), None
    if kind == MULTIPART and kind_name is not None and isinstance(body, Mapping):
        del headers[kind_name]  # it is written anew, with the boundary
        return None, dict(_flat(body, "indices"))
    headers.setdefault(kind_name or "Content-Type", JSON)
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"), None


def _flat(values: Mapping[str, Any], array_format: str) -> Iterator[tuple[str, str]]:
    """Names and values for a query or a form; what is nested gets names such as `a[b][0]`."""
    for name, value in values.items():
        yield from _flat_member(name, value, array_format)


def _flat_member(name: str, value: Any, array_format: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield from _flat_member(f"{name}[{key}]", member, array_format)
    elif isinstance(value, list) and array_format == "comma":
        yield name, ",".join(_text(member) for member in value)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            suffix = {"indices": f"[{index}]", "brackets": "[]", "repeat": ""}[array_format]
            yield from _flat_member(name + suffix, member, array_format)
    elif value is not None:
        yield name, _text(value)


def _text(value: Any) -> str:
    """A value as JavaScript writes it into a query."""
    return value if isinstance(value, str) else json.dumps(value)
