"""Why a task has no result: the errors of the child, and how they are reported to the runner."""

from __future__ import annotations

import json
from collections.abc import Sequence

from runner.execution.sandbox.language.violations import Violation

MESSAGE_LIMIT = 10_000
"""The longest message that is sent to n8n, in characters."""

DESCRIPTION_LIMIT = 20_000
"""The longest description, and the longest trace, in characters."""


class Failure(Exception):
    """A task has no result. What n8n shows of it is in the fields.

    Parameters:
        message: one line for the user.
        description: more lines, if there is more to say.
        trace: the way through the user's code.
        line: the line of the user's code.
        column: where in that line, in characters from 1 on, if that is known.
        item_index: the item that it happened with.
    """

    def __init__(
        self,
        message: str,
        description: str | None = None,
        *,
        trace: str | None = None,
        line: int | None = None,
        column: int | None = None,
        item_index: int | None = None,
    ) -> None:
        """A failure with what n8n shows of it."""
        self.message = shortened(message, MESSAGE_LIMIT)
        self.description = description
        self.trace = trace
        self.line = line
        self.column = column
        self.item_index = item_index
        super().__init__(self.message)

    def report(self) -> bytes:
        """The failure as the runner is told."""
        members: dict[str, str | int | None] = {
            "message": self.message,
            "description": self.description and shortened(self.description, DESCRIPTION_LIMIT),
            "trace": self.trace and shortened(self.trace, DESCRIPTION_LIMIT),
            "line": self.line,
            "item_index": self.item_index,
        }
        return texts_to_json(members)


class BadSettings(Failure):
    """The settings of the task are not those of a Code node."""

    def __init__(self, reason: str) -> None:
        """Settings that cannot be used for a `reason`."""
        super().__init__(f"The settings of the task cannot be used: {reason}")


class CodeFailed(Failure):
    """The code cannot be compiled, or has raised."""


class CodeRefused(CodeFailed):
    """The code breaks the language rules, as its text shows. `violations` are all that it breaks."""

    def __init__(self, message: str, description: str, violations: Sequence[Violation]) -> None:
        """A refusal for these `violations`."""
        self.violations = violations
        super().__init__(message, description)


class BadResult(Failure):
    """What the code returned cannot be a result."""


def text_of(value: object) -> str:
    """A value as text, also when it has a `__str__` that fails."""
    try:
        return str(value)
    except BaseException as error:  # noqa: BLE001 - it is the user's code
        return f"({type(value).__name__} has no text: its __str__ raised {type(error).__name__})"


def shortened(text: str, limit: int) -> str:
    """A text of which at most `limit` characters are kept."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


def texts_to_json(value: object) -> bytes:
    """Texts as JSON; halves of emojis, which no UTF-8 text can hold, become question marks."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
