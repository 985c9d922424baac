"""A look at a task broker from outside, without any credential: for diagnosis."""

from __future__ import annotations

import asyncio
import os
import socket
from email.utils import parsedate_to_datetime

import aiohttp
import attrs
from yarl import URL

from runner.connection.failures import Unreachable, failure_of

PATIENCE = 5.0
"""How long an address may take to answer, in seconds."""


@attrs.frozen
class Attempt:
    """What came of connecting to one address; no `error` if it answered."""

    address: str
    error: str = ""


@attrs.frozen
class Answer:
    """What a broker says of itself: the HTTP status of its health check, and its time, in seconds of the epoch."""

    status: int
    date: float | None


async def try_addresses(uri: str) -> list[Attempt]:
    """Connect to every address that the host of a broker's URI has, one after the other.

    Raises:
        OSError: the name cannot be resolved.
    """
    url = URL(uri)
    port = url.port or (443 if url.scheme in {"https", "wss"} else 80)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    hosts = dict.fromkeys(str(address[0]) for _, _, _, _, address in found)
    return [Attempt(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", await _try(host, port)) for host in hosts]


async def _try(host: str, port: int) -> str:
    """Why an address does not answer; nothing if it does."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    writer.close()
    return ""


async def ask(uri: str) -> Answer:
    """Ask a broker how it is.

    Raises:
        Unreachable: there is no answer.
    """
    url = URL(uri)
    url = url.with_scheme("https" if url.scheme in {"https", "wss"} else "http") / "healthz"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            return Answer(response.status, _seconds(response.headers.get("Date")))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unreachable(str(failure_of(error))) from error


def _seconds(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
