"""What code leaves with n8n: custom data of the execution, static data of the workflow. Runs in the child."""

from __future__ import annotations

from typing import Any

from runner.execution.sandbox import wire
from runner.execution.sandbox.child.encoding import to_json
from runner.execution.sandbox.child.failures import BadResult
from runner.execution.sandbox.child.given.asking import Asking
from runner.execution.sandbox.child.given.execution import Execution
from runner.execution.sandbox.child.given.records import Record

MOST_KEYS = 10
LONGEST_KEY = 50
LONGEST_VALUE = 512
"""What n8n keeps of custom data: how many texts, and how many characters of each."""


class CustomData:
    """Texts that are kept with the execution, by which it can be found."""

    __slots__ = ("_execution", "_texts")

    def __init__(self, execution: Execution) -> None:
        """The custom data of an execution."""
        self._execution = execution
        self._texts: dict[str, str] | None = None

    def set(self, key: str, value: str | float) -> None:
        """Keep a text or a number. Beyond ten keys, new ones are left out, as n8n does.

        Raises:
            TypeError, ValueError: it is of another kind, or the key has other characters than letters, digits and `_`.
        """
        if not isinstance(key, str):
            raise TypeError(f'Custom data keys must be a string (key "{key}")')
        if not all(character == "_" or character.isalnum() or _is_mark(character) for character in key):
            raise ValueError(f'Custom data key can only contain letters, numbers, and underscores (key "{key}")')
        if type(value) not in (str, int, float):
            raise TypeError(f'Custom data values must be a string (key "{key}")')
        texts = self._noted()
        if key in texts or len(texts) < MOST_KEYS:
            texts[key[:LONGEST_KEY]] = str(value)[:LONGEST_VALUE]
            self._texts = texts

    def setAll(self, values: dict[str, str | float]) -> None:  # noqa: N802 - n8n's name
        """Keep several. Raises what `set` does."""
        for key, value in values.items():
            self.set(key, value)

    def get(self, key: str) -> str | None:
        """What is kept under a key, or None."""
        return self._noted().get(str(key)[:LONGEST_KEY])

    def getAll(self) -> Record:  # noqa: N802
        """All that is kept."""
        return Record(self._noted())

    def _noted(self) -> dict[str, str]:
        return dict(self._execution.noted) if self._texts is None else self._texts


def _is_mark(character: str) -> bool:
    import unicodedata  # hardly ever: only for what is no letter

    return unicodedata.category(character).startswith("M")


class StaticData:
    """The static data of the workflow: what `_getWorkflowStaticData` is made of."""

    __slots__ = ("_before", "_execution", "_given")

    def __init__(self, execution: Execution) -> None:
        """The static data, which nobody has asked for."""
        self._execution = execution
        self._before = b""
        self._given: Record | None = None

    def of(self, kind: str) -> Record:
        """The dict of the whole workflow (`global`) or of this node (`node`).

        Raises:
            ValueError: it is neither.
        """
        if kind not in ("global", "node"):
            raise ValueError("Unknown context type. Only `global` and `node` are supported.")
        if self._given is None:
            known = self._execution.workflow.get("staticData")
            self._given = known if isinstance(known, Record) else Record()
            self._before = _state(self._given)
        key = "global" if kind == "global" else f"node:{self._execution.active}"
        data = self._given.get(key)
        if not isinstance(data, Record):
            data = self._given[key] = Record()
        return data


def leave(asking: Asking, custom: CustomData, static: StaticData) -> None:
    """Leave with n8n what was noted. Static data goes as a whole, if any of it has changed.

    Raises:
        ValueError: it cannot be sent.
    """
    texts, data = custom._texts, static._given  # noqa: SLF001 - of the classes above, whose objects the code holds
    if texts is not None:
        asking.leave(wire.CUSTOM_DATA, texts, "Custom data")
    if data is not None and _state(data) != static._before:  # noqa: SLF001
        asking.leave(wire.STATIC_DATA, data, "The static data")


def _state(data: Any) -> bytes:
    """What tells whether it was changed. That a dict was only looked at, and so is there, tells nothing."""
    try:
        return to_json({key: value for key, value in data.items() if value != {}})
    except (BadResult, RecursionError):
        return b""  # it cannot be sent, which whoever sends it says
