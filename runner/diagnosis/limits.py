"""Whether the limits of a configuration suit n8n and the machine. n8n tells nobody its own; its defaults are known."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from runner.config import TaskRunnerConfig
from runner.diagnosis.finding import Finding, Situation, ok, warning
from runner.diagnosis.settings import usable_config

N8N_TASK_TIMEOUT = 300
"""After how long n8n gives a task up unless its own N8N_RUNNERS_TASK_TIMEOUT says otherwise, in seconds."""

N8N_TEXT_LIMIT = 536_870_888
"""How long a message n8n can read at most, in bytes: the longest text that its JavaScript engine has."""

N8N_HEARTBEAT = 30
MIB = 1024**2


class Rule(NamedTuple):
    """A limit that is no use, or no good: when, and what is said of it."""

    applies: Callable[[TaskRunnerConfig], bool]
    text: str
    advice: str


RULES: tuple[Rule, ...] = (
    Rule(
        lambda config: config.task_timeout > N8N_TASK_TIMEOUT,
        f"N8N_RUNNERS_TASK_TIMEOUT is above {N8N_TASK_TIMEOUT} s, after which n8n gives a task up by default",
        "Set N8N_RUNNERS_TASK_TIMEOUT to the same on n8n",
    ),
    Rule(
        lambda config: config.heartbeat_interval > 2 * N8N_HEARTBEAT,
        f"N8N_RUNNERS_HEARTBEAT_INTERVAL is above {2 * N8N_HEARTBEAT} s: a dead connection is noticed late",
        "Leave it out, unless a proxy needs it",
    ),
    Rule(
        lambda config: config.is_auto_shutdown_enabled,
        "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT is set: the runner ends after a while without tasks",
        "That is right under n8n's launcher. Everywhere else, leave it out",
    ),
    Rule(
        lambda config: config.max_concurrency > 8 * (os.cpu_count() or 1),
        f"N8N_RUNNERS_MAX_CONCURRENCY is more than eight tasks for each of {os.cpu_count() or 1} processors",
        "Lower it, unless the tasks mostly wait",
    ),
)


async def limits(situation: Situation) -> list[Finding]:
    """Each limit that does not suit, the memory of the machine included."""
    config = usable_config(situation)
    found = [warning(rule.text, rule.advice) for rule in RULES if rule.applies(config)]
    return [*found, *_memory(config), *_payload(config)] or [ok("they suit n8n's defaults and this machine")]


def _payload(config: TaskRunnerConfig) -> list[Finding]:
    if config.max_payload_size <= N8N_TEXT_LIMIT:
        return []
    return [ok(f"results end at {N8N_TEXT_LIMIT / MIB:.0f} MiB, the most that n8n can read")]


def _memory(config: TaskRunnerConfig) -> list[Finding]:
    available = machine_memory()
    wanted = config.max_concurrency * config.task_memory_limit * MIB
    if available is None or wanted <= available:
        return []
    return [
        warning(
            f"{config.max_concurrency} tasks of {config.task_memory_limit} MiB each may take more than the "
            f"{available // MIB} MiB that there are",
            "Lower N8N_RUNNERS_TASK_MEMORY_LIMIT or N8N_RUNNERS_MAX_CONCURRENCY, "
            "or expect tasks to be killed when all are large at once",
        )
    ]


def machine_memory() -> int | None:
    """How much memory there is for this process, in bytes: what its container may have, or else the machine."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    with contextlib.suppress(OSError, ValueError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)
