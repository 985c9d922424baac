"""Code that runs once for each item: outputs are written many together, and each still counts for itself."""

from __future__ import annotations

from typing import Any

import pytest

from runner.execution.sandbox.child.task import TOGETHER
from tests.runner.test_sandbox_executor import EACH, code

COUNT = 2 * TOGETHER + 10
EDGES = [0, TOGETHER - 1, TOGETHER, COUNT - 1]
ITEMS = [{"json": {"n": number}} for number in range(COUNT)]


def paired(json: Any, index: int) -> dict[str, Any]:
    return {"json": json, "pairedItem": {"item": index}}


async def test_outputs_keep_their_order_and_their_items_whatever_is_left_out() -> None:
    text = """
        n = _item["json"]["n"]
        if n % 3 == 1:
            return None
        return {"json": {"n": n}} if n % 3 else {"n": n}
    """
    kept = [number for number in range(COUNT) if number % 3 != 1]
    assert await code(text, ITEMS, EACH).result() == [paired({"n": number}, number) for number in kept]


@pytest.mark.parametrize("bad", EDGES)
@pytest.mark.parametrize("how", ["raise ValueError('bad')", "return {'v': Bad()}", "return 'bad'"])
async def test_one_that_fails_takes_no_other_with_it(bad: int, how: str) -> None:
    """Whether the code fails, or what it has returned cannot be written, or is no item."""
    text = f"""
        class Bad:
            def __str__(self):
                raise ValueError("bad")
        if _item["json"]["n"] == {bad}:
            {how}
        return _item
    """
    result = await code(text, ITEMS, EACH, continueOnFail=True).result()
    assert [item["pairedItem"]["item"] for item in result] == list(range(COUNT))
    assert [index for index, item in enumerate(result) if "error" in item["json"]] == [bad]
    assert [item["json"] for index, item in enumerate(result) if index != bad] == [
        {"n": number} for number in range(COUNT) if number != bad
    ]
    error = await code(text, ITEMS, EACH).error()
    assert error["itemIndex"] == bad


async def test_of_two_that_fail_the_first_is_told_of() -> None:
    """It is found out after the code has failed with the second: when they are written."""
    text = """
        if _item["json"]["n"] == 3:
            d = {}
            d["d"] = d
            return d
        if _item["json"]["n"] == 5:
            raise ValueError("the second")
        return _item
    """
    error = await code(text, ITEMS, EACH).error()
    assert (error["message"], error["itemIndex"]) == ("The result contains itself", 3)


async def test_outputs_that_are_too_large_to_be_written_together_are_written_all_the_same() -> None:
    text = "return {'text': 'x' * 100_000 if _item['json']['n'] % 7 == 0 else ''}"
    result = await code(text, ITEMS, EACH).result()
    assert [len(item["json"]["text"]) for item in result] == [0 if n % 7 else 100_000 for n in range(COUNT)]
