"""What a zygote is told to be, in plain values that go through JSON unchanged."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Order(NamedTuple):
    """Everything that the zygote and its workers have to know. There is no secret in it."""

    folders: str
    """The folder in which the temporary folder of each task lies."""
    policy: dict[str, Any]
    """The language rules, as the arguments of `Policy.of`."""
    spec: dict[str, Any]
    """The limits, as arguments of `Spec`; the paths that the interpreter needs are added by the zygote."""
    preload: tuple[str, ...]
    """The modules to import beforehand, in this order."""
    environment: dict[str, str]
    """The environment of the tasks."""
    max_prints: int
    """How many calls of `print` a task may send."""

    def to_json(self) -> bytes:
        """The order as it is sent."""
        return json.dumps(self._asdict()).encode("ascii")

    @classmethod
    def from_json(cls, document: bytes | bytearray) -> Order:
        """The order that was sent."""
        given = json.loads(document)
        return cls(**{**given, "preload": tuple(given["preload"])})
