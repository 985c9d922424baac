"""Who may read what the status server tells, and what browsers are told about its answers.

A page of somebody else's in a browser on this machine, or within this network, can reach the server too, and by
rebinding a name of its own to our address it could read the answers as if they were its own. Such a name is one that
the public can register; so what tells of workflows is answered only under names that nobody can: addresses, names
without a dot, those of private networks, and those that are configured.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Set as AbstractSet

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
