"""What a layer achieved, in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

Achieved = Literal["complete", "partial", "missing"]


class Result(NamedTuple):
    """What one layer achieved, and why not more."""

    layer: str
    achieved: Achieved
    why: str


def complete(layer: str, why: str) -> Result:
    """The layer does all that it is for."""
    return Result(layer, "complete", why)


def partial(layer: str, why: str) -> Result:
    """The layer does some of it."""
    return Result(layer, "partial", why)


def missing(layer: str, why: str) -> Result:
    """The layer does nothing."""
    return Result(layer, "missing", why)


class Report:
    """What all layers achieved: the last that was said of each, in the order of first mention."""

    def __init__(self, results: Iterable[Result | tuple[str, Achieved, str]] = ()) -> None:
        """A report of `results`, which may have been JSON in between."""
        self._results = {result.layer: result for result in (Result(*each) for each in results)}

    @property
    def is_complete(self) -> bool:
        """Whether nothing is lacking. Nothing said is not complete."""
        return bool(self._results) and all(result.achieved == "complete" for result in self)

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results.values())

    def __getitem__(self, layer: str) -> Result:
        return self._results[layer]

    def and_then(self, later: Iterable[Result]) -> Report:
        """A report of all of this and of what was said `later`."""
        return Report([*self, *later])

    def achievements(self) -> dict[str, Achieved]:
        """How far each layer got."""
        return {name: result.achieved for name, result in self._results.items()}

    def lacking(self) -> list[Result]:
        """The layers that are not complete."""
        return [result for result in self if result.achieved != "complete"]

    def __str__(self) -> str:
        lacking = "; ".join(f"{layer} {achieved}: {why}" for layer, achieved, why in self.lacking())
        done = ", ".join(result.layer for result in self if result.achieved == "complete")
        return "; ".join(part for part in (done and f"complete: {done}", lacking) if part)
