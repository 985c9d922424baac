"""The language rules before code runs: what its text shows is refused in the words that n8n users know."""

from __future__ import annotations

import ast
import json
import sys
from typing import Any

import pytest

from runner.execution.sandbox.language.imports import is_stdlib, refusal
from runner.execution.sandbox.language.members import HOMES_NOT_TO_BORROW_FROM, REFUSED, REPLACED
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.prepare import prepare
from runner.execution.sandbox.language.rules import BLOCKED_ATTRIBUTES, BLOCKED_NAMES, is_mangled, is_private, mangled
from runner.execution.sandbox.language.static_check import check
from runner.execution.sandbox.language.stdlib import LEFT_OUT, SAFE_MODULES
from runner.execution.sandbox.language.violations import SecurityViolations

BYPASS = "is disallowed, because it can be used to bypass security restrictions."
MANGLED = "Access to name-mangled attributes (pattern: _ClassName__attr) is disallowed for security reasons."
NONE_ALLOWED: dict[str, Any] = {"stdlib_allow": []}


def found(code: str, **policy: Any) -> list[tuple[int, str]]:
    return [(each.line, each.text) for each in check(ast.parse(code), Policy.of(**policy))]


def attribute(name: str) -> str:
    return f"Access to attribute '{name}' {BYPASS}"


def name_text(name: str) -> str:
    return f"Access to name '{name}' {BYPASS}"


def stdlib(name: str, allowed: str = "none") -> str:
    return (
        f"Import of standard library module '{name}' is disallowed. Allowed stdlib modules: {allowed}"
        " (set N8N_RUNNERS_STDLIB_ALLOW to allow it)"
    )


def external(name: str, allowed: str = "none") -> str:
    return (
        f"Import of external package '{name}' is disallowed. Allowed external packages: {allowed}"
        " (set N8N_RUNNERS_EXTERNAL_ALLOW to allow it)"
    )


def test_a_refused_import_names_what_is_allowed_in_order_and_the_variable() -> None:
    assert found("import os", stdlib_allow=["re", "json"]) == [(1, stdlib("os", "json, re"))]
    assert found("import numpy", external_allow=["pandas", "attrs"]) == [(1, external("numpy", "attrs, pandas"))]
    assert found("import os\nimport numpy", **NONE_ALLOWED) == [(1, stdlib("os")), (2, external("numpy"))]


def test_each_refused_module_is_reported_once() -> None:
    code = "import os\nfrom os import path\nimport os.path, os\n__import__('os')"
    assert found(code, **NONE_ALLOWED) == [(1, stdlib("os")), (3, stdlib("os.path"))]


def test_submodules_of_an_allowed_module_are_allowed_and_its_neighbours_are_not() -> None:
    assert found("import json.decoder\nfrom json import tool", stdlib_allow=["json"]) == []
    assert found("import jsonx", stdlib_allow=["json"], external_allow=["json"]) == [(1, external("jsonx", "json"))]


def test_a_submodule_may_be_allowed_without_its_package() -> None:
    only = {"stdlib_allow": ["urllib.parse"]}
    assert found("import urllib.parse\nfrom urllib.parse import quote\nfrom urllib import parse", **only) == []
    assert found("from urllib import parse, request", **only) == [(1, stdlib("urllib.request", "urllib.parse"))]
    assert found("import urllib", **only) == [(1, stdlib("urllib", "urllib.parse"))]


def test_a_star_allows_all_modules_of_its_kind_but_never_the_runner() -> None:
    assert found("import os, subprocess", stdlib_allow=["*"]) == []
    assert found("import numpy", external_allow=["*"]) == []
    assert found("import runner.config", external_allow=["*"]) == [(1, external("runner.config", "*"))]


def test_relative_and_dynamic_imports_have_their_own_texts() -> None:
    dynamic = "Dynamic __import__() calls are not allowed for security reasons."
    assert found("from . import x\nfrom ..y import z") == [
        (1, "Relative imports are disallowed."),
        (2, "Relative imports are disallowed."),
    ]
    assert found("__import__(name)") == [(1, dynamic)]
    assert found("x.__import__('json')") == [(1, dynamic)]
    assert found("__import__(name='json')") == [(1, dynamic)]


def test_an_import_by_call_with_a_name_obeys_the_rule_of_imports() -> None:
    assert found("__import__('json')") == []
    assert found("__import__('os')", **NONE_ALLOWED) == [(1, stdlib("os"))]
    assert found("f = __import__") == [(1, name_text("__import__"))]


def test_a_future_import_is_no_import() -> None:
    assert found("from __future__ import annotations", **NONE_ALLOWED) == []


def test_the_outer_attribute_of_a_chain_comes_before_the_inner_one() -> None:
    assert found("x = 1\ny = ().__class__.__bases__") == [(2, attribute("__bases__")), (2, attribute("__class__"))]


@pytest.mark.parametrize("name", sorted(BLOCKED_ATTRIBUTES))
def test_a_blocked_attribute_is_refused_wherever_an_attribute_can_stand(name: str) -> None:
    text = attribute(name)
    assert (1, text) in found(f"x.{name} = 1") or name == "__import__"
    assert (1, text) in found(f"del x.{name}")
    assert (1, text) in found(f"x.{name} += 1")
    assert (1, text) in found(f"lambda a=x.{name}: 0")
    assert (1, text) in found(f"f'{{x:{{x.{name}}}}}'")
    assert (1, text) in found(f"from json import {name}")
    assert (2, text) in found(f"match x:\n case y({name}=z): pass")
    assert (1, text) in found(f"@x.{name}\ndef f(): pass")


@pytest.mark.parametrize("name", sorted(BLOCKED_NAMES))
@pytest.mark.parametrize(
    "code",
    [
        "x = NAME",
        "NAME = 1",
        "(NAME := 1)",
        "del NAME",
        "def NAME(): pass",
        "async def NAME(): pass",
        "class NAME: pass",
        "def f(NAME): pass",
        "lambda *NAME: 0",
        "global NAME",
        "import json as NAME",
        "from json import loads as NAME",
        "try: pass\nexcept E as NAME: pass",
        "with x as NAME: pass",
        "for NAME in x: pass",
        "[0 for NAME in x]",
        "match x:\n case [*NAME]: pass",
        "match x:\n case {**NAME}: pass",
        "match x:\n case 1 as NAME: pass",
    ],
)
def test_a_blocked_name_is_refused_wherever_a_name_can_stand(name: str, code: str) -> None:
    assert name_text(name) in [text for _, text in found(code.replace("NAME", name))]


if sys.version_info >= (3, 12):  # since when there are such statements

    def test_a_type_statement_is_checked_like_the_rest() -> None:
        assert found("type X[T: ().__class__] = ().__class__") == [(1, attribute("__class__"))] * 2


def test_another_unicode_form_of_a_name_is_the_same_name() -> None:
    assert found("x.__\uff43lass__") == [(1, attribute("__class__"))]
    assert found("__\uff42uiltins__") == [(1, name_text("__builtins__"))]


def test_mangled_names_are_told_from_those_that_only_look_like_it() -> None:
    assert found("x._A__b\nfrom json import _A__b") == [(1, MANGLED), (2, MANGLED)]
    assert found("x._asdict()\nx.__len__()\nx._a_b\nself.__b") == []
    assert is_mangled("_A__b")
    assert not is_mangled("__a__b")
    assert [mangled("__b", name) for name in ("A", "_A", "__", None)] == ["_A__b", "_A__b", "__b", "__b"]
    assert [is_private(name) for name in ("_a", "__a", "__a__", "a", "_", "____")] == [1, 1, 0, 0, 1, 1]


def test_a_class_pattern_may_not_read_what_has_to_be_looked_at() -> None:
    assert found("match x:\n case str(format=f): pass") == [(2, attribute("format"))]
    assert found("match x:\n case str(_a=f): pass") == [(2, attribute("_a"))]


def test_the_error_has_a_line_for_each_violation() -> None:
    with pytest.raises(SecurityViolations, match=r"^Security violations detected$") as raised:
        prepare(ast.parse("import os\n\nx.__globals__"), Policy.of(stdlib_allow=[]))
    assert raised.value.lines == [f"Line 1: {stdlib('os')}", f"Line 3: {attribute('__globals__')}"]
    assert raised.value.description == "\n".join(raised.value.lines)
    assert raised.value.message == "Security violations detected"


def test_under_the_full_language_only_imports_are_checked() -> None:
    code = "().__class__\n__builtins__\nx._A__b\nimport os"
    assert found(code, language="full", stdlib_allow=[]) == [(4, stdlib("os"))]


def test_deep_and_long_code_is_checked_without_recursion() -> None:
    assert found("x" + ".a" * 900 + ".__class__") == [(1, attribute("__class__"))]
    assert prepare(ast.parse(" + ".join(["x._y"] * 800)), Policy.of()).body


def test_a_policy_is_made_of_plain_values_and_refuses_unknown_languages() -> None:
    plain = {"stdlib_allow": None, "external_allow": ["a"], "builtins_deny": ["open"], "language": "n8n"}
    policy = Policy.from_plain(json.loads(json.dumps(plain)))
    assert policy.stdlib_allow == frozenset(SAFE_MODULES)
    assert policy.builtins_deny == {"open"}
    with pytest.raises(ValueError, match="language has to be n8n or full, not 'java'"):
        Policy.from_plain({"language": "java"})


def test_the_tables_name_what_exists_and_do_not_contradict_each_other() -> None:
    assert not SAFE_MODULES.keys() & LEFT_OUT.keys()
    assert all(is_stdlib(name) for name in [*SAFE_MODULES, *LEFT_OUT])
    assert not REFUSED.keys() & REPLACED.keys()
    assert not HOMES_NOT_TO_BORROW_FROM & SAFE_MODULES.keys()
    assert all(refusal(name, Policy.of()) is None for name in SAFE_MODULES)
    assert all(refusal(name, Policy.of()) is not None for name in LEFT_OUT)
