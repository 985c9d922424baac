"""Who has started the command, and what it owes them. Nobody says so: it is told by the variables that each sets.

n8n's sources are where these facts come from: in internal mode it hands over a grant token and all of its limits, and
ends after five exits within two seconds of a runner that it has started; its launcher asks for the health check server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import Enum

import attrs

from runner.config import TaskRunnerConfig

LIFETIME = 1.0
"""How long a runner that n8n or a launcher has started lives at least when it fails, in seconds."""

INTERNAL_GRACE = 1.0
"""How long tasks may go on under n8n in internal mode, in seconds: two after SIGTERM, it sends SIGKILL."""

FROM_N8N = ("GRANT_TOKEN", "TASK_BROKER_URI", "MAX_PAYLOAD", "MAX_CONCURRENCY", "TASK_TIMEOUT")
FROM_LAUNCHER = ("GRANT_TOKEN", "TASK_BROKER_URI", "HEALTH_CHECK_SERVER_ENABLED")


class Parent(Enum):
    """Who may have started this process."""

    N8N = "n8n, in internal mode"
    LAUNCHER = "n8n's launcher"
    ANYBODY = "a person or a service manager"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Parent:
        """Whose environment this looks like."""
        has = {name.removeprefix("N8N_RUNNERS_").removesuffix("_FILE") for name in environment}
        if has >= {*FROM_LAUNCHER}:
            return cls.LAUNCHER
        if has >= {*FROM_N8N} and "AUTH_TOKEN" not in has:
            return cls.N8N
        return cls.ANYBODY

    def adapt(self, config: TaskRunnerConfig) -> TaskRunnerConfig:
        """A configuration with which this parent's patience is not exceeded."""
        if self is Parent.N8N:
            return attrs.evolve(config, graceful_shutdown_timeout=min(config.graceful_shutdown_timeout, INTERNAL_GRACE))
        return config

    def pace(self, began: float) -> None:
        """Wait before a failed process exits, so that those started in its place do not come too fast.

        Parameters:
            began: when it started, as `now()` told.
        """
        if self is not Parent.ANYBODY:
            time.sleep(max(0.0, began + LIFETIME - now()))


def now() -> float:
    """Seconds of the operating system's monotonic clock, without the event loop that a clock comes with.

    To import that takes a tenth of the time until the runner begins: it can wait until the zygote knows what to do.
    """
    return time.monotonic()
