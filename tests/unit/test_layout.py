"""The arrows of the design: who may import whom, where time and coroutines come from, and how long things may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

MAX_FILE = 400
MAX_BODY = 50
"""In lines; a function's docstring does not count."""

PARTS = ("connection", "tasks", "execution", "observe")
INTERFACES = {
    "runner.observe.counters",
    "runner.observe.observers",
    "runner.observe.events",
    "runner.execution.executor",
}
"""The modules that the parts, which do not know each other otherwise, share."""

BOTTOM = ("protocol", "clock", "scope", "errors", "variables", "config")
ABOVE_BOTTOM = ("connection", "tasks", "execution", "broker", "cli", "task_runner")


def name_of(file: Path) -> str:
    """The name of the module that is in a file."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(file): file for package in ("runner", "statemachine") for file in (ROOT / package).rglob("*.py")}
TREES = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in FILES.items()}


def imports_of(name: str) -> Iterator[str]:
    """What a module imports, wherever it does: `from a import b` is `a.b` if that is a module, and else `a`."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import, which this test does not resolve"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in FILES else str(node.module)


def below(package: str, name: str) -> bool:
    """Whether a module is a package or in it."""
    return name == package or name.startswith(package + ".")


def arrows(importers: str, imported: str) -> set[tuple[str, str]]:
    """Each import of something below `imported` by a module below `importers`."""
    return {
        (name, target)
        for name in FILES
        if below(importers, name)
        for target in imports_of(name)
        if below(imported, target)
    }


def calls(name: str) -> Iterator[tuple[str, str]]:
    """Each attribute that is looked up in a module: of what, and which."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node.value), node.attr


def reachable_from(name: str) -> set[str]:
    """A module, those of this project that it imports, those that they import, and so on."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [target for target in imports_of(module) if target in FILES]
    return found


ZYGOTE = "runner.execution.sandbox.child.zygote"
PROVIDER = "runner.execution.sandbox.child.given.provider"
QUICK = "runner.execution.sandbox.child.quick"
LAZILY = {PROVIDER: {"jmespath"}, QUICK: {"msgspec"}}
"""What modules of a child import of others: in a task whose code names it, and once there are large ones."""
CHILD = reachable_from(ZYGOTE)
"""The modules that run in a child: what it starts from, and all that this needs."""


def names_imported_from(name: str, source: str) -> set[str]:
    """What a module imports by name from another."""
    return {
        alias.name
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and node.module == source
        for alias in node.names
    }


def test_there_are_modules_to_look_at() -> None:
    assert {"runner", "runner.protocol.codec", "runner.task_runner", "statemachine.connection", ZYGOTE} <= set(FILES)
    assert arrows("runner.task_runner", "runner.connection"), "or arrows() finds nothing"


def test_the_state_machines_know_nothing_of_the_runner() -> None:
    assert arrows("statemachine", "runner") == set()


@pytest.mark.parametrize("package", ["asyncio", "aiohttp", "socket", "threading", "time", "os", "logging"])
def test_the_state_machines_touch_nothing_of_the_world(package: str) -> None:
    assert arrows("statemachine", package) == set()


@pytest.mark.parametrize("module", BOTTOM)
@pytest.mark.parametrize("above", ABOVE_BOTTOM)
def test_the_bottom_knows_nothing_of_what_stands_on_it(module: str, above: str) -> None:
    assert f"runner.{module}" in FILES
    assert arrows(f"runner.{module}", f"runner.{above}") == set()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("other", PARTS)
def test_the_parts_know_of_each_other_only_the_interfaces(part: str, other: str) -> None:
    if part == other:
        assert f"runner.{part}" in FILES
    else:
        found = {(name, target) for name, target in arrows(f"runner.{part}", f"runner.{other}")}
        assert {(name, target) for name, target in found if target not in INTERFACES} == set()


@pytest.mark.parametrize("interface", sorted(INTERFACES))
def test_an_interface_between_the_parts_knows_none_of_them(interface: str) -> None:
    known = {target for target in imports_of(interface) if below("runner", target)}
    assert known <= {"runner.errors", *INTERFACES}  # what may come out of its methods, and other interfaces


@pytest.mark.parametrize("package", ["diagnosis", "installation"])
def test_what_is_for_people_alone_is_known_to_the_commands_alone(package: str) -> None:
    importers = {name for name, _ in arrows("runner", f"runner.{package}")}
    assert importers
    assert {name for name in importers if not (below("runner.cli", name) or below(f"runner.{package}", name))} == set()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("above", ["broker", "cli", "diagnosis", "installation", "task_runner"])
def test_the_parts_do_not_know_who_wires_them(part: str, above: str) -> None:
    assert arrows(f"runner.{part}", f"runner.{above}") == set()


def test_nobody_imports_the_commands_but_themselves() -> None:
    importers = {name for name, _ in arrows("runner", "runner.cli")}
    assert {name for name in importers if not below("runner.cli", name)} == {"runner.__main__"}


@pytest.mark.parametrize("package", ["connection", "tasks", "execution", "cli", "task_runner", "config"])
def test_the_broker_knows_the_protocol_and_nothing_of_a_runner(package: str) -> None:
    assert arrows("runner.broker", f"runner.{package}") == set()


def test_the_runner_does_not_need_the_broker() -> None:
    importers = {name for name, _ in arrows("runner", "runner.broker")}
    assert {name for name in importers if not below("runner.broker", name)} == {
        "runner.cli.run",
        "runner.cli.run_inputs",
        "runner.cli.run_outputs",
    }


def test_the_childs_modules_are_a_world_of_their_own() -> None:
    assert {f"runner.execution.sandbox.child.{name}" for name in ("worker", "user_code", "results")} <= CHILD
    assert {module for module in CHILD if not below("runner.execution.sandbox", module)} == set()
    assert CHILD & {"runner.execution.sandbox.executor", "runner.execution.sandbox.pool"} == set()


@pytest.mark.parametrize("module", sorted(CHILD))
def test_the_childs_modules_import_the_standard_library_and_each_other(module: str) -> None:
    others = {target for target in imports_of(module) if not is_of_the_standard_library(target)}
    allowed = LAZILY.get(module, set())
    assert {target for target in others if target not in CHILD} == allowed


def test_aiohttp_is_known_to_the_connection_the_broker_and_the_status_server_alone() -> None:
    importers = {name for name, _ in arrows("runner", "aiohttp")}
    users = ("runner.connection", "runner.broker", "runner.observe")
    assert importers
    assert {name for name in importers if not any(below(user, name) for user in users)} == set()


@pytest.mark.parametrize("name", sorted(FILES))
def test_nobody_uses_the_private_names_of_another_module(name: str) -> None:
    tree = TREES[name]
    modules = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if not is_of_the_standard_library(alias.name)
    } | {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{node.module}.{alias.name}" in FILES
    }
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not is_of_the_standard_library(str(node.module))
        for alias in node.names
    }
    looked_up = {
        f"{owner}.{attribute}" for owner, attribute in calls(name) if owner in modules if is_private(attribute)
    }
    assert {each for each in imported if is_private(each)} | looked_up == set()


def is_of_the_standard_library(module: str) -> bool:
    """Whether a module comes with Python."""
    return module.partition(".")[0] in sys.stdlib_module_names


def is_private(name: str) -> bool:
    """Whether a name is one that belongs to its module."""
    return name.startswith("_") and not name.endswith("__")


def test_coroutines_are_started_by_scopes_and_task_groups_alone() -> None:
    starters = {"create_task", "ensure_future", "run_coroutine_threadsafe"}
    found = {
        (name, f"{owner}.{attribute}")
        for name in FILES
        for owner, attribute in calls(name)
        if attribute in starters and not owner.endswith("group")
    }
    assert found == {("runner.scope", "asyncio.get_running_loop().create_task")}
    assert not any(names_imported_from(name, "asyncio") for name in FILES)


def test_time_comes_from_the_clock_alone() -> None:
    askers = {name for name in FILES if "time" in set(imports_of(name))}
    exceptions = {
        ZYGOTE: "it only sets the time zone",
        "runner.cli.parent": "it waits when there is no event loop any more",
        "runner.observe.stalls": "it watches the event loop from outside, when that stands still",
    }
    assert askers == {"runner.clock", *exceptions}
    loops = {name for name in FILES for owner, attribute in calls(name) if attribute == "time" and "loop" in owner}
    assert loops == set()


def test_nothing_sleeps_but_those_who_watch_processes() -> None:
    sleepers = {
        name for name in FILES for owner, attribute in calls(name) if (owner, attribute) == ("asyncio", "sleep")
    }
    watchers = {"runner.execution.sandbox.zygote"}
    assert sleepers - watchers == set()
    assert sleepers, "or calls() finds nothing"


def test_settings_are_read_from_the_environment_by_the_commands_alone() -> None:
    readers = {name for name in FILES for owner, attribute in calls(name) if attribute in {"environ", "getenv"}}
    children = {name for name in readers if below("runner.execution", name)}  # they pass it on to tasks
    assert {name for name in readers - children if not below("runner.cli", name)} == set()
    assert readers - children, "or calls() finds nothing"


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_is_longer_than_people_read_at_once(name: str) -> None:
    length = len(FILES[name].read_text(encoding="utf-8").splitlines())
    assert length <= MAX_FILE


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_function_is_longer_than_a_screen(name: str) -> None:
    functions = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert {function.name: length for function in functions if (length := body_length(function)) > MAX_BODY} == {}


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return ((body[-1].end_lineno or 0) - body[0].lineno + 1) if body else 0


# What is loaded


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after a statement."""
    script = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_none_of_its_dependencies() -> None:
    loaded = loaded_by("import runner")
    assert "runner" in loaded
    assert loaded & {"attr", "attrs", "aiohttp", "msgspec", "transitions", "multidict", "yarl", "statemachine"} == set()


def test_the_configuration_and_the_errors_load_nothing_of_the_network() -> None:
    loaded = loaded_by("import runner.config, runner.errors; from runner import TaskRunnerConfig, ConfigurationError")
    assert "attrs" in loaded
    assert loaded & {"aiohttp", "msgspec", "transitions", "multidict", "yarl", "asyncio", "statemachine"} == set()


def test_the_doctor_can_be_asked_when_nothing_that_it_looks_at_is_there() -> None:
    loaded = loaded_by("import runner.cli.doctor, runner.diagnosis.machine")
    assert "asyncio" in loaded
    assert loaded & {"attr", "attrs", "aiohttp", "msgspec", "transitions", "yarl", "statemachine"} == set()


def test_the_command_loads_nothing_of_a_command_before_it_is_asked_for() -> None:
    loaded = loaded_by("import runner.cli")
    assert loaded & {"attrs", "aiohttp", "msgspec", "transitions", "asyncio"} == set()


def test_the_childs_modules_load_none_of_the_dependencies() -> None:
    loaded = loaded_by("import " + ", ".join(sorted(CHILD - {ZYGOTE})))
    assert loaded & {"attr", "attrs", "aiohttp", "msgspec", "transitions", "asyncio", "statemachine"} == set()


def test_the_state_machines_load_nothing_of_the_runner() -> None:
    loaded = loaded_by("import statemachine")
    assert "statemachine" in loaded
    assert loaded & {"runner", "aiohttp", "msgspec", "hypothesis"} == set()
