"""What a runner is at this moment, in sections of plain values: for /status, and for the page at /inspect.

No section holds code, items, results, or what code has said of them; and nothing that is secret.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

import runner
from runner.observe.history import NAME_LIMIT, SLICE
from runner.observe.metrics import Sources
from statemachine import ConnectionState

ENTRIES_SHOWN = 60
"""How much of the journal is shown."""

TASKS_SHOWN = 100
"""How many running tasks are shown; of further ones it is told how many they are."""

Section = Callable[[Sources, float], Any]
"""Makes a section, given the time of day in seconds since 1970."""


def _about(sources: Sources, now: float) -> dict[str, Any]:
    config = sources.runner.config
    broker = urlsplit(config.task_broker_uri)
    return {
        "version": runner.__version__,
        "python": platform.python_version(),
        "runner_id": sources.runner.runner_id,
        "broker": f"{broker.scheme}://{broker.netloc.rpartition('@')[2]}",
        "pid": sources.pid,
        "began": round(now - sources.uptime, 1),
        "task_timeout": config.task_timeout,
    }


def _connection(sources: Sources, _: float) -> dict[str, Any]:
    moves = [entry for entry in sources.runner.journal if not entry.ignored]
    last = moves[-1] if moves else None
    arrived = next((entry for entry in reversed(moves) if entry.source != entry.target), None)
    return {
        "state": sources.runner.state.value,
        "since": arrived.time if arrived else None,
        "number": last.number if last else 0,
        "last": None if last is None else {"source": last.source, "event": last.event, "target": last.target},
        "listening": sources.runner.state is ConnectionState.LISTENING,
    }


def _readiness(sources: Sources, _: float) -> dict[str, Any]:
    readiness = sources.runner.readiness
    return {"ready": readiness.is_ready, "reasons": list(readiness.reasons)}


def _slots(sources: Sources, _: float) -> dict[str, int]:
    return {
        "total": sources.runner.slots,
        "busy": len(sources.runner.tasks),
        "offered": sources.runner.open_offers,
    }


def _tasks(sources: Sources, now: float) -> dict[str, Any]:
    tasks, running = sources.runner.tasks, sources.runner.executor_status.running
    shown = []
    for task in tasks[:TASKS_SHOWN]:
        memory = sources.memory.get(running.get(task.task.task_id, 0))
        shown.append(
            {
                **{name: value[:NAME_LIMIT] for name, value in attrs.asdict(task.task).items()},
                "state": task.state,
                "since": round(now - task.age, 1),
                "settings_bytes": task.settings_bytes,
                "memory_bytes": memory.amount if memory else None,
            }
        )
    return {"shown": shown, "more": len(tasks) - len(shown)}


def _failures(sources: Sources, _: float) -> list[dict[str, Any]]:
    return [attrs.asdict(failure) for failure in sources.history.failures]


def _journal(sources: Sources, _: float) -> list[dict[str, Any]]:
    return [entry.as_dict() for entry in sources.runner.journal[-ENTRIES_SHOWN:]]


def _minutes(sources: Sources, _: float) -> dict[str, Any]:
    slices = sources.history.slices()
    return {
        "slice": SLICE,
        "began": slices[0].began,
        "done": [slice_.done for slice_ in slices],
        "failed": [slice_.failed for slice_ in slices],
        "p50": [_rounded(slice_.latency.quantile(0.5)) for slice_ in slices],
        "p95": [_rounded(slice_.latency.quantile(0.95)) for slice_ in slices],
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _layers(sources: Sources, _: float) -> list[dict[str, str]]:
    return [attrs.asdict(layer) for layer in sources.runner.executor_status.layers]


def _processes(sources: Sources, _: float) -> dict[str, Any]:
    status = sources.runner.executor_status
    return {
        "running": len(status.running),
        "waiting": len(status.waiting),
        "workers_started": status.workers_started,
        "zygotes_started": status.zygotes_started,
        "memory_bytes": sum(memory.amount for memory in sources.memory.values()) or None,
        "memory_measure": sorted({memory.measure for memory in sources.memory.values()}),
    }


def _counters(sources: Sources, _: float) -> dict[str, int]:
    return {count.name.lower(): number for count, number in sources.runner.counters.items()}


SECTIONS: Mapping[str, Section] = {
    "about": _about,
    "connection": _connection,
    "readiness": _readiness,
    "slots": _slots,
    "tasks": _tasks,
    "failures": _failures,
    "journal": _journal,
    "minutes": _minutes,
    "layers": _layers,
    "processes": _processes,
    "counters": _counters,
}
"""Every section by its name."""


def snapshot(sources: Sources, now: float) -> dict[str, Any]:
    """All sections at the time `now`, in seconds since 1970."""
    return {name: section(sources, now) for name, section in SECTIONS.items()}
