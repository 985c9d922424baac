"""Tells a zygote what to be as soon as that is known: it gets ready while most of the program is still imported."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from runner.config import TaskRunnerConfig
from runner.execution.sandbox import wire
from runner.execution.sandbox.folders import Folder
from runner.execution.sandbox.orders import order_for
from runner.execution.sandbox.spawn import Spawned


def tell_ahead(spawned: Spawned, config: TaskRunnerConfig, environment: Mapping[str, str]) -> None:
    """Give a zygote its order. What goes wrong here is told when the executor starts, which then does all of it."""
    with contextlib.suppress(OSError):
        spawned.folder = Folder()
        spawned.told = order_for(config, str(spawned.folder.tasks), environment)
        wire.write_frame(spawned.line.fileno(), wire.ORDER, spawned.told.to_json())
