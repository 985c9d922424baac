"""The stream that never waits, over real pipes."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from runner import TaskRunner
from runner.broker import EmbeddedBroker
from runner.observe.logs import JsonFormatter, LineFormatter, TerminalFormatter, configure_logging
from runner.observe.outlet import Outlet
from tests.support import config_for, run_code

log = logging.getLogger("tests.observe.test_outlet")


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe: where it is read, and the stream that is written to."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    os.close(reading)


@pytest.fixture
def _logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root, engine = logging.getLogger(), logging.getLogger("transitions")
    levels = root.level, engine.level
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(logging, "_srcfile", logging._srcfile)
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)
    root.setLevel(levels[0])
    engine.setLevel(levels[1])


def read_all(file: int) -> str:
    """What has been written to a pipe."""
    os.set_blocking(file, False)
    data = b""
    try:
        while part := os.read(file, 1 << 20):
            data += part
    except BlockingIOError:
        pass
    return data.decode()


def test_what_is_written_comes_out_in_order_and_whole(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    with Outlet(stream) as outlet:
        for number in range(1000):
            outlet.write(f"line {number} Grüße \ud83d\n")
    assert read_all(reading) == "".join(f"line {number} Grüße \\ud83d\n" for number in range(1000))
    assert outlet.dropped == 0


def test_what_there_is_room_for_is_there_at_once(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    with Outlet(stream) as outlet:
        for number in range(20):
            outlet.write(f"{number}\n")
            assert read_all(reading) == f"{number}\n"
        outlet.write("x" * 10_000)
        assert read_all(reading) == "x" * 10_000


def test_more_than_a_pipe_holds_comes_out_as_it_is_read(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    read: list[bytes] = []

    def reader() -> None:
        while part := os.read(reading, 4096):
            read.append(part)
            if part.endswith(b"end\n"):
                return

    thread = threading.Thread(target=reader)
    thread.start()
    with Outlet(stream, patience=30) as outlet:
        outlet.write("x" * 1_000_000 + "\n")
        outlet.write("end\n")
    thread.join()
    assert b"".join(read) == b"x" * 1_000_000 + b"\nend\n"


@pytest.mark.usefixtures("_logging_as_before")
def test_a_message_that_cannot_be_made_is_told_of_and_harms_no_other(
    pipe: tuple[int, TextIO], capsys: pytest.CaptureFixture[str]
) -> None:
    reading, stream = pipe
    with Outlet(stream) as outlet:
        configure_logging("info", outlet)
        log.info("%d", "no number")
        log.info("the next one")
        assert read_all(reading).endswith("\tINFO\tthe next one\n")
    assert "Logging error" in capsys.readouterr().err


@pytest.mark.usefixtures("_logging_as_before")
def test_nobody_waits_for_a_reader_that_does_not_read_and_what_is_left_out_is_said(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    with Outlet(stream, most_held=100_000, patience=10) as outlet:
        configure_logging("info", outlet)
        began = time.monotonic()
        for number in range(20_000):
            log.info("line %d", number)
        assert time.monotonic() - began < 10
        assert outlet.dropped > 10_000
        said = ""
        while "were left out" not in said:
            said += os.read(reading, 65536).decode()
    lines = said.splitlines()
    assert lines[0].endswith("\tline 0")
    kept = [line for line in lines if "\tline " in line]
    assert len(kept) + outlet.dropped == 20_000
    (warning,) = [line for line in lines if "\tWARNING\t" in line]
    assert warning.endswith(f"{outlet.dropped} lines of this log were left out: nobody has read them in time")


def test_its_end_waits_no_longer_than_its_patience(pipe: tuple[int, TextIO]) -> None:
    began = time.monotonic()
    with Outlet(pipe[1], patience=0.2) as outlet:
        outlet.write("x" * 1_000_000)
    assert 0.2 <= time.monotonic() - began < 5


def test_a_reader_that_has_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream, Outlet(stream) as outlet:
        while not outlet._is_broken:
            outlet.write("x\n")
        assert outlet.write("more\n") == 5


@pytest.mark.usefixtures("_logging_as_before")
async def test_a_log_that_nobody_reads_does_not_hold_up_tasks(broker: EmbeddedBroker, pipe: tuple[int, TextIO]) -> None:
    with Outlet(pipe[1], most_held=100_000, patience=0) as outlet:
        configure_logging("info", outlet)
        async with TaskRunner(config_for(broker)):
            end = await run_code(broker, "for i in range(300):\n    print('x' * 3000)\nreturn {}")
            assert end.error is None
            end = await run_code(broker, "return {}")
            assert end.error is None
        assert outlet.dropped > 0


# The forms


def record(message: str, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("runner.x", level, "path", 1, message, (), None)
    made.__dict__.update(extra)
    return made


def test_json_is_one_object_a_line_with_all_that_is_known() -> None:
    from runner import TaskIdentity

    task = TaskIdentity("t1", "n1", 'A "node"\n', "w1")
    told = JsonFormatter().format(record("two\nlines", task=task, names_task=True))
    assert "\n" not in told
    document = json.loads(told)
    assert document.pop("time").endswith("+00:00")
    assert document == {
        "level": "info",
        "logger": "runner.x",
        "message": "two\nlines",
        "task_id": "t1",
        "node_id": "n1",
        "node_name": 'A "node"\n',
        "workflow_id": "w1",
    }
    try:
        raise ValueError("why")
    except ValueError as error:
        failed = record("it failed", logging.ERROR)
        failed.exc_info = (ValueError, error, error.__traceback__)
    assert "ValueError: why" in json.loads(JsonFormatter().format(failed))["exception"]


def test_a_line_about_a_task_ends_with_its_ids_unless_its_words_have_them() -> None:
    from runner import TaskIdentity

    task = TaskIdentity("t1", "n1\n", "A node", "w1", "A workflow")
    assert LineFormatter().format(record("hello", task=task)).endswith(r"hello [task=t1 node=n1\n workflow=w1]")
    assert LineFormatter().format(record("hello", task=task, names_task=True)).endswith("\thello")
    assert LineFormatter().format(record("hello", task=TaskIdentity("t1"))).endswith("hello [task=t1]")


def test_colours_are_for_terminals_and_not_where_they_are_not_wanted() -> None:
    warning = record("careful", logging.WARNING)
    assert TerminalFormatter(has_colours=True).format(warning).startswith("\x1b[33m")
    assert "\x1b" not in TerminalFormatter(has_colours=False).format(warning)
    assert "\x1b" not in LineFormatter().format(warning)


@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize("has_colours", [True, False])
def test_on_a_terminal_a_line_is_short_and_coloured(has_colours: bool) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream, Outlet(stream) as outlet:
        configure_logging("info", outlet, has_colours=has_colours)
        log.warning("careful")
        read = os.read(ours, 1000).decode()
    os.close(ours)
    assert "WARNING careful" in read
    assert ("\x1b[33m" in read) is has_colours


@pytest.mark.usefixtures("_logging_as_before")
async def test_every_line_about_a_task_says_which(broker: EmbeddedBroker) -> None:
    stream = io.StringIO()
    configure_logging("debug", stream, form="json")
    async with TaskRunner(config_for(broker, task_timeout=0.5)):
        await run_code(broker, "print('hello')\nreturn {}")
        await run_code(broker, "import time\ntime.sleep(60)")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    about = {line["message"].split()[0]: line for line in lines if "task_id" in line}
    assert set(about) == {"Accepted", "[user", "Completed", "Aborted", "Failed"}
    for first, line in about.items():
        known = {"node_id": "a2", "node_name": "Code", "workflow_id": "w1", "workflow_name": "A workflow"}
        assert len(line["task_id"]) == 8
        assert {name: line.get(name) for name in known} == (known if first != "Accepted" else dict.fromkeys(known))
    moves = [line["message"] for line in lines if line["level"] == "debug" and line["message"].startswith("connection")]
    assert any("registered, authenticated -> listening" in message for message in moves)
