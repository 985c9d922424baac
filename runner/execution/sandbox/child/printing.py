"""`print` for user code: each call goes to n8n as a list of texts, as it happens. Runs in the child."""

from __future__ import annotations

import _thread
import builtins
import json
import sys
from typing import Any

from runner.execution.sandbox import wire
from runner.execution.sandbox.child.failures import texts_to_json

CALL_LIMIT = 100_000
"""How much of one call is sent, in characters."""

SEPARATOR_SIZE = 4
"""What a text takes beside its characters: quotes, a comma and a space."""


class Printer:
    """What stands in for the builtin `print`. Takes the same arguments."""

    def __init__(self, line: wire.Line, limit: int) -> None:
        """A `print` that sends at most `limit` calls along the `line`, and not more than the runner takes."""
        self._line = line
        self._calls_left = limit
        self._bytes_left = wire.PRINTS_LIMIT - wire.LAST_PRINT_LIMIT
        self.omitted = 0
        """How many calls have been left out."""
        self._lock = _thread.RLock()
        self._builtin = builtins.print
        self._stdout = sys.stdout

    def __call__(
        self, *values: Any, sep: str | None = None, end: str | None = None, file: Any = None, flush: bool = False
    ) -> None:
        """Print `values`: to n8n, or to a file if one is given or set with `redirect_stdout`."""
        for name, text in (("sep", sep), ("end", end)):
            if text is not None and not isinstance(text, str):
                raise TypeError(f"{name} must be None or a string, not {type(text).__name__}")
        file = sys.stdout if file is None else file
        if file is self._stdout and not self._line.is_ours():
            file = sys.stderr  # in a process that the code has forked
        if file is not self._stdout:
            self._builtin(*values, sep=sep, end=end, file=file, flush=flush)
        elif self._calls_left and self._bytes_left:
            self._send(texts_to_json(_texts(values, sep, end)))
        else:
            self.omitted += 1

    def _send(self, document: bytes) -> None:
        """Send a call; the first that does not fit is also the last, so that what is shown has no gaps."""
        with self._lock:
            if not self._calls_left or len(document) > self._bytes_left:
                self._bytes_left = 0
                self.omitted += 1
                return
            self._calls_left -= 1
            self._bytes_left -= len(document)
            self._line.send(wire.PRINT, document)

    def last(self) -> tuple[int, bytes]:
        """The frame that says how many calls have been left out."""
        return wire.PRINT, texts_to_json([f"[Output truncated - {self.omitted} more print statements]"])


def _texts(values: tuple[Any, ...], sep: str | None, end: str | None) -> list[str]:
    """One call as n8n's own runner sends it; with `sep` or `end`, as one text."""
    if sep is None and end is None:
        return _bounded([_shown(value) for value in values])
    text = (" " if sep is None else sep).join(map(str, values))
    return _bounded([text if end in (None, "\n") else f"{text}{end}"])


def _bounded(texts: list[str]) -> list[str]:
    """As much of a call as may be sent."""
    left = CALL_LIMIT
    for index, text in enumerate(texts):
        if len(text) + SEPARATOR_SIZE > left:
            omitted = sum(map(len, texts[index:])) - left
            return [*texts[:index], text[:left], f"[Output truncated - {max(omitted, 0)} more characters]"]
        left -= len(text) + SEPARATOR_SIZE
    return texts


def _shown(value: Any) -> str:
    """A printed value in the form that n8n's own runner gives it."""
    if isinstance(value, str):
        return f"'{value}'"
    if value is None or isinstance(value, int | float):
        return str(value)
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except RecursionError:
        return f"[Too deep {type(value).__name__}]"
    except ValueError:
        return f"[Circular {type(value).__name__}]"
    except TypeError:  # keys that are no text
        return str(value)
