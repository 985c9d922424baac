"""Large tasks: workers are prepared for them once there are some, and give what those give that are not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import TaskFailed, TaskRequest
from runner.execution.sandbox.child import quick, worker
from runner.execution.sandbox.executor import LARGE, SandboxExecutor
from tests.sandbox import EVERYTHING, started
from tests.support import code_settings
from tests.unit.test_conversion import JSON

pytestmark = [pytest.mark.needs("proc"), pytest.mark.needs("landlock")]

ENDING = "import os, sys\nreturn {'prepared': 'msgspec' in sys.modules, 'zygote': os.getppid()}"
MOST_AHEAD = 10
"""So many workers may have been forked that nobody has been told of."""
FILLER = [{"json": {"filler": "x" * LARGE}}]


async def run(executor: SandboxExecutor, text: str, items: list[Any] | None = None, **more: Any) -> Any:
    """The result of a task, or what an error says of it."""
    request = TaskRequest("t", code_settings(text, items or [], **more), lambda _: None)
    try:
        return json.loads(bytes((await executor.execute(request)).result))
    except TaskFailed as failure:
        return failure.as_error_object()


async def look(executor: SandboxExecutor) -> dict[str, Any]:
    """What a task sees around it; nothing if it was lost with its zygote."""
    result = await run(executor, ENDING)
    found: dict[str, Any] = result[0]["json"] if isinstance(result, list) else {}
    return found


async def prepare(executor: SandboxExecutor, text: str, items: list[Any]) -> bool:
    """Have a large task, and let the workers go that were forked before it; whether those after it are prepared."""
    await run(executor, text, items)
    for _ in range(executor.status().workers_started + MOST_AHEAD):
        if (await look(executor))["prepared"]:
            return True
    return False


@pytest.mark.parametrize(
    ("text", "items"),
    [("return []", FILLER), ("return [{'filler': 'x' * 200_000}]", [])],
    ids=["settings", "result"],
)
async def test_a_large_task_has_the_workers_after_it_prepared(text: str, items: list[Any]) -> None:
    async with started(**EVERYTHING, max_concurrency=1) as executor:
        assert not await prepare(executor, "return []", [])
        assert await prepare(executor, text, items)


async def test_the_zygote_that_takes_the_place_of_one_is_prepared_when_it_has_to_be() -> None:
    async with started(**EVERYTHING, max_concurrency=1) as executor:
        assert await prepare(executor, "return []", FILLER)
        zygote = (await look(executor))["zygote"]
        os.kill(zygote, signal.SIGKILL)
        while (after := await look(executor)).get("zygote", zygote) == zygote:
            pass
        assert not after["prepared"]
        assert await prepare(executor, "return []", FILLER)


async def test_tasks_that_are_large_go_on_where_workers_cannot_be_prepared() -> None:
    async with started(**EVERYTHING, max_concurrency=1) as executor:
        items = FILLER * (quick.WORTH_LOADING // LARGE + 1)
        text = "import sys\nsys.modules['msgspec'] = None\nreturn _items + [{'prepared': bool(sys.modules['msgspec'])}]"
        for _ in range(2):
            assert await run(executor, text, items) == [*items, {"json": {"prepared": False}}]


async def compare(text: str, items: list[Any], **more: Any) -> Any:
    """What a task comes to, the same with a worker that is prepared and one that is not."""
    async with started(**EVERYTHING, max_concurrency=1) as prepared:
        assert await prepare(prepared, "return []", FILLER)
        quickly = await run(prepared, text, items, **more)
    async with started(**EVERYTHING, max_concurrency=1) as plain:
        assert not (await look(plain))["prepared"]
        slowly = await run(plain, text, items, **more)
    assert quickly == slowly
    assert repr(quickly) == repr(slowly)  # keys in the same order, and numbers of the same kind
    return quickly


@settings(max_examples=6, deadline=None)
@given(st.lists(JSON, min_size=5, max_size=40), st.booleans())
def test_json_comes_back_as_it_was_from_both(values: list[Any], one_by_one: bool) -> None:
    items = [{"json": {"value": value, "filler": "é" * 1000}} for value in values] * (worker.LARGE // 5000)
    text, mode = ("return _item", "runOnceForEachItem") if one_by_one else ("return _items", "runOnceForAllItems")
    back = asyncio.run(compare(text, items, mode=mode))
    assert [item["json"] for item in back] == [item["json"] for item in items]


STRANGE = """
import datetime, decimal, enum, math, uuid
class Text(str): pass
class Colour(enum.Enum): RED = 1
values = [
    math.nan, -math.inf, 1e22, 1e16, -0.0, 2 ** 70, 10 ** 300, "\\ud83d", b"bytes", {3, 1, 2}, Text("x"), Colour.RED,
    datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), datetime.timedelta(1), decimal.Decimal("1.10"),
    uuid.UUID(int=1),
    {1: 2, None: 3, 1.5: 4, 1e16: 5, Text("k"): 6, Colour.RED: 7}, {"\\ud83d": 1}, (1, (2,)), [[]] * 600, "[" * 600,
    range(3), {"a": 1}.keys(), "x" * 70_000, {"k" * 70_000: 1}, bytearray(10), Ellipsis,
]
items = [{"json": {"n": n, "value": values[n // 50 % len(values)]}} for n in range(50 * len(values))]
"""


async def test_values_that_json_lacks_become_the_same_with_both() -> None:
    found = await compare(STRANGE + "return items", [])
    assert len(found) > 1000
    one_by_one = await compare(
        STRANGE + "return items[_item['json']['n']]",
        [{"json": {"n": n}} for n in range(len(found))],
        mode="runOnceForEachItem",
    )
    assert [item["json"] for item in one_by_one] == [item["json"] for item in found]


MANY = "rows = [{'n': n} for n in range(5000)]\n"
REFUSED = {
    "iterator": "rows.append({'here': (n for n in [1])})",
    "no object": "rows.append({'json': 1})",
    "digits": "rows.append({'n': 10 ** 5000})",
    "levels": "rows.append([])\nfor _ in range(1100): rows[-1] = {'inner': rows[-1]}",
    "circle": "rows.append({})\nrows[-1]['again'] = rows[-1]",
    "raises": "class Bad:\n    def __str__(self): raise LookupError('mine')\nrows.append({'bad': Bad()})",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_written_is_refused_in_the_same_words_by_both(text: str) -> None:
    assert (await compare(f"{MANY}{text}\nreturn rows", []))["message"]
    items = [{"json": {"n": n}} for n in range(4000, 5001)]
    one_by_one = f"{MANY}{text}\nreturn rows[_item['json']['n']]"
    found = await compare(one_by_one, items, mode="runOnceForEachItem")
    assert found["message"]
    assert "1000" in json.dumps(found)  # the last item


async def test_half_an_emoji_comes_back_from_both() -> None:
    items = [{"json": {"text": "\ud83d", "filler": "x" * worker.LARGE}}]
    assert await compare("return _items", items) == items
