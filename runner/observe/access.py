"""Who may read what the status server tells, and what browsers are told about its answers.

A page of somebody else's in a browser on this machine, or within this network, can reach the server too, and by
rebinding a name of its own to our address it could read the answers as if they were its own. Such a name is one that
the public can register; so what tells of workflows is answered only under names that nobody can: addresses, names
without a dot, those of private networks, and those that are configured.

Without reading the answers such a page could still have the browser ask, to learn that there is a runner, or to keep
streams open so that nobody else can watch. So what a page of another site has asked for is not answered either.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from urllib.parse import urlsplit

PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc")
"""The ends of names that nobody can register, which networks use among themselves."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "n8n-runner",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What every answer says: it is not to be kept, framed, mistaken for something else, or mixed with anything."""


def may_read(host: str, names: AbstractSet[str]) -> bool:
    """Whether the header `Host` of a request names this server in a way that no stranger can.

    Parameters:
        names: further names that are allowed.
    """
    name = _without_port(host).lower().rstrip(".")
    if not name:
        return False
    if _is_address(name) or "." not in name or name in {each.lower() for each in names}:
        return True
    return name.endswith(PRIVATE_SUFFIXES)


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a page that is not ours had a browser send a request with these headers.

    Browsers say where a request comes from, in headers that no page can set: `Sec-Fetch-Site` where the address is one
    that they trust, such as localhost's; elsewhere `Origin` at least, when the answer is a stream of events. A link may
    lead here from another port of this machine, where n8n is; nothing else may.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        is_link = site == "same-site" and headers.get("Sec-Fetch-Mode") == "navigate"
        return site not in {"same-origin", "none"} and not is_link
    origin = headers.get("Origin")  # not sent with what our own page asks for
    return origin is not None and urlsplit(origin).netloc != headers.get("Host")


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
