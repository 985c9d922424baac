"""What comes back from a real n8n for every kind of result: the items, or words about what is wrong, at once."""

from __future__ import annotations

import time
from typing import Any

import attrs
import pytest

from tests.n8n.owner import Owner
from tests.n8n.process import Started
from tests.n8n.server import RealN8n
from tests.support import eventually

pytestmark = pytest.mark.timeout(300)

AT_ONCE = 5.0
"""Within how many seconds an error has to be there; what hangs takes minutes. Mostly it takes milliseconds."""


@attrs.frozen
class Good:
    path: str
    body: Any
    items: Any


GOOD = (
    Good("nan", {}, [{"nan": None, "infinity": None, "n": 1}]),
    Good("nothing", {}, []),
    Good("some-without-json", {}, [{"a": 1}, {"a": 2}]),
    Good("each", {"rows": 1}, []),
    Good("each-goes-on", {"rows": 4}, [{"error": "1 is odd"}, {"half": 1}, {"error": "3 is odd"}]),
    Good("goes-on", {}, [{"error": "on purpose"}]),
    Good("surrogate", {"text": "half an emoji: \ud83d"}, [{"text": "half an emoji: \ud83d", "length": 16}]),
    Good("surrogate", {"text": "a whole one: \U0001f600"}, [{"text": "a whole one: \U0001f600", "length": 14}]),
    Good("rows", {"rows": 10_000}, [{"n": number} for number in range(10_000)]),
)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.path)
async def test_a_result_arrives(n8n: RealN8n, runner: Started, case: Good) -> None:
    start = time.monotonic()
    items = await n8n.items(case.path, case.body)
    print(f"\n{case.path}: {time.monotonic() - start:.2f} s, {str(items)[:100]}")
    assert items == case.items


@attrs.frozen
class Bad:
    path: str
    message: str
    description: str
    body: Any = attrs.field(factory=dict)


BAD = (
    Bad("deep", "The result is nested too deeply", "more levels than can be sent", {"levels": 2000}),
    Bad("number", "Code doesn't return items properly", "It returned a value of type int"),
    Bad("none-in-list", "Code doesn't return items properly", "Item 1 is None, not a dict"),
    Bad("mixed", "Invalid output format", "Item 1 has `json` and, beside it, b"),
    Bad("each", "1 is odd", "Line 3:", {"rows": 4}),
    Bad("raises", "on purpose", "Line 2:"),
    Bad("raises-surrogate", "half an emoji: ?", "Line 1:"),
    Bad("refused", "Security violations detected", "Import of standard library module 'subprocess' is disallowed"),
    Bad("syntax", "'[' was never closed", ""),
    Bad("exits", "Process exited with code 7", ""),
)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.path)
async def test_a_failure_is_told_at_once_and_in_words(n8n: RealN8n, owner: Owner, runner: Started, case: Bad) -> None:
    before = await owner.newest_failure()
    start = time.monotonic()
    status, _ = await n8n.call(case.path, case.body)
    took = time.monotonic() - start
    failure = await owner.failure_after(before)
    print(f"\n{case.path}: {took:.2f} s, {failure.message!r}: {failure.description[:300]!r}")
    assert status == 500
    assert case.message in failure.message
    assert case.description in failure.description
    assert took < AT_ONCE


async def test_what_is_printed_in_production_is_in_both_logs(n8n: RealN8n, runner: Started) -> None:
    assert await n8n.items("prints", {}) == [{"done": True}]
    assert len(runner.lines_with("[user code] 'printed by the code' 42")) == 1
    await eventually(lambda: "printed by the code" in n8n.log(), "n8n logs what was printed")
    print("\n" + "\n".join(line for line in n8n.log().splitlines() if "printed by" in line))
