"""The user's code: compiled as it stands, run, and its failures explained."""

from __future__ import annotations

import ast
import builtins
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.execution.sandbox.child.explaining import failure_of
from runner.execution.sandbox.child.failures import (
    DESCRIPTION_LIMIT,
    MESSAGE_LIMIT,
    BadSettings,
    CodeFailed,
    Failure,
    shortened,
)
from runner.execution.sandbox.child.user_code import SOURCE, UserCode, compiled, offer_source
from runner.execution.sandbox.language.policy import Policy

BLANKS = st.lists(st.sampled_from(["", "# words", "   ", "\t", "x = '''\n\n'''", "\x0c"]), max_size=6)
FULL = Policy.of(stdlib_allow="*", external_allow="*", language="full")
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])


def run(text: str, **given_names: Any) -> Any:
    offer_source()
    SOURCE.text = text
    return UserCode(compiled(text, tuple(given_names), FULL), vars(builtins)).run(given_names)


def failure(text: str, **given_names: Any) -> CodeFailed:
    """How code fails, when it is compiled or when it is run."""
    try:
        run(text, **given_names)
    except CodeFailed as failed:
        return failed
    except BaseException as error:  # noqa: BLE001 - whatever the code raises
        return failure_of(error)
    raise AssertionError("it did not fail")


@given(st.text(st.characters(codec=None)))
@example("\0")
@example("\ufeff\ufeff")
@example("\ud83d")
@example("return")
def test_any_text_compiles_or_is_refused_with_a_reason(text: str) -> None:
    refused: CodeFailed | None = None
    try:
        compiled(text, ("_items",), FULL)
    except CodeFailed as failed:
        refused = failed
    if refused is not None:
        assert refused.message
        assert refused.line is None or 1 <= refused.line <= len(text) + 1


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=40))
def test_any_string_literal_keeps_its_value_also_over_several_lines(text: str) -> None:
    literal = "'''" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'''"
    assert run(f"if True:\n    return {literal}\n") == ast.literal_eval(literal)


@given(BLANKS, NEWLINES)
def test_the_line_of_an_error_is_the_users_own(before: list[str], newline: str) -> None:
    lines = "\n".join(before).split("\n")
    failed = failure(newline.join([*lines, "raise ValueError('here')", ""]))
    assert failed.line == len(lines) + 1
    assert failed.trace == f"Line {failed.line}: raise ValueError('here')\nValueError: here"


@given(BLANKS, NEWLINES)
def test_the_line_of_a_syntax_error_is_the_users_own(before: list[str], newline: str) -> None:
    lines = "\n".join(before).split("\n")
    failed = failure(newline.join([*lines, "x = = 1", ""]))
    assert (failed.line, failed.description) == (len(lines) + 1, f"Line {len(lines) + 1}: x = = 1")


@given(st.integers() | st.lists(st.text()))
def test_what_the_code_is_given_is_what_it_returns(value: Any) -> None:
    assert run("return _items", _items=value) is value
    assert run("global _items\nreturn _items", _items=value) is value
    assert run("async def f(): return _items\nreturn await f()", _items=value) is value


def test_line_separators_within_a_line_do_not_shift_what_is_quoted() -> None:
    """str.splitlines() counts them, Python does not."""
    failed = failure("text = 'a\x1cb\u2028c\x85'\nraise ValueError('here')")
    assert failed.trace == "Line 2: raise ValueError('here')\nValueError: here"


def test_each_run_has_a_namespace_of_its_own() -> None:
    ready = compiled("global n\nfresh = 'n' not in globals()\nn = 1\nreturn fresh", (), FULL)
    code = UserCode(ready, vars(builtins))
    assert [code.run({}), code.run({})] == [True, True]


def test_the_function_that_the_code_is_put_into_cannot_be_seen() -> None:
    assert run("return sorted(globals())") == ["__builtins__", "__name__"]


@pytest.mark.parametrize(
    "text",
    [
        "async with a: pass",
        "async for x in a: pass",
        "[x async for x in a]",
        "return await a",
        "f'{await a}'",
        "@(await a)\ndef f(): pass",
        "def f(x=await a): pass",
        "def f(*, x=await a): pass",
        "class A(await a): pass",
        "class A(metaclass=await a): pass",
        "lambda x=await a: x",
        "if 1:\n  try: pass\n  finally: await a",
    ],
)
def test_code_that_awaits_anywhere_at_its_top_is_run_as_a_coroutine(text: str) -> None:
    assert failure(text).message == "name 'a' is not defined"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f():\n  await a", "'await' outside async function (<unknown>, line 2)"),
        ("yield", "'yield' outside function (<unknown>, line 1)"),
        ("x = 1\nif x:\n  y = yield from []", "'yield' outside function (<unknown>, line 3)"),
        ("await a\nyield 1", "'yield' outside function (<unknown>, line 2)"),
        ("from __future__ import braces", "not a chance (<unknown>, line 1)"),
        ("x = 1\nglobal x", "name 'x' is assigned to before global declaration (<unknown>, line 2)"),
    ],
)
def test_what_python_refuses_is_refused_in_its_own_words(text: str, message: str) -> None:
    assert failure(text).message == message


def test_yields_within_functions_are_nobodys_business() -> None:
    assert run("def f(): yield 1\ng = lambda: (yield 2)\nreturn [*f(), *g()]") == [1, 2]


def test_of_a_long_traceback_the_last_frames_are_shown() -> None:
    failed = failure("def f(n):\n  if n: f(n - 1)\n  raise ValueError('deep')\nf(50)")
    assert failed.trace is not None
    lines = failed.trace.splitlines()
    assert (len(lines), lines[-2:]) == (21, ["Line 3, in f: raise ValueError('deep')", "ValueError: deep"])


def test_an_error_in_a_library_is_told_with_the_line_that_called_it() -> None:
    failed = failure("import json\n\njson.loads('{')")
    assert failed.line == 3
    assert failed.trace is not None
    assert failed.trace.startswith("Line 3: json.loads('{')\nJSONDecodeError: ")


@pytest.mark.parametrize("description", ["5", "''", "None", "property(lambda self: 1 / 0)"])
def test_a_description_that_is_no_text_is_none(description: str) -> None:
    assert failure(f"class E(Exception): description = {description}\nraise E('x')").description is None


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)), st.integers(0, 9))
def test_any_failure_can_be_reported(message: str, description: str, line: int) -> None:
    report = Failure(message, description, line=line).report()
    assert ast.literal_eval(report.decode("utf-8").replace("null", "None"))["line"] == line


def test_a_report_is_bounded() -> None:
    report = Failure("\0" * 10**7, "\0" * 10**7, trace="\0" * 10**7).report()
    assert len(report) < 7 * (MESSAGE_LIMIT + 2 * DESCRIPTION_LIMIT)
    assert shortened("abcdef", 2) == "ab… (4 more characters)"
    assert shortened("ab", 2) == "ab"


def test_bad_settings_say_so() -> None:
    assert BadSettings("why").message == "The settings of the task cannot be used: why"
