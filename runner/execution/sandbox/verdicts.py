"""What is known of code that has been compiled before: the compiled code itself, or why it was refused."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import attrs
import msgspec
from msgspec import Raw

MOST_KEPT = 16 * 1024**2
"""How much is kept, in bytes; what was used longest ago is forgotten first."""

MOST_READ = 64 * 1024
"""Larger settings are not read for their code, in bytes: that would take too long on the event loop."""


class _Wanted(msgspec.Struct):
    """Of the settings of a task, what its compiled code depends on."""

    code: str
    node_mode: str = msgspec.field(name="nodeMode")


_DECODER = msgspec.json.Decoder(_Wanted)

Key = tuple[str, str]


@attrs.frozen
class Verdicts:
    """Compiled code by text and mode.

    What is kept was said by the process of a task with that very code, before any of it had run. So nobody but the
    author of a code has a say in what is kept of it.
    """

    _kept: OrderedDict[Key, bytes] = attrs.field(factory=OrderedDict)
    _size: list[int] = attrs.field(factory=lambda: [0])

    def key_of(self, settings: Raw) -> Key | None:
        """What the code of these settings is known by, if it can be told quickly."""
        if len(memoryview(settings)) > MOST_READ:
            return None
        try:
            wanted = _DECODER.decode(settings)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return wanted.code, wanted.node_mode

    def get(self, key: Key | None) -> bytes:
        """The compiled code, or nothing."""
        if key is None or key not in self._kept:
            return b""
        self._kept.move_to_end(key)
        return self._kept[key]

    def keep(self, key: Key | None, compiled: bytes) -> None:
        """Remember compiled code."""
        if key is None or not compiled or key in self._kept:
            return
        self._kept[key] = compiled
        self._size[0] += _cost(key, compiled)
        while self._size[0] > MOST_KEPT:
            self._size[0] -= _cost(*self._kept.popitem(last=False))


def _cost(key: Key, compiled: Any) -> int:
    return 4 * len(key[0]) + len(compiled) + 256
