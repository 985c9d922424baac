"""The shapes of what a task asks n8n, and leaves with it.

n8n believes its runners: a data request that is no object is an error that nobody catches there, which ends n8n itself,
and arguments that are an object with a `length` keep its event loop for good. So what a process sends has the shape
that an honest one gives it, or it is not sent on.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from runner.execution.sandbox import wire
from runner.execution.sandbox.assembly import with_surrogates_hidden

WANTED_LIMIT = 1024**2
"""The longest data request, in bytes: it has the names of nodes, and is read on the event loop."""

CUSTOM_DATA_LIMIT = 128 * 1024
"""The longest custom data, in bytes: n8n keeps ten texts of 512 characters, each of at most twelve bytes here."""


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    include: bool


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    dataOfNodes: list[str] | Literal["all"]  # noqa: N815 - the names of the wire
    prevNode: bool  # noqa: N815
    input: _Input
    env: bool


_WANTED = msgspec.json.Decoder(_Wanted)
_TEXTS = msgspec.json.Decoder(dict[str, str])


def check_question(subject: str, what: Raw) -> None:
    """Refuse a question that n8n could stumble over.

    Raises:
        ValueError: no honest process would ask it.
    """
    if subject == wire.DATA:
        _check(what, _WANTED, WANTED_LIMIT)
    elif memoryview(what)[:1].tobytes() != b"[":
        raise ValueError(f"the arguments of {subject} are no list")


def check_left(name: str, what: Raw) -> None:
    """Refuse to leave behind what n8n would not keep.

    Raises:
        ValueError: no honest process would leave it.
    """
    if name == wire.CUSTOM_DATA:
        _check(what, _TEXTS, CUSTOM_DATA_LIMIT)
    elif memoryview(what)[:1].tobytes() != b"{":
        raise ValueError(f"{name} is no object")


def _check(what: Raw, shape: msgspec.json.Decoder[_Wanted] | msgspec.json.Decoder[dict[str, str]], limit: int) -> None:
    document = bytes(memoryview(what)[: limit + 1])
    if len(document) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    shape.decode(with_surrogates_hidden(document))
