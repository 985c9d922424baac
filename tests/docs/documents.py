"""The code blocks of the documentation, each of which some test runs."""

from __future__ import annotations

import re

from tests.support import ROOT


def blocks(page: str) -> list[str]:
    """The Python of a page, block by block."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def title(block: str) -> str:
    """What a block is known by: the first class or function that it defines."""
    found = re.search(r"^(?:async )?(?:class|def) (\w+)", block, re.MULTILINE)
    return found[1] if found else block.splitlines()[0]
