"""What is public, and that its types hold for those who write code against it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import runner
import runner.broker
import statemachine
import statemachine.testing
from tests.support import ROOT

RUNNER = {
    "AlreadyStarted",
    "AuthenticationFailed",
    "CannotListen",
    "ConfigurationError",
    "ConnectionFailure",
    "ConnectionLost",
    "Count",
    "Executor",
    "ExecutorStatus",
    "FailureKind",
    "FunctionExecutor",
    "Inspectable",
    "LayerStatus",
    "Limited",
    "N8n",
    "N8nRefused",
    "NoIdleTimeoutHandlerError",
    "Observer",
    "OfferAccepted",
    "Outcome",
    "Readiness",
    "Refused",
    "RunnerError",
    "RunningTask",
    "SandboxExecutor",
    "SandboxFailed",
    "SignOfLife",
    "Socket",
    "StatusServer",
    "TaskContext",
    "TaskFailed",
    "TaskFinished",
    "TaskIdentity",
    "TaskOutcome",
    "TaskRequest",
    "TaskRunner",
    "TaskRunnerConfig",
    "TaskStarted",
    "TaskTurnedAway",
    "Transport",
    "TransportFailed",
    "Unreachable",
    "UnsupportedPlatform",
}
ERRORS: dict[str, dict[str, object]] = {
    "AlreadyStarted": {"state": "listening"},
    "AuthenticationFailed": {"status": 403, "why": "the token is wrong"},
    "CannotListen": {"host": "127.0.0.1", "port": 5681, "why": "address already in use"},
    "ConfigurationError": {"problems": ("a port is wrong", "a timeout is wrong")},
    "ConnectionLost": {"why": "reset by peer", "code": 1001},
    "N8nRefused": {"message": "No such node", "description": "Look again."},
    "NoIdleTimeoutHandlerError": {"timeout": 15},
    "Refused": {"status": 401, "why": "no credential"},
    "RunnerError": {},
    "SandboxFailed": {"why": "no", "variable": "N8N_RUNNERS_LANGUAGE", "lacking": {"seccomp": "not in this kernel"}},
    "TaskFailed": {"message": "No", "description": "because"},
    "TransportFailed": {"why": "the cable is cut"},
    "Unreachable": {"why": "no route", "status": 502},
    "UnsupportedPlatform": {"platform": "Windows"},
}
"""Every error, and what it is made from, which are its fields."""
STATEMACHINE = {
    "CONNECTION",
    "FORMATS",
    "REST_STATES",
    "TASK",
    "UNNUMBERED",
    "ConnectionEffect",
    "ConnectionEvent",
    "ConnectionMachine",
    "ConnectionState",
    "ConnectionStep",
    "EffectRow",
    "Entry",
    "EventRow",
    "GraphvizMissing",
    "Journal",
    "Lifecycle",
    "Outcome",
    "StateRow",
    "Step",
    "Table",
    "TaskEffect",
    "TaskEvent",
    "TaskMachine",
    "TaskState",
    "TaskStep",
    "TransitionRow",
    "render",
    "to_dot",
    "to_json",
    "to_mermaid",
    "to_svg",
}
TESTING = {
    "CONNECTION_MODEL",
    "CONNECTION_RULES",
    "ConnectionStateMachine",
    "Coroutine",
    "FakeDriver",
    "FakePerformer",
    "FiredEvent",
    "Model",
    "Performer",
    "Picture",
    "Post",
    "Role",
    "Rule",
    "Start",
    "Timer",
    "VirtualClock",
    "VirtualTimer",
    "World",
    "any_sequences",
    "check_rules",
    "fired_events",
    "fired_sequences",
    "legal_sequences",
}
BROKER = {
    "BrokerLimits",
    "CallFailed",
    "EmbeddedBroker",
    "EndOfTask",
    "NodeTypeWanted",
    "RequestedTask",
    "TaskBroker",
    "TaskEnd",
    "TaskService",
    "Violation",
}


def test_the_public_names_are_exactly_these() -> None:
    assert set(runner.__all__) == RUNNER
    assert set(statemachine.__all__) == STATEMACHINE
    assert set(statemachine.testing.__all__) == TESTING
    assert set(runner.broker.__all__) == BROKER


@pytest.mark.parametrize(
    "module", [runner, statemachine, statemachine.testing, runner.broker], ids=lambda module: str(module.__name__)
)
def test_no_name_is_listed_twice(module: object) -> None:
    names = list(vars(module)["__all__"])
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(RUNNER))
def test_every_public_name_is_there_and_is_the_one_of_its_home(name: str) -> None:
    public = getattr(runner, name)
    assert public.__name__ == name
    assert public.__module__.startswith("runner.")
    assert getattr(importlib.import_module(public.__module__), name) is public
    assert name in dir(runner)


@pytest.mark.parametrize("name", sorted(STATEMACHINE))
def test_every_name_of_the_state_machines_is_there(name: str) -> None:
    assert hasattr(statemachine, name)


@pytest.mark.parametrize("name", sorted(TESTING))
def test_every_name_of_the_test_kit_is_there(name: str) -> None:
    assert hasattr(statemachine.testing, name)


@pytest.mark.parametrize("name", sorted(BROKER))
def test_every_name_of_the_broker_is_there(name: str) -> None:
    assert hasattr(runner.broker, name)


def test_star_imports_give_the_public_names_in_a_fresh_interpreter() -> None:
    script = "from runner import *; print(*sorted(name for name in dir() if name[0] != '_'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert set(done.stdout.split()) == RUNNER


def test_a_name_that_is_not_there_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'runner' has no attribute 'Taskrunner'"):
        getattr(runner, "Taskrunner")  # noqa: B009 - a checker would refuse the attribute itself
    with pytest.raises(ImportError):
        importlib.import_module("runner.nothing")


def test_every_public_error_is_here() -> None:
    public = {name: getattr(runner, name) for name in RUNNER}
    errors = {name for name, kind in public.items() if isinstance(kind, type) and issubclass(kind, BaseException)}
    assert errors == set(ERRORS)


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_in_the_tree_and_has_its_fields(name: str) -> None:
    kind = getattr(runner, name)
    assert issubclass(kind, runner.RunnerError)
    assert re.search(rf"^ *{name}\b", sys.modules["runner.errors"].__doc__ or "", re.MULTILINE)
    error = kind(**ERRORS[name])
    assert {field: getattr(error, field) for field in ERRORS[name]} == ERRORS[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "AlreadyStarted",
            "This runner is already started: await stop() before starting it again, or make another one",
        ),
        ("AuthenticationFailed", "Authentication failed with status 403: the token is wrong"),
        ("ConfigurationError", "a port is wrong\na timeout is wrong"),
        ("ConnectionLost", "reset by peer"),
        ("N8nRefused", "No such node"),
        ("SandboxFailed", "no (seccomp: not in this kernel)"),
        ("TaskFailed", "No"),
        ("Unreachable", "no route"),
    ],
)
def test_an_error_has_a_text_for_people(name: str, text: str) -> None:
    assert str(getattr(runner, name)(**ERRORS[name])) == text


def test_errors_about_what_to_do_say_what_to_do() -> None:
    idle = str(runner.NoIdleTimeoutHandlerError(15))
    assert "after 15 s" in idle
    assert "on_idle_timeout" in idle
    assert "WSL" in str(runner.UnsupportedPlatform("Windows"))


def test_the_error_object_of_a_task_has_what_n8n_shows_and_no_more() -> None:
    assert runner.TaskFailed("No").as_error_object() == {"message": "No"}
    failed = runner.TaskFailed("No", "because", lineNumber=3, itemIndex=0)
    assert failed.as_error_object() == {"message": "No", "description": "because", "lineNumber": 3, "itemIndex": 0}


# Types


def mypy(*files: Path) -> subprocess.CompletedProcess[str]:
    """Check files as this project checks itself."""
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--show-error-codes", "--no-pretty", *map(str, files)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "MYPYPATH": str(ROOT)},
        check=False,
    )


def test_mypy_accepts_the_public_api_as_people_write_it() -> None:
    done = mypy(*sorted((ROOT / "tests" / "typing" / "accepted").glob("*.py")))
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


WRONG = """\
import asyncio

from msgspec import Raw

from runner import Observer, TaskRequest, TaskRunner, TaskRunnerConfig, TaskStarted

config = TaskRunnerConfig(grant_token="x")
TaskRunnerConfig({"x"})  # error: call-arg
TaskRunnerConfig(grant_token=5)  # error: arg-type
TaskRunnerConfig(grant_token="x", task_timeout="60")  # error: arg-type
TaskRunnerConfig(grant_token="x", max_concurrency=1.5)  # error: arg-type
TaskRunnerConfig(grant_token="x", no_such_field=1)  # error: call-arg
TaskRunnerConfig.from_env({"A": 1})  # error: dict-item
config.task_timeout = 5  # error: misc
config.no_such_field  # error: attr-defined
TaskRunner()  # error: call-arg
TaskRunner({"grant_token": "x"})  # error: arg-type
TaskRunner(config, None)  # error: call-arg


class NoResult:
    async def start(self) -> None: ...
    async def execute(self, request: TaskRequest) -> str:
        request.settings = Raw(b"1")  # error: misc
        return "not raw"
    async def close(self) -> None: ...


TaskRunner(config, executor=NoResult())  # error: arg-type
TaskRunner(config, transport=NoResult())  # error: arg-type


def not_a_coroutine() -> None: ...


def use(runner: TaskRunner) -> None:
    runner.on_idle_timeout = not_a_coroutine  # error: assignment
    runner.state = runner.state  # error: misc
    runner.counters["TASKS_DONE"]  # error: index
    asyncio.run(runner.stop)  # error: arg-type
    runner.observe(not_a_coroutine)  # error: arg-type


class Watcher(Observer):
    def on_task_finished(self, task: TaskStarted) -> None: ...  # error: override
"""


def check_refused(code: str, file: Path) -> None:
    """Have mypy check code that is wrong in just the lines that say so, each with the code of its error."""
    file.write_text(code, encoding="utf-8")
    done = mypy(file)
    found = re.findall(rf"{file.name}:(\d+): error: .*\[([a-z-]+)\]", done.stdout)
    lines = enumerate(code.splitlines(), 1)
    expected = [(str(number), match[1]) for number, line in lines if (match := re.search(r"# error: ([a-z-]+)", line))]
    assert found == expected, done.stdout + done.stderr


def test_mypy_refuses_what_is_wrong(tmp_path: Path) -> None:
    check_refused(WRONG, tmp_path / "wrong.py")


def test_mypy_refuses_a_public_name_that_is_not_there(tmp_path: Path) -> None:
    code = """\
import runner
from runner import TaskRuner  # error: attr-defined

runner.Count
runner.Conut  # error: attr-defined
"""
    check_refused(code, tmp_path / "wrong.py")


def test_mypy_refuses_names_that_are_no_list_of_texts(tmp_path: Path) -> None:
    code = """\
from runner import TaskRunnerConfig

TaskRunnerConfig(grant_token="x", stdlib_allow=None)
TaskRunnerConfig(grant_token="x", external_allow=5)  # error: arg-type
TaskRunnerConfig(grant_token="x", builtins_deny=[1])  # error: list-item
"""
    check_refused(code, tmp_path / "wrong.py")
