"""What an interpreter has to read: nothing that is anybody's secret, and nothing below /proc.

Below /proc stands the environment of every process of the same user. So all of it is closed, /proc/self included, of
which a rule could not be made anyway: it is another folder in each process. What asks there (psutil, a list of one's
own descriptors, the load average) gets an error; the number of processors is found in /sys.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/etc/ld.so.cache")

DATA = (
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/usr/share/fonts",
    "/etc/fonts",
    "/sys/devices/system/cpu",
)

MIME_TYPES = (
    "/etc/mime.types",
    "/etc/apache2/mime.types",
    "/etc/httpd/mime.types",
    "/etc/httpd/conf/mime.types",
    "/usr/local/etc/mime.types",
)
"""`mimetypes` fails altogether when one of them is there and cannot be read."""

CERTIFICATES = (
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
)

DEVICES = ("/dev/urandom", "/dev/random", "/dev/zero")

NAME_SERVICE = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
)
"""Needed only to find hosts by name."""

SYSTEM_PREFIXES = ("/", "/usr", "/usr/local")
"""Prefixes that hold more than one interpreter; what is needed of them is listed above."""

PREFIX_PARTS = ("lib", "lib64", "share", "ssl")
"""What is read below a prefix: not all of it, since some people make an environment of the folder of a project."""


def readable_paths(*, network: bool = False, extras: Iterable[str] = ()) -> list[str]:
    """What this interpreter, its packages and libraries have to read, and what was asked for beyond that."""
    found = [*_interpreter(), *LIBRARIES, *DATA, *MIME_TYPES, *CERTIFICATES, *DEVICES]
    found += NAME_SERVICE if network else ()
    return _outermost(os.path.realpath(path) for path in (*found, *extras) if os.path.exists(path))  # noqa: PTH110


def _interpreter() -> Iterator[str]:
    """The folders of the interpreter and of the packages that it finds."""
    for prefix in {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix} - set(SYSTEM_PREFIXES):
        yield from (os.path.join(prefix, part) for part in PREFIX_PARTS)  # noqa: PTH118
    yield os.path.dirname(os.__file__)  # noqa: PTH120
    own = _own_root()
    yield from (entry for entry in sys.path if os.path.isabs(entry) and entry not in {own, "/"})  # noqa: PTH117


def _own_root() -> str:
    """Where this project is imported from, which is no business of a task's unless other packages are there too."""
    root = os.path.abspath(__file__)  # noqa: PTH100
    for _ in __name__.split("."):
        root = os.path.dirname(root)  # noqa: PTH120
    return "" if os.path.basename(root) in {"site-packages", "dist-packages"} else root  # noqa: PTH119


def _outermost(paths: Iterable[str]) -> list[str]:
    """The paths that do not lie below others, in order."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not (kept and path.startswith(kept[-1].rstrip("/") + "/")):
            kept.append(path)
    return kept
