"""What msgspec is told of messages: how each class is written on the wire, as a class of its own."""

from __future__ import annotations

import functools
from typing import Any, Union, get_type_hints

import attrs
import msgspec

from runner.protocol.messages import FROM_BROKER, FROM_RUNNER

SIDES: dict[str, dict[str, type]] = {"broker": {**FROM_BROKER}, "runner": {**FROM_RUNNER}}
"""What each side says: the class of each type of message."""

WIRE_TYPES: dict[type, str] = {cls: name for table in SIDES.values() for name, cls in table.items()}
"""The type of each class of messages."""


@functools.cache
def form_of(cls: type) -> type[msgspec.Struct]:
    """How msgspec reads and writes a class: the same fields with their names on the wire and, of a message, its type.

    In a message it takes no other members: in those of others there may be what msgspec does not look at.
    """
    hints = get_type_hints(cls)
    fields: list[Any] = []
    for attribute in attrs.fields(cls):
        hint = hints[attribute.name]
        default = () if attribute.default is attrs.NOTHING else (attribute.default,)
        fields.append((attribute.name, form_of(hint) if attrs.has(hint) else hint, *default))
    tag = WIRE_TYPES.get(cls)
    return msgspec.defstruct(
        cls.__name__,
        fields,
        tag=tag,
        tag_field=tag and "type",
        rename=wire_name,
        omit_defaults=True,
        forbid_unknown_fields=tag is not None,
    )


@functools.cache
def reader_of(cls: type) -> msgspec.json.Decoder[Any]:
    """What reads the form of one class."""
    return msgspec.json.Decoder(form_of(cls))


@functools.cache
def reader_from(side: str) -> msgspec.json.Decoder[Any]:
    """What reads the form of whatever one side says: their types tell the messages apart."""
    return msgspec.json.Decoder(Union[tuple(map(form_of, SIDES[side].values()))])  # noqa: UP007


def wire_name(name: str) -> str:
    """`task_id` as it is written on the wire: `taskId`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
