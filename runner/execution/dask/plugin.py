"""What is put on every Dask worker: the door to its warm pool."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs
from distributed import WorkerPlugin

from runner import __version__
from runner.config import TaskRunnerConfig
from runner.sandbox_config import SandboxConfig

PASSED_ON = (*(field.name for field in attrs.fields(SandboxConfig)), "max_payload_size", "max_prints", "task_timeout")
"""The fields of a configuration that a cluster gets to know: how tasks are confined. No token is among them."""


def settings_of(config: TaskRunnerConfig) -> dict[str, Any]:
    """What a worker is told of a configuration, as plain values."""
    values = {name: getattr(config, name) for name in PASSED_ON}
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in values.items()}


def name_of(settings: Mapping[str, Any]) -> str:
    """The name of the plugin: runners of one version with the same settings share it, and the pool."""
    text = json.dumps([__version__, settings], sort_keys=True)
    return f"n8n-runner-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def plugin_of(settings: dict[str, Any]) -> WorkerPlugin:
    """A plugin that opens the door of `name_of(settings)`.

    It has to be idempotent: a worker that was given it anew would first close what serves other runners. Its class is
    made here so that it is pickled with its code, and can say on a worker without n8n-runner that this is missing.
    """
    name, version = name_of(settings), __version__

    class WarmPool(WorkerPlugin):
        idempotent = True
        host: Any = None

        async def setup(self, worker: Any) -> None:
            try:
                from runner.execution.dask.hosting import Host
            except ImportError:
                return  # there is no door, which the runner finds and says
            self.host = Host(version, settings, worker.state.nthreads)
            worker.handlers[name] = self.host.serve

        async def teardown(self, worker: Any) -> None:
            worker.handlers.pop(name, None)
            if self.host is not None:
                await self.host.close()

    return WarmPool()
