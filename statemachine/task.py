"""The lifecycle of one task, as a table, and the machine that follows it.

A task exists from the moment that an offer of ours is accepted. It holds a slot until it is `finished`, also while
its execution is being killed, so that a runner never has more processes than slots. Its terminal message is an
effect of entering `finished`, a state that is entered once: so it is sent exactly once. Sent on a connection that
is gone it is dropped there, and never reaches a later one.
"""

from __future__ import annotations

from enum import Enum

from statemachine.machine import (
    EffectRow,
    EventRow,
    Lifecycle,
    StateRow,
    Step,
    Table,
    TransitionRow,
)


class TaskState(Enum):
    """Where a task stands."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    ABORTING = "aborting"
    FINISHED = "finished"


class TaskEvent(Enum):
    """What can happen to a task."""

    SETTINGS = "settings"
    DONE = "done"
    FAILED = "failed"
    CANCEL = "cancel"
    TIMEOUT = "timeout"
    KILL = "kill"
    LOST = "lost"
    GONE = "gone"


class TaskEffect(Enum):
    """What a step asks its performer to do."""

    START_EXECUTION = "start_execution"
    RESTART_TIMER = "restart_timer"
    STOP_TIMER = "stop_timer"
    ABORT_EXECUTION = "abort_execution"
    SEND_TERMINAL = "send_terminal"
    FREE_SLOT = "free_slot"


TaskStep = Step[TaskState, TaskEvent, TaskEffect]

_S, _E, _F = TaskState, TaskEvent, TaskEffect

TASK: Table[TaskState, TaskEvent, TaskEffect] = Table(
    name="task",
    meaning="One task, from the accepted offer to its terminal message.",
    initial=_S.ACCEPTED,
    states=(
        StateRow(
            _S.ACCEPTED,
            "The offer was accepted and confirmed; the settings have yet to come.",
            leads_to=(_S.RUNNING, _S.FINISHED),
        ),
        StateRow(
            _S.RUNNING,
            "The code runs in a process of its own.",
            leads_to=(_S.ABORTING, _S.FINISHED),
            entering=(_F.RESTART_TIMER, _F.START_EXECUTION),
        ),
        StateRow(
            _S.ABORTING,
            "The execution is being killed; the slot is still taken.",
            leads_to=(_S.FINISHED,),
            entering=(_F.STOP_TIMER, _F.ABORT_EXECUTION),
        ),
        StateRow(
            _S.FINISHED,
            "The terminal message is out and the slot is free.",
            leads_to=(),
            entering=(_F.STOP_TIMER, _F.SEND_TERMINAL, _F.FREE_SLOT),
        ),
    ),
    events=(
        EventRow(_E.SETTINGS, "broker:tasksettings came: there is something to run."),
        EventRow(_E.DONE, "The code has returned a result."),
        EventRow(_E.FAILED, "The code, or its process, has failed."),
        EventRow(_E.CANCEL, "broker:taskcancel came: nobody waits for the result."),
        EventRow(_E.TIMEOUT, "The task timeout has passed, for the settings or for the code."),
        EventRow(_E.KILL, "The runner shuts down and the graceful timeout has passed."),
        EventRow(_E.LOST, "The connection that the task came by is gone."),
        EventRow(_E.GONE, "The process of the execution is gone."),
    ),
    effects=(
        EffectRow(_F.START_EXECUTION, "Hand the settings to the executor."),
        EffectRow(_F.RESTART_TIMER, "Start the task timeout again, from now."),
        EffectRow(_F.STOP_TIMER, "Forget the task timeout."),
        EffectRow(_F.ABORT_EXECUTION, "Cancel the execution, which kills its process; post `gone` when it ended."),
        EffectRow(_F.SEND_TERMINAL, "Send runner:taskdone or runner:taskerror."),
        EffectRow(_F.FREE_SLOT, "Forget the task and offer its slot again."),
    ),
    transitions=(
        TransitionRow((_S.ACCEPTED,), _E.SETTINGS, _S.RUNNING, "there is something to run"),
        TransitionRow((_S.RUNNING,), _E.DONE, _S.FINISHED, "the code has returned"),
        TransitionRow((_S.RUNNING,), _E.FAILED, _S.FINISHED, "the code or its process has failed"),
        TransitionRow((_S.ACCEPTED,), _E.CANCEL, _S.FINISHED, "cancelled before it began"),
        TransitionRow((_S.ACCEPTED,), _E.TIMEOUT, _S.FINISHED, "the settings never came"),
        TransitionRow((_S.ACCEPTED,), _E.KILL, _S.FINISHED, "the runner shuts down"),
        TransitionRow((_S.ACCEPTED,), _E.LOST, _S.FINISHED, "the connection is gone"),
        TransitionRow((_S.RUNNING,), _E.CANCEL, _S.ABORTING, "cancelled while it ran"),
        TransitionRow((_S.RUNNING,), _E.TIMEOUT, _S.ABORTING, "ran longer than the task timeout"),
        TransitionRow((_S.RUNNING,), _E.KILL, _S.ABORTING, "ran longer than the graceful timeout"),
        TransitionRow((_S.RUNNING,), _E.LOST, _S.ABORTING, "the connection is gone"),
        TransitionRow((_S.ABORTING,), _E.GONE, _S.FINISHED, "its process is gone"),
    ),
)


class TaskMachine(Lifecycle[TaskState, TaskEvent, TaskEffect]):
    """One task on its way through the table. Cheap: all tasks share one engine."""

    __slots__ = ()

    def __init__(self) -> None:
        """A task whose offer has just been accepted."""
        super().__init__(TASK)
