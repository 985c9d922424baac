"""A runner as those see it who show it to people: what `TaskRunner` has to read, and nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from runner.config import TaskRunnerConfig
from runner.execution.executor import ExecutorStatus
from runner.observe.counters import Count
from runner.observe.observers import Observer
from runner.observe.readiness import Readiness
from statemachine import ConnectionState, Entry

if TYPE_CHECKING:  # made only when somebody asks
    from runner.observe.events import RunningTask


class Observed(Protocol):
    """See `runner.task_runner.TaskRunner` for what each of these is."""

    config: TaskRunnerConfig

    @property
    def runner_id(self) -> str: ...  # noqa: D102 - said there

    @property
    def state(self) -> ConnectionState: ...  # noqa: D102

    @property
    def journal(self) -> tuple[Entry, ...]: ...  # noqa: D102

    @property
    def counters(self) -> Mapping[Count, int]: ...  # noqa: D102

    @property
    def tasks(self) -> tuple[RunningTask, ...]: ...  # noqa: D102

    @property
    def slots(self) -> int: ...  # noqa: D102

    @property
    def open_offers(self) -> int: ...  # noqa: D102

    @property
    def readiness(self) -> Readiness: ...  # noqa: D102

    @property
    def executor_status(self) -> ExecutorStatus: ...  # noqa: D102

    def observe(self, observer: Observer) -> Callable[[], None]: ...  # noqa: D102
