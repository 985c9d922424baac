"""One attack, and how its text becomes the code of a Code node."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Mapping

import attrs

HEADER = """
import ctypes, fcntl, mmap, os, resource, select, signal, socket, struct, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
world = SimpleNamespace(**{**_items[0]['json'], 'own': os.environ['TMPDIR']})
LIBC = ctypes.CDLL(None, use_errno=True)
def raw(number, *words):
    words = [word if isinstance(word, bytes) else ctypes.c_long(word) for word in words]
    result = LIBC.syscall(ctypes.c_long(number), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def has_secret(data):
    return (data if isinstance(data, bytes) else str(data).encode()).find(world.secret.encode()) >= 0
def frame(kind, payload=b''):
    return struct.pack('!BI', kind, len(payload)) + payload
def send(*frames):
    data = b''.join(frames)
    while data:
        data = data[os.write(3, data):]
"""
"""What the attacks use that go straight for the kernel. It needs modules that only two configurations allow."""

SIGNS = re.compile(
    r"<module '(os|sys|posix|builtins|subprocess|codecs|_io)'|"
    r"<built-in function (open|eval|exec|compile|getattr|setattr|vars|globals|__import__|system|getpid)>|"
    r"<built-in method (__subclasses__|mro|__getattribute__) |<method '(__subclasses__|mro)' of 'type'|"
    r"<frame |<code object|<traceback object|<_io\.(FileIO|TextIOWrapper)|<class '(type|code)'>|<class 'function'>|"
    r"<class '(enum\.EnumType|abc\.ABCMeta|os\._wrap_close)'>|'__builtins__'|environ\({"
)
"""What shows that code got hold of what the language rules of n8n keep from it."""


@attrs.frozen
class Attack:
    """One attack.

    Parameters:
        body: statements that return loot, which is anything true, or nothing if it is the damage that counts.
        against_rules: it is after what the language rules keep from code; its loot counts only if `SIGNS` find it,
            and only where these rules are all that keeps `os` away.
        unproven: why it cannot be shown to succeed where nothing is confined.
        won: in which configurations it succeeds today, and what that means. It has to be none.
        alone: it is tried when nothing else runs.
        twice: the code is run a second time, with `{"again": True}` in its item; the loot of that run counts.
    """

    name: str
    body: str
    against_rules: bool = False
    unproven: str = ""
    won: Mapping[str, str] = attrs.field(factory=dict)
    alone: bool = False
    twice: bool = False

    @property
    def code(self) -> str:
        """The code of the Code node."""
        body = textwrap.indent(textwrap.dedent(self.body).strip("\n"), "    ")
        head = "" if self.against_rules else HEADER
        return f"{head}def attempt():\n{body}\nloot = attempt()\nreturn {{'loot': repr(loot)[:4000] if loot else ''}}\n"


def table(
    bodies: Mapping[str, str],
    *,
    unproven: str | Mapping[str, str] = "",
    won: Mapping[str, Mapping[str, str]] | None = None,
    against_rules: bool = False,
    alone: bool = False,
    twice: bool = False,
) -> list[Attack]:
    """Attacks from a table of texts; `unproven` is one reason for all, or one for some."""
    return [
        Attack(
            name,
            body,
            against_rules=against_rules,
            unproven=unproven if isinstance(unproven, str) else unproven.get(name, ""),
            won=(won or {}).get(name, {}),
            alone=alone,
            twice=twice,
        )
        for name, body in bodies.items()
    ]


def because(reason: str, names: Iterable[str]) -> dict[str, str]:
    """The same reason for several attacks."""
    return dict.fromkeys(names, reason)


def gone(since: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """The reason for attacks whose target is not there any more, since a version of Python, where this is as new."""
    return because("its target is gone", [name for name, version in since.items() if sys.version_info >= version])
