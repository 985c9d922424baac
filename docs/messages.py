"""The page of the messages between a task broker and a runner, from the tables of the protocol."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from tables import rows

from runner.broker.limits import BrokerLimits
from runner.connection.failures import STATUS_MEANINGS
from runner.connection.websocket import CLOSE_REASONS
from runner.protocol.forms import wire_name
from runner.protocol.messages import FROM_BROKER, FROM_RUNNER, FUNCTIONS, METHOD_NOT_ALLOWED, DoneData, RejectReason

INTRODUCTION = """# The messages

A task broker and a task runner exchange JSON objects as text frames of a WebSocket. The reference is n8n 2.41. What is
here is made from the tables that the runner, and the embedded broker, read and write messages with. A message of a type
that is not here is counted and ignored, and so are fields that are not here: versions of n8n need not match.

A runner that has `N8N_RUNNERS_AUTH_TOKEN` exchanges it for a grant token (`POST /runners/auth`, with `token` in a JSON
object), and opens the WebSocket (`/runners/_ws?id=…`) with that in the header `Authorization`. A grant token opens one
connection. [How it works](how-it-works.md) tells a task's story."""

WORDS = {
    "str": "text",
    "int": "whole number",
    "Raw": "any JSON",
    "list[str]": "list of texts",
    "dict[str, Any]": "object",
}
"""The types of fields, in words."""

LIMITS = f"""n8n waits {BrokerLimits().accept_timeout:g} s for the answer to a `broker:taskofferaccept`,
{BrokerLimits().request_timeout:g} s for a runner to be found for a request, and
{BrokerLimits().task_timeout:g} s for a task unless told otherwise. It lets
{BrokerLimits().attempts_per_second} connections a second in."""


def messages() -> str:
    """The page, without its notice."""
    reasons = [text for name, text in vars(RejectReason).items() if name.isupper()]
    parts = [
        INTRODUCTION,
        "## What the broker says",
        _messages(FROM_BROKER),
        "## What the runner says",
        _messages(FROM_RUNNER),
        f"The `data` of `runner:taskdone` has {_fields(DoneData)}; the last two are left out where there are none.",
        "A task is turned away with one of these reasons, after which the broker asks another runner at once:",
        "\n".join(f"- `{reason}`" for reason in reasons),
        LIMITS,
        "## What a task may ask for",
        f"`runner:rpc` calls one of these functions; any other is answered with `{METHOD_NOT_ALLOWED}`. "
        "[What code is given](code-node.md) is built on them and on `runner:taskdatarequest`.",
        "\n".join(f"- `{name}`" for name in FUNCTIONS),
        "## What an answer to the upgrade means",
        _numbers("status", STATUS_MEANINGS),
        "401 and 403 are refusals: the runner does not try again with the same credential. A 403 for a fresh token is "
        "tried once more first. All others, and whatever is not an answer, are tried again after 5 s.",
        "## What a close code means",
        _numbers("code", CLOSE_REASONS),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _messages(table: Mapping[str, type]) -> str:
    return rows(
        ("type", "fields", "meaning"),
        *((f"`{name}`", _fields(kind), " ".join((kind.__doc__ or "").split())) for name, kind in table.items()),
    )


def _fields(kind: type) -> str:
    return ", ".join(f"`{wire_name(each.name)}` ({_word(each.type)})" for each in attrs.fields(kind))


def _word(annotation: object) -> str:
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return WORDS.get(name, "object")


def _numbers(head: str, table: Mapping[int, str]) -> str:
    return rows((head, "meaning"), *((f"{number}", meaning) for number, meaning in table.items()))
