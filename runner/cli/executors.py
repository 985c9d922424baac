"""The executor of a command: the usual one, from the process that was started ahead, or a Dask cluster."""

from __future__ import annotations

import sys
from typing import Any

from runner.config import TaskRunnerConfig
from runner.errors import UnsupportedPlatform
from runner.execution.executor import Executor


def executor_for(config: TaskRunnerConfig, zygote: Any) -> Executor:
    """What runs the tasks.

    Parameters:
        zygote: what `runner.cli` has started ahead, if it has.

    Raises:
        UnsupportedPlatform: there are no such processes on this operating system.
    """
    if sys.platform == "win32":
        raise UnsupportedPlatform("Windows")
    from runner.execution.sandbox.executor import SandboxExecutor

    return SandboxExecutor(config, spawned=zygote)


def dask_executor_for(config: TaskRunnerConfig, zygote: Any, scheduler: str) -> Executor:
    """What runs the tasks on a Dask cluster.

    Parameters:
        zygote: what `runner.cli` has started ahead, if it has: it is not needed.

    Raises:
        ExtraMissing: the extra `dask` is not installed.
    """
    if zygote is not None:
        zygote.give_up()
    from runner.execution.dask.executor import DaskExecutor

    return DaskExecutor(config, scheduler)
