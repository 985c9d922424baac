"""What happened in a simulation, in order: for people who ask why a rule was broken, and for comparing runs."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

from tests.simulation.loop import SimulatedLoop

SHOWN = 160
"""How much of a frame is shown, in bytes."""


class Line(NamedTuple):
    """One thing that happened. `detail` is put into words only when somebody reads it."""

    time: float
    who: str
    what: str
    detail: object

    def __str__(self) -> str:
        minutes, seconds = divmod(self.time, 60)
        hours, minutes = divmod(int(minutes), 60)
        return f"{hours}:{minutes:02}:{seconds:06.3f}  {self.who:<10} {self.what}{self._detail()}"

    def _detail(self) -> str:
        if self.detail is None:
            return ""
        shown = self.detail if not isinstance(self.detail, bytes) else self.detail[:SHOWN].decode("utf-8", "replace")
        return f" {shown}"


class Story:
    """The lines of one simulation. Only the last `keep` of them, unless all are asked for."""

    def __init__(self, loop: SimulatedLoop, keep: int | None) -> None:
        self._loop = loop
        self._lines: deque[Line] = deque(maxlen=keep)
        self.is_kept = keep != 0
        """Whether it is worth while to tell anything: of most simulations nobody wants to hear."""
        self.seen: Counter[str] = Counter()
        """How often each thing happened that a summary counts."""

    def tell(self, who: str, what: str, detail: object = None) -> None:
        """Something happened."""
        if self.is_kept:
            self._lines.append(Line(self._loop._now, who, what, detail))

    def count(self, kind: str) -> None:
        """Something happened that a summary counts."""
        self.seen[kind] += 1

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def digest(self) -> str:
        """A number for all that is kept: equal for two runs only if everything in them was."""
        text = "\n".join(f"{line.time!r} {line.who} {line.what} {line.detail!r}" for line in self._lines)
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
