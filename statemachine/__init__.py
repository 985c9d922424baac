"""What may happen to a task runner's connection and to its tasks: states, events and tables, without any I/O.

Everything public is named here. `statemachine.testing` stands apart, because it needs Hypothesis.
"""

from statemachine.connection import (
    CONNECTION,
    REST_STATES,
    UNNUMBERED,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionState,
    ConnectionStep,
)
from statemachine.diagram import FORMATS, GraphvizMissing, render, to_dot, to_json, to_mermaid, to_svg
from statemachine.journal import Entry, Journal
from statemachine.machine import (
    EffectRow,
    EventRow,
    Lifecycle,
    Outcome,
    StateRow,
    Step,
    Table,
    TransitionRow,
)
from statemachine.task import TASK, TaskEffect, TaskEvent, TaskMachine, TaskState, TaskStep

__all__ = [
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
]
