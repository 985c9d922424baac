"""The page that goes by what people see: each text that it quotes is one that somebody says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.blocks import text_of
from tests.support import ROOT

PAGE = "docs/troubleshooting.md"
ANYTHING = "…"
PLACEHOLDER = re.compile(r"%[-.0-9]*[sdgfr]|\{\w*\}")

OF_OTHERS = {
    "Task request timed out after 60 seconds": "n8n",
    "Python runner unavailable: Python 3 is missing from this system": "n8n",
    "Failed to start Python task runner in internal mode. "
    "because its virtual environment is missing from this system.": "n8n",
    "access to env vars denied": "n8n",
    "No module named '…'": "Python",
    "__build_class__ not found": "Python",
}
"""The texts that are not ours, and whose they are."""


def quoted() -> list[str]:
    """The texts that the page quotes, one a paragraph."""
    return re.findall(r"^> (.+)$", text_of(PAGE), re.MULTILINE)


def said() -> Iterator[str]:
    """Every text in the source, with `…` where something is filled in."""
    for path in (ROOT / "runner").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield PLACEHOLDER.sub(ANYTHING, node.value)


SAID = list(said())


def is_said(quote: str) -> bool:
    """Whether a quote is a text of ours, or its parts stand in one, in this order."""
    parts = ".*".join(re.escape(part.strip()) for part in quote.split(ANYTHING) if part.strip(" :'"))
    return any(re.search(parts, text, re.DOTALL) or is_filled_in(text, quote) for text in SAID)


def is_filled_in(text: str, quote: str) -> bool:
    """Whether a quote is a text with something in its gaps, and mostly the text."""
    fixed = text.split(ANYTHING)
    if sum(map(len, fixed)) < len(quote) / 2:
        return False
    return re.fullmatch(".*".join(map(re.escape, fixed)), quote, re.DOTALL) is not None


def test_it_quotes_something() -> None:
    assert len(quoted()) > 30


@pytest.mark.parametrize("quote", sorted(set(quoted()) - set(OF_OTHERS)))
def test_every_text_that_is_quoted_is_one_of_ours(quote: str) -> None:
    assert is_said(quote)


def test_no_text_of_others_is_kept_for_nothing() -> None:
    assert set(OF_OTHERS) <= set(quoted())


def test_a_text_that_nobody_says_is_noticed() -> None:
    assert not is_said("Failed to connect to the broker: … - giving up")
    assert not is_said("slots have been busy … All")
