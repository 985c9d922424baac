"""What is public, and that its types hold for those who write code against it."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

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
    "DaskExecutor",
    "Elastic",
    "Executor",
    "ExecutorStatus",
    "ExtraMissing",
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
    "ExtraMissing": {"extra": "dask", "what": "The Dask executor"},
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
