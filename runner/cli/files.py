"""Files that people name on the command line."""

from __future__ import annotations

import sys
from pathlib import Path


class BadInput(Exception):
    """A file or an argument cannot be used; the text says which, and why."""


def text_of(name: str) -> str:
    """The text of a file; of standard input, if the name is `-`.

    Raises:
        BadInput: it cannot be read, or is not UTF-8 text.
    """
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from error
