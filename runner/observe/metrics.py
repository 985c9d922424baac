"""The metrics, declared once: what is served at /metrics, the page of the documentation and the Grafana dashboard.

A row says how its value is read, so there is nothing else to keep in step. Nothing here needs the Prometheus client:
`runner.observe.exposition` writes what is read here in its format.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from enum import Enum

import attrs

import runner
from runner.observe.counters import Count
from runner.observe.history import Histogram, History
from runner.observe.memory import Memory
from runner.observe.observed import Observed
from runner.observe.observers import TaskOutcome
from runner.protocol.messages import RejectReason
from statemachine import ConnectionState

PREFIX = "n8n_runner_"


class Kind(Enum):
    """The types of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Section(Enum):
    """The parts of the dashboard."""

    CONNECTION = "Connection"
    OFFERS = "Slots and offers"
    TASKS = "Tasks"
    PROCESSES = "Processes"
    HEALTH = "The runner itself"


@attrs.frozen
class Sources:
    """Where the values come from.

    Parameters:
        memory: of each process of the runner that could be read; its own is among them.
        pid: the runner's own process.
        uptime: for how long it has been there, in seconds.
        log_lines_dropped: how many lines of its log nobody took in time.
    """

    runner: Observed
    history: History
    memory: Mapping[int, Memory]
    pid: int
    uptime: float
    log_lines_dropped: int = 0


Values = Mapping[tuple[str, ...], float]
"""A value for each combination of labels."""

Reading = Values | Histogram


@attrs.frozen
class Metric:
    """One metric.

    Parameters:
        name: without the prefix; of a counter, without `_total`.
        title: what a panel that shows it is called.
        help: one sentence.
        labels: the names of its labels.
        unit: `seconds`, `bytes` or nothing; the name ends with it.
    """

    name: str
    kind: Kind
    section: Section
    title: str
    help: str
    read: Callable[[Sources], Reading] = attrs.field(repr=False)
    labels: tuple[str, ...] = ()
    unit: str = ""

    @property
    def full_name(self) -> str:
        """The name under which it is found."""
        return PREFIX + self.name + ("_total" if self.kind is Kind.COUNTER else "")


def _count(count: Count) -> Callable[[Sources], Values]:
    """Reads one of the runner's counters."""
    return lambda sources: {(): sources.runner.counters[count]}


def _counter(name: str, section: Section, title: str, count: Count) -> Metric:
    """One of the runner's counters, which has its meaning already."""
    return Metric(name, Kind.COUNTER, section, title, count.value, _count(count))


def _state(sources: Sources) -> Values:
    return {(state.value,): float(state is sources.runner.state) for state in ConnectionState}


def _rejections(sources: Sources) -> Values:
    known = {text: name.lower() for name, text in vars(RejectReason).items() if not name.startswith("_")}
    values: dict[tuple[str, ...], float] = {(name,): 0.0 for name in known.values()}
    for reason, count in sources.history.rejections.items():
        label = (known.get(reason, "other"),)
        values[label] = values.get(label, 0.0) + count
    return values


def _outcomes(sources: Sources) -> Values:
    return {(outcome.value,): sources.history.outcomes[outcome] for outcome in TaskOutcome}


def _slots(sources: Sources) -> Values:
    total, busy = sources.runner.slots, len(sources.runner.tasks)
    return {("busy",): busy, ("free",): total - busy, ("offered",): sources.runner.open_offers}


def _workers(sources: Sources) -> Values:
    status = sources.runner.executor_status
    return {("running",): len(status.running), ("waiting",): len(status.waiting)}


def _memory(sources: Sources) -> Values:
    status = sources.runner.executor_status
    parts = {
        "runner": (sources.pid,),
        "zygote": status.others,
        "waiting": status.waiting,
        "running": tuple(status.running.values()),
    }
    values: dict[tuple[str, ...], float] = {}
    for part, pids in parts.items():
        for memory in (sources.memory[pid] for pid in pids if pid in sources.memory):
            values[part, memory.measure] = values.get((part, memory.measure), 0.0) + memory.amount
    return values


ACHIEVED = {"complete": 1.0, "partial": 0.5, "missing": 0.0}


def _layers(sources: Sources) -> Values:
    return {(layer.layer,): ACHIEVED.get(layer.achieved, 0.0) for layer in sources.runner.executor_status.layers}


def _info(sources: Sources) -> Values:
    return {(runner.__version__, platform.python_version(), sources.runner.runner_id): 1.0}


_C, _O, _T, _P, _H = Section
_GAUGE, _COUNTER, _HISTOGRAM = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM

METRICS: tuple[Metric, ...] = (
    Metric(
        "ready",
        _GAUGE,
        _C,
        "Ready",
        "1 while the runner can be given tasks: registered, its broker not silent, every free slot on offer.",
        lambda sources: {(): float(sources.runner.readiness.is_ready)},
    ),
    Metric(
        "connection_state",
        _GAUGE,
        _C,
        "State of the connection",
        "1 for the state in which the connection is, 0 for the others.",
        _state,
        ("state",),
    ),
    Metric(
        "connection_transitions",
        _COUNTER,
        _C,
        "Transitions",
        "Transitions of the connection, by where they came from, what happened, and where they led.",
        lambda sources: sources.history.transitions,
        ("source", "event", "target"),
    ),
    Metric(
        "connection_failures",
        _COUNTER,
        _C,
        "Failures of the connection",
        "Attempts that failed and connections that were lost, each followed by another attempt: `unreachable`, `lost`, "
        "`refused`, or with a code, as in `http_503` and `closed_1001`.",
        lambda sources: {(reason,): count for reason, count in sources.history.connection_failures.items()},
        ("reason",),
    ),
    _counter("messages_malformed", _C, "Malformed messages", Count.MESSAGES_MALFORMED),
    _counter("messages_unknown", _C, "Unknown messages", Count.MESSAGES_UNKNOWN),
    _counter("sends_dropped", _C, "Messages not sent", Count.SENDS_DROPPED),
    Metric(
        "slots",
        _GAUGE,
        _O,
        "Slots",
        "Slots that are busy with a task, those that are free, and how many of the free ones are on offer.",
        _slots,
        ("use",),
    ),
    _counter("offers", _O, "Offers", Count.OFFERS_MADE),
    _counter("offers_expired", _O, "Expired offers", Count.OFFERS_EXPIRED),
    _counter("offers_forgotten", _O, "Offers thrown away by the broker", Count.OFFERS_FORGOTTEN),
    Metric(
        "offer_wait_seconds",
        _HISTOGRAM,
        _O,
        "How long offers wait for a task",
        "From an offer to its accept: long where there is little to do, short where tasks wait for slots.",
        lambda sources: sources.history.offer_wait,
        unit="seconds",
    ),
    _counter("tasks_accepted", _T, "Tasks taken", Count.TASKS_ACCEPTED),
    Metric(
        "tasks_rejected",
        _COUNTER,
        _T,
        "Tasks turned away",
        "Tasks that were not taken, by reason; the broker asks another runner at once.",
        _rejections,
        ("reason",),
    ),
    Metric(
        "tasks_finished",
        _COUNTER,
        _T,
        "Tasks by outcome",
        "Tasks that have ended, by how: with a result, with an error of their own, or cut short.",
        _outcomes,
        ("outcome",),
    ),
    Metric(
        "task_start_delay_seconds",
        _HISTOGRAM,
        _T,
        "From accept to start",
        "From the accept of a task until it is started, which waits for its settings to come.",
        lambda sources: sources.history.start_delay,
        unit="seconds",
    ),
    Metric(
        "task_run_seconds",
        _HISTOGRAM,
        _T,
        "Run time",
        "From the start of a task to its end.",
        lambda sources: sources.history.run_time,
        unit="seconds",
    ),
    Metric(
        "task_settings_bytes",
        _COUNTER,
        _T,
        "Payload in",
        "What came with tasks: their code and their items.",
        lambda sources: {(): sources.history.settings_bytes},
        unit="bytes",
    ),
    Metric(
        "task_result_bytes",
        _COUNTER,
        _T,
        "Payload out",
        "The results of tasks.",
        lambda sources: {(): sources.history.result_bytes},
        unit="bytes",
    ),
    Metric(
        "workers",
        _GAUGE,
        _P,
        "Processes of tasks",
        "Processes that run a task, and those that wait for one.",
        _workers,
        ("use",),
    ),
    Metric(
        "worker_starts",
        _COUNTER,
        _P,
        "Starts of processes",
        "Processes that were forked for tasks.",
        lambda sources: {(): sources.runner.executor_status.workers_started},
    ),
    Metric(
        "zygote_starts",
        _COUNTER,
        _P,
        "Starts of the zygote",
        "Processes that those of tasks are forked from: 1, and one more for each that had to be replaced.",
        lambda sources: {(): sources.runner.executor_status.zygotes_started},
    ),
    Metric(
        "memory_bytes",
        _GAUGE,
        _P,
        "Memory",
        "Memory of the runner, of the zygote, and of the processes that wait for a task or run one. Only `pss` can be "
        "added up; `rss`, where the runner may not read more, counts what is shared in each process.",
        _memory,
        ("part", "measure"),
        unit="bytes",
    ),
    Metric(
        "confinement_layer",
        _GAUGE,
        _P,
        "Confinement of tasks",
        "1 for a layer that is complete, 0.5 for one that is partial, 0 for one that this machine lacks.",
        _layers,
        ("layer",),
    ),
    _counter("loop_stalls", _H, "Stalls of the event loop", Count.LOOP_STALLS),
    Metric(
        "loop_stall_seconds",
        _COUNTER,
        _H,
        "Time in stalls",
        "How long the event loop has stood still, in all of its stalls.",
        lambda sources: {(): sources.history.stall_seconds},
        unit="seconds",
    ),
    _counter("crashes", _H, "Crashes", Count.CRASHES),
    _counter("observers_failed", _H, "Exceptions of observers", Count.OBSERVERS_FAILED),
    Metric(
        "log_lines_dropped",
        _COUNTER,
        _H,
        "Dropped lines of the log",
        "Lines of the log that were left out because nobody read them in time.",
        lambda sources: {(): sources.log_lines_dropped},
    ),
    Metric(
        "uptime_seconds",
        _GAUGE,
        _H,
        "Uptime",
        "How long the runner's server has been there.",
        lambda sources: {(): sources.uptime},
        unit="seconds",
    ),
    Metric(
        "info",
        _GAUGE,
        _H,
        "Version",
        "Always 1: the version of n8n-runner, that of Python, and the id under which the broker knows the runner.",
        _info,
        ("version", "python", "runner_id"),
    ),
)


def readings(sources: Sources) -> list[tuple[Metric, Reading]]:
    """The value of every metric at this moment."""
    return [(metric, metric.read(sources)) for metric in METRICS]
