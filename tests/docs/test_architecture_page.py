"""The map for contributors: what stands on it is there (`architecture.md`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.docs.blocks import blocks_of
from tests.support import ROOT

PAGE = "docs/architecture.md"
DEEPEST = 10
"""How far a path is indented at most."""


def on_the_map() -> Iterator[str]:
    """Each path on the map; those of a folder are indented below it."""
    (tree,) = [block for block in blocks_of(PAGE) if "run by" in block.marks]
    folders: list[tuple[int, PurePosixPath]] = []
    for line in tree.code.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent > DEEPEST:
            continue  # the rest of a sentence
        while folders and folders[-1][0] >= indent:
            folders.pop()
        above = folders[-1][1] if folders else PurePosixPath()
        names, _, _ = line.strip().partition("  ")
        first, *more = names.replace(",", " ").split()
        yield from (str(above / name) for name in (first, *more))
        folders.append((indent, above / first))


def test_what_is_on_the_map_is_there() -> None:
    found = list(on_the_map())
    assert len(found) > 40
    missing = [path for path in found if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()]
    assert missing == []
