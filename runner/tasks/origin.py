"""Where in n8n a task comes from, as its settings tell."""

from __future__ import annotations

import attrs
from msgspec import Raw

from runner.protocol.codec import LARGE, MalformedMessage, decode_as

_BEHIND_THE_ITEMS = b'],"nodeId":'
"""What n8n writes between the items of a Code node, the large part of its settings, and its origin.

No text can contain it, because a quotation mark in a text has a backslash in front.
"""


@attrs.frozen
class Origin:
    """Where in n8n a task comes from: what people know it by."""

    node_name: str = "unknown"
    node_id: str = "unknown"
    workflow_name: str = "unknown"
    workflow_id: str = "unknown"

    @classmethod
    def of(cls, settings: Raw) -> Origin:
        """The origin that the settings of a Code node tell; of other settings, an unknown one.

        Of large settings the end is read and nothing else: when n8n does not write the origin there, it is unknown.
        """
        document = memoryview(settings)
        try:
            return decode_as(cls, document if len(document) <= LARGE else _end_of(document))
        except MalformedMessage:
            return cls()

    def __str__(self) -> str:
        return f'node "{self.node_name}" ({self.node_id}) in workflow "{self.workflow_name}" ({self.workflow_id})'


def _end_of(document: memoryview) -> bytes:
    """What large settings say behind the items, made an object of its own; of other settings, something that is none.

    A nested object that happens to look like the end leaves its closing brace over, so that it is none either.
    """
    _, found, end = bytes(document[-LARGE:]).rpartition(_BEHIND_THE_ITEMS)
    return b'{"nodeId":' + end if found else b""
