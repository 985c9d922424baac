"""Settings that the runner cannot read, while it knows whose they are: that task fails, at once, and no other."""

from __future__ import annotations

import time

import pytest
from msgspec import Raw

from runner import Count, TaskRunner
from runner.broker import EmbeddedBroker
from runner.protocol.codec import LARGE, MalformedMessage, decode_broker_message
from runner.protocol.messages import TaskSettings
from tests.support import code_settings, config_for, error_of, result_of, run_code


def nested(levels: int) -> bytes:
    """Settings whose items have so many levels, as a webhook may be sent them."""
    document = bytes(memoryview(code_settings("return []", items=[{"json": {"a": "INNER"}}])))
    return document.replace(b'"INNER"', b'{"a":' * levels + b"1" + b"}" * levels)


UNREADABLE = {
    "deep": nested(1800),
    "very deep, and large": nested(LARGE),
    "no JSON": b"{]}",
    "cut off": b'{"items":[{"json":{}',
    "not UTF-8": b'{"code":"\xff"}',
    "nothing": b"",
}


@pytest.mark.parametrize("document", UNREADABLE.values(), ids=UNREADABLE)
def test_they_stay_the_bytes_they_are(document: bytes) -> None:
    message = decode_broker_message(b'{"type":"broker:tasksettings","taskId":"t","settings":%b}' % document)
    assert isinstance(message, TaskSettings)
    assert (message.task_id, bytes(memoryview(message.settings))) == ("t", document)


@pytest.mark.parametrize("document", UNREADABLE.values(), ids=UNREADABLE)
def test_behind_another_message_they_are_malformed(document: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_broker_message(b'{"type":"broker:taskcancel","taskId":"t","reason":"r","settings":%b}]' % document)


@pytest.mark.parametrize("levels", [960, 1000, 1800, 10_000])
async def test_items_with_too_many_levels_fail_their_task_at_once(broker: EmbeddedBroker, levels: int) -> None:
    async with TaskRunner(config_for(broker)) as runner:
        start = time.monotonic()
        end = await broker.request(Raw(nested(levels))).end()
        took = time.monotonic() - start
        if end.result is None:  # how many levels can be read depends on the version of Python
            assert "The settings of the task cannot be used" in error_of(end)["message"]
        assert took < 5
        assert result_of(await run_code(broker, "return _items")) == [{"json": {"n": 21}}]
        assert runner.counters[Count.MESSAGES_MALFORMED] == 0
