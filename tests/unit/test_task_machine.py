"""The machine of one task, pair by pair: every state with every event."""

from __future__ import annotations

import itertools

import attrs
import pytest

from statemachine import Outcome, TaskEffect, TaskEvent, TaskMachine, TaskState, TaskStep

S, E, F = TaskState, TaskEvent, TaskEffect

FINISH = (F.STOP_TIMER, F.SEND_TERMINAL, F.FREE_SLOT)
RUN = (F.RESTART_TIMER, F.START_EXECUTION)
ABORT = (F.STOP_TIMER, F.ABORT_EXECUTION)


@attrs.frozen
class Taken:
    """What a listed event leads to, and what is to be performed then."""

    target: TaskState
    entering: tuple[TaskEffect, ...]


EXPECTED = {
    (S.ACCEPTED, E.SETTINGS): Taken(S.RUNNING, RUN),
    (S.ACCEPTED, E.CANCEL): Taken(S.FINISHED, FINISH),
    (S.ACCEPTED, E.TIMEOUT): Taken(S.FINISHED, FINISH),
    (S.ACCEPTED, E.KILL): Taken(S.FINISHED, FINISH),
    (S.ACCEPTED, E.LOST): Taken(S.FINISHED, FINISH),
    (S.RUNNING, E.DONE): Taken(S.FINISHED, FINISH),
    (S.RUNNING, E.FAILED): Taken(S.FINISHED, FINISH),
    (S.RUNNING, E.CANCEL): Taken(S.ABORTING, ABORT),
    (S.RUNNING, E.TIMEOUT): Taken(S.ABORTING, ABORT),
    (S.RUNNING, E.KILL): Taken(S.ABORTING, ABORT),
    (S.RUNNING, E.LOST): Taken(S.ABORTING, ABORT),
    (S.ABORTING, E.GONE): Taken(S.FINISHED, FINISH),
}

PATHS: dict[TaskState, tuple[TaskEvent, ...]] = {
    S.ACCEPTED: (),
    S.RUNNING: (E.SETTINGS,),
    S.ABORTING: (E.SETTINGS, E.CANCEL),
    S.FINISHED: (E.SETTINGS, E.DONE),
}

PAIRS = tuple(itertools.product(S, E))
UNLISTED = tuple(pair for pair in PAIRS if pair not in EXPECTED)


def task_in(state: TaskState) -> TaskMachine:
    task = TaskMachine()
    for event in PATHS[state]:
        task.fire(event)
    assert task.state is state
    return task


def pair_name(value: object) -> str:
    return str(value.value) if isinstance(value, (S, E)) else str(value)


def test_a_new_task_waits_for_its_settings() -> None:
    assert TaskMachine().state is S.ACCEPTED


def test_the_enumeration_covers_thirty_two_pairs() -> None:
    assert (len(PAIRS), len(EXPECTED), len(UNLISTED)) == (32, 12, 20)


@pytest.mark.parametrize(("state", "event"), EXPECTED, ids=pair_name)
def test_a_listed_event_is_taken_with_exactly_these_effects(state: TaskState, event: TaskEvent) -> None:
    task = task_in(state)
    expected = EXPECTED[state, event]
    step = task.fire(event, "because")
    assert step == TaskStep(event, state, expected.target, Outcome.TAKEN, "because", (), expected.entering)
    assert task.state is expected.target


@pytest.mark.parametrize(("state", "event"), UNLISTED, ids=pair_name)
def test_an_unlisted_event_is_ignored_and_issues_nothing(state: TaskState, event: TaskEvent) -> None:
    task = task_in(state)
    assert task.fire(event, "because") == TaskStep(event, state, state, Outcome.IGNORED, "because")
    assert task.state is state


def test_the_slot_of_a_killed_task_is_free_only_when_its_process_is_gone() -> None:
    task = task_in(S.RUNNING)
    aborted = task.fire(E.TIMEOUT)
    late = task.fire(E.DONE)
    gone = task.fire(E.GONE)
    assert [F.FREE_SLOT in step.effects for step in (aborted, late, gone)] == [False, False, True]


def test_tasks_share_an_engine_and_nothing_else() -> None:
    one, other = TaskMachine(), TaskMachine()
    one.fire(E.SETTINGS)
    assert (one.state, other.state) == (S.RUNNING, S.ACCEPTED)


def test_the_state_is_moved_by_nothing_but_fire() -> None:
    with pytest.raises(AttributeError):
        TaskMachine().state = S.FINISHED  # type: ignore[misc]
