"""What docs/observing.md says, against the code that it speaks of."""

from __future__ import annotations

import json
import re

import pytest

from runner.observe.access import PRIVATE_SUFFIXES
from runner.observe.feed import MOST_WATCHERS
from runner.observe.outlet import MOST_HELD
from tests.support import ROOT

PAGE = (ROOT / "docs" / "observing.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "runner").rglob("*.py"))
SOURCE_TEXT = re.sub(r'"\s+f?"', "", SOURCES)
"""The sources, with texts that go on in the next line joined."""


def test_every_line_that_it_quotes_from_the_log_is_logged() -> None:
    quoted = re.findall(r"^\| `([A-Z][^`]+)` \|", PAGE, re.MULTILINE)
    assert len(quoted) == 7
    logged = [text.replace("All 5 slots", "All {runner.slots} slots") for text in quoted]
    assert [text for text in logged if text not in SOURCE_TEXT] == []


@pytest.mark.parametrize("name", [suffix for suffix in PRIVATE_SUFFIXES if suffix not in {".localhost", ".svc"}])
def test_it_names_the_networks_that_are_private(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_its_numbers_are_those_of_the_code() -> None:
    assert f"At most\n{MOST_WATCHERS} may watch" in PAGE
    assert f"after {MOST_HELD // 1024**2} MiB lines are left out" in PAGE


def test_its_line_of_json_is_one() -> None:
    (line,) = re.findall(r"^    (\{.*?\})$", PAGE, re.MULTILINE | re.DOTALL)
    assert set(json.loads(line)) >= {"time", "level", "logger", "message", "task_id", "node_name", "workflow_id"}
