"""What the language rules have against a code."""

from __future__ import annotations

import attrs


@attrs.frozen
class Finding:
    """What is wrong with a code, and where: line and column from 1 on, in characters; 0 where that is not known.

    Parameters:
        setting: what would allow it; nothing if nothing does.
    """

    line: int
    column: int
    message: str
    setting: str = ""
