"""Log lines: one record is one line, whatever is in its message."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.observe.logs import LineFormatter, configure_logging

log = logging.getLogger("tests.unit.test_logs")
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\t[A-Z]+\t.*")
ENGINE = logging.getLogger("transitions")


@pytest.fixture(autouse=True)
def _logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test configure logging, and put everything back."""
    root, engine_level = logging.getLogger(), ENGINE.level
    level = root.level
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(logging, "_srcfile", logging._srcfile)
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)
    root.setLevel(level)
    ENGINE.setLevel(engine_level)


def formatted(message: str, *arguments: object) -> str:
    """A record with this message as it is shown."""
    return LineFormatter().format(logging.LogRecord("name", logging.WARNING, "path", 1, message, arguments, None))


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().split("\n")


def test_a_line_is_time_level_and_message() -> None:
    line = formatted("Accepted task %s", "abc")
    assert LINE.fullmatch(line)
    assert line.endswith("\tWARNING\tAccepted task abc")


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\n", r"\n"),
        ("\r", r"\r"),
        ("\t", r"\t"),
        ("\x00", r"\x00"),
        ("\x1b", r"\x1b"),
        ("\x0b", r"\x0b"),
        ("\x0c", r"\x0c"),
        ("\x1c", r"\x1c"),
        ("\x7f", r"\x7f"),
        ("\x85", r"\x85"),
        ("\x9b", r"\x9b"),
        ("\u2028", r"\u2028"),
        ("\u2029", r"\u2029"),
        ("\u202e", r"\u202e"),
        ("\u2066", r"\u2066"),
    ],
    ids=ascii,
)
def test_what_could_break_a_line_or_steer_a_terminal_is_escaped(character: str, shown: str) -> None:
    assert formatted(f"a{character}b").endswith(f"\ta{shown}b")
    assert formatted("a%sb", character).endswith(f"\ta{shown}b")


@settings(deadline=None)
@given(st.text())
@example("ok\n2030-01-01 00:00:00,000\tERROR\tforged")
@example("\x1b]0;title\x07")
@example("%s %d")
def test_whatever_is_in_a_message_it_is_one_line_of_harmless_characters(message: str) -> None:
    for line in (formatted(message), formatted("%s", message)):
        assert line.splitlines() == [line]
        assert LINE.fullmatch(line)
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", line)


@pytest.mark.parametrize("message", ["plain text", "Grüße, 世界 😀", "100 %", r"C:\new", "'quoted' \"text\""])
def test_a_harmless_message_is_shown_as_it_is(message: str) -> None:
    assert formatted(message).endswith(f"\t{message}")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("text", ["cut \ud83d off", "Grüße 😀", "\udcff"], ids=ascii)
def test_what_an_output_cannot_encode_is_shown_all_the_same(
    encoding: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written = io.BytesIO()
    configure_logging("info", io.TextIOWrapper(written, encoding=encoding, write_through=True))
    log.info("before %s after", text)
    (line,) = written.getvalue().decode(encoding).splitlines()
    assert "before " in line
    assert line.endswith(" after")
    assert capsys.readouterr().err == ""


def test_a_traceback_is_still_printed_below_its_line() -> None:
    stream = io.StringIO()
    configure_logging("info", stream)
    try:
        raise ValueError("the cause")
    except ValueError:
        log.exception("it failed\nbadly")
    first, *rest = lines_of(stream)
    assert LINE.fullmatch(first)
    assert first.endswith(r"it failed\nbadly")
    assert rest[0] == "Traceback (most recent call last):"
    assert "ValueError: the cause" in rest


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warn", ["warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_a_level_shows_itself_and_what_is_worse(level: str, shown: list[str]) -> None:
    stream = io.StringIO()
    configure_logging(level, stream)
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("at %s", name)
    assert [line.split("\t")[1:] for line in lines_of(stream)[:-1]] == [[name.upper(), f"at {name}"] for name in shown]


def test_the_steps_of_the_engine_are_not_shown_even_at_debug() -> None:
    stream = io.StringIO()
    configure_logging("debug", stream)
    logging.getLogger("transitions.core").debug("Executed callback")
    logging.getLogger("transitions.core").info("Finished processing")
    logging.getLogger("transitions.core").warning("a warning")
    assert [line.split("\t")[2] for line in lines_of(stream)[:-1]] == ["a warning"]


def test_lines_go_to_standard_output_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    log.info("to standard output")
    output, errors = capsys.readouterr()
    assert output.endswith("\tINFO\tto standard output\n")
    assert errors == ""


def test_configuring_again_replaces_what_was_configured_before() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("info", first)
    configure_logging("error", second)
    log.info("too little")
    log.error("once")
    assert first.getvalue() == ""
    assert [line.split("\t")[2] for line in lines_of(second)[:-1]] == ["once"]


def test_records_are_what_handlers_of_others_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, theirs = io.StringIO(), io.StringIO()
    configure_logging("info", stream)
    handler = logging.StreamHandler(theirs)
    attributes = sorted(vars(logging.LogRecord("name", logging.INFO, "path", 1, "", (), None)))
    handler.setFormatter(logging.Formatter(" ".join(f"%({name})s" for name in ("message", "asctime", *attributes))))
    monkeypatch.setattr(log, "handlers", [handler])
    log.info("%(a)s and %(b)d", {"a": "text", "b": 7})
    log.info("%s", {"a": 1})
    log.info("%s", {})
    log.info("no %s")
    try:
        raise ValueError("told")
    except ValueError:
        log.exception("with a traceback", extra={"task": "of others"})
    messages = ["text and 7", "{'a': 1}", "{}", "no %s"]
    assert [line.split("\t")[-1] for line in lines_of(stream)[:4]] == messages
    assert [line.rpartition(f" {log.name}")[0] != "" for line in lines_of(theirs)[:5]] == [True] * 5
    assert lines_of(stream)[-2] == lines_of(theirs)[-2] == "ValueError: told"


def test_times_are_those_of_the_standard_library_in_whatever_order_they_come() -> None:
    ours, theirs = LineFormatter(), logging.Formatter()
    record = logging.LogRecord("name", logging.INFO, "path", 1, "", (), None)
    for created in (0.0, 1.9996, 1.0004, 1764100000.5, 1764100000.999, 1764100001.0, 1.5):
        record.created, record.msecs = created, float(int(created % 1 * 1000))
        assert ours.formatTime(record) == theirs.formatTime(record)
        assert LineFormatter("%(asctime)s", "%H:%M").formatTime(record, "%H:%M") == theirs.formatTime(record, "%H:%M")
