"""`statemachine` decides and does nothing: it imports nothing that could act."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "statemachine"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

# What must not be loaded by whoever imports `statemachine`, also through `transitions` and `attrs`. `time`, `os` and
# `threading` are not in the list: `logging`, which `transitions` imports, needs them. That none of them is used here
# is what the reading of the sources below shows. `transitions.extensions` holds AsyncMachine and its asyncio.
NEVER_LOADED = {
    "aiohttp",
    "asyncio",
    "hypothesis",
    "msgspec",
    "multiprocessing",
    "runner",
    "selectors",
    "socket",
    "ssl",
    "statemachine.testing",
    "subprocess",
    "transitions.extensions",
}

# What no module here may name, wherever it is imported. `os` would be the way to `os.environ`.
NEVER_NAMED = {
    "aiohttp",
    "asyncio",
    "datetime",
    "importlib",
    "msgspec",
    "os",
    "runner",
    "sched",
    "select",
    "selectors",
    "signal",
    "socket",
    "threading",
    "time",
}

ALLOWED_IN = {
    "hypothesis": {"testing/__init__.py", "testing/stateful.py", "testing/strategies.py"},
    "subprocess": {"diagram.py"},
}

LIST_NEW_MODULES = "import sys; before = set(sys.modules); import statemachine; print(*(set(sys.modules) - before))"


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded when it has run `code`, which prints them."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_statemachine_loads_nothing_that_could_act() -> None:
    loaded = loaded_by(LIST_NEW_MODULES)
    assert "statemachine.connection" in loaded
    assert loaded & NEVER_LOADED == set()


def test_the_listing_shows_what_an_import_brings_with_it() -> None:
    loaded = loaded_by(LIST_NEW_MODULES.replace("import statemachine;", "import statemachine, asyncio;"))
    assert {"asyncio", "socket"} <= loaded


def test_without_hypothesis_the_kit_says_how_to_get_it() -> None:
    script = "import sys; sys.modules['hypothesis'] = None; import statemachine; import statemachine.testing"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: statemachine.testing needs Hypothesis, which is not installed: pip install 'n8n-runner[testing]'"
    )


def imported(source: str) -> Iterator[tuple[str, bool]]:
    """Each module that a source imports, and whether the import stands inside a function."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = {child for function in functions for child in ast.walk(function)}
    for node in ast.walk(tree):
        for name in names_of(node):
            yield name.partition(".")[0], node in inside


def names_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        # a relative import stays in the package
        return [node.module or "statemachine"] if node.level == 0 else []
    return []


def faults(source: str, filename: str) -> list[str]:
    """The imports that a module of this name, seen from the package, must not have."""
    found = []
    for name, inside in imported(source):
        misplaced = name in ALLOWED_IN and filename not in ALLOWED_IN[name]
        if name in NEVER_NAMED or misplaced or (name == "subprocess" and not inside):
            found.append(name)
    if "__import__" in source:
        found.append("__import__")
    return found


def test_all_modules_are_looked_at() -> None:
    of_testing = {f"testing/{name}.py" for name in ("__init__", "driver", "performer", "rules", "stateful", "world")}
    assert {"__init__.py", "connection.py", "diagram.py", "machine.py"} | of_testing <= MODULES.keys()


@pytest.mark.parametrize("filename", MODULES)
def test_no_module_names_an_import_that_could_act(filename: str) -> None:
    assert faults(MODULES[filename].read_text(encoding="utf-8"), filename) == []


@pytest.mark.parametrize(
    ("source", "filename"),
    [
        ("import asyncio", "machine.py"),
        ("from asyncio import sleep", "machine.py"),
        ("def f():\n    import time", "journal.py"),
        ("from datetime import datetime", "journal.py"),
        ("from os import environ", "task.py"),
        ("import os.path", "task.py"),
        ("from runner.config import TaskRunnerConfig", "connection.py"),
        ("import runner.errors as errors", "connection.py"),
        ("import hypothesis", "connection.py"),
        ("import hypothesis", "testing/rules.py"),
        ("def f():\n    import subprocess", "machine.py"),
        ("import subprocess", "diagram.py"),
        ("if True:\n    import subprocess", "diagram.py"),
        ("__import__('asyncio')", "machine.py"),
    ],
)
def test_the_reading_finds_a_forbidden_import(source: str, filename: str) -> None:
    assert len(faults(source, filename)) == 1


@pytest.mark.parametrize(
    ("source", "filename"),
    [
        ("import hypothesis", "testing/strategies.py"),
        ("def f():\n    import subprocess", "diagram.py"),
        ("from statemachine.machine import Step", "task.py"),
        ("from . import machine", "task.py"),
    ],
)
def test_the_reading_lets_an_allowed_import_pass(source: str, filename: str) -> None:
    assert faults(source, filename) == []
