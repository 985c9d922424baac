"""The tasks that are measured, each with the result that it has to have."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import attrs
import msgspec
from msgspec import Raw

from runner.broker import EndOfTask
from tests.support import code_settings

MEGABYTE = 1_000_000


class BenchFailed(Exception):
    """A task did not do what it is measured for: there is nothing to show."""


class CannotMeasure(Exception):
    """This machine lacks what a scenario needs: the others are measured without it."""


@attrs.define
class Work:
    """One task, to be run again and again."""

    name: str
    settings: Raw
    expected: list[Any]
    prints: int = 0
    _seen: set[bytes] = attrs.field(factory=set, init=False)

    def check(self, end: EndOfTask, prints: int) -> None:
        """See that a task has done what it should.

        Raises:
            BenchFailed: it has not.
        """
        if end.result is None:
            error = end.error or {}
            raise BenchFailed(
                "\n".join(str(error[key]) for key in ("message", "description", "stack") if error.get(key))
            )
        if prints != self.prints:
            raise BenchFailed(f"it has printed {prints} times, not {self.prints} times")
        result = bytes(end.result)
        if result not in self._seen:
            found = [item["json"] for item in msgspec.json.decode(result)]
            if found != self.expected:
                raise BenchFailed(f"its result is wrong: {result[:500]!r}")
            self._seen.add(result)

    def seconds_of_json(self, times: int = 9) -> float:
        """The least processor time that the standard library takes to read the settings and to write the result."""
        text, least = bytes(self.settings).decode(), float("inf")
        for _ in range(times):
            began = time.thread_time()
            json.loads(text)
            json.dumps(self.expected, ensure_ascii=False, separators=(",", ":"))
            least = min(least, time.thread_time() - began)
        return least


def _work(
    name: str, code: str, expected: list[Any], prints: int = 0, given: Iterable[Any] = ({"n": 21},), **settings: Any
) -> Work:
    """A task with an item for each of `given`, and settings as n8n writes them, without spaces."""
    written = msgspec.json.decode(code_settings(code, [], **settings))
    written["items"] = [{"json": each} for each in given]
    return Work(name, Raw(msgspec.json.encode(written)), expected, prints)


def tiny() -> Work:
    """The least that a task can do."""
    return _work("tiny", 'return [{"json": {"ok": True}}]', [{"ok": True}])


def each_of(count: int) -> Work:
    """Code that is run for each item."""
    return _work(
        f"each of {count} items",
        'return {"json": {"n": _item["json"]["n"] * 2}}',
        [{"n": number * 2} for number in range(count)],
        given=[{"n": number} for number in range(count)],
        mode="runOnceForEachItem",
    )


def there_and_back(size: int, city: str = "São Paulo") -> Work:
    """So many bytes of items, which the code returns as they are: some 250 bytes each, numbers, texts and a list."""
    length = len(msgspec.json.encode({"json": _customer(0, city)})) + 1
    customers = [_customer(number, city) for number in range(-(-size // length))]
    return _work(f"{size} bytes", "return _items", customers, given=customers)


def _customer(number: int, city: str) -> dict[str, Any]:
    digits = f"{number:07d}"
    return {
        "id": 1_000_000 + number,
        "name": f"Customer {digits}",
        "email": f"customer.{digits}@example.com",
        "city": city,
        "amount": 1000 + (number % 1000) + 0.25,
        "active": True,
        "tags": ["new", "press"],
        "note": f"{digits}: called back on Tuesday, wants the offer again in writing",
    }


def printing(count: int) -> Work:
    """So many prints."""
    code = f'for number in range({count}):\n    print("line", number)\nreturn [{{"json": {{"ok": True}}}}]'
    return _work(f"{count} prints", code, [{"ok": True}], count)


def with_pandas() -> Work:
    """A tiny data frame."""
    code = 'import pandas\nframe = pandas.DataFrame({"n": [1, 2, 3]})\nreturn [{"json": {"n": int(frame["n"].sum())}}]'
    return _work("pandas", code, [{"n": 6}])


def sleeping(seconds: int) -> Work:
    """A task that waits, as those do that call another service. It says when it begins."""
    code = f'import time\nprint("asleep")\ntime.sleep({seconds})\nreturn [{{"json": {{"ok": True}}}}]'
    return _work(f"sleep {seconds} s", code, [{"ok": True}], 1)
