"""What is drawn before a simulation begins: how long it is, how the runner is configured, and how bad the world is."""

from __future__ import annotations

import random
from enum import Enum
from typing import TypeVar

import attrs

from runner.execution.executor import PYTHON

T = TypeVar("T")

OTHER = "other"
"""The second type of tasks."""

AUTH_TOKEN = "auth-token-of-the-simulation"


class Trouble(Enum):
    """What can be done to a runner; the value says what it is. A summary counts each of them."""

    # While it connects
    ANSWER_401 = "an answer of 401 to the token exchange or the upgrade"
    ANSWER_403 = "an answer of 403"
    ANSWER_404 = "an answer of 404"
    ANSWER_429 = "an answer of 429"
    ANSWER_500 = "an answer of 500"
    ANSWER_503 = "an answer of 503"
    NO_ANSWER = "no answer at all, until the timeout"
    TOKEN_EXPIRED = "a grant token that expires on its way"
    TOKEN_USED = "a grant token that was used before"
    NO_TOKEN = "an answer to the token exchange without a token in it"
    # On the way of a message
    LOSE = "a message that never arrives"
    DUPLICATE = "a message that arrives twice"
    DELAY = "a message that arrives late, others before it"
    SLOW = "a spell of slowness: seconds each way"
    CHAOS = "a spell in which any message may be lost, doubled or late"
    STALL = "a connection that takes nothing from the runner for a while"
    # The end of a connection
    RESET = "a connection that breaks off"
    HALF_OPEN = "a connection on which nothing arrives any more, and nobody is told"
    DEAF_BROKER = "a connection on which nothing arrives at the broker any more"
    DEAF_RUNNER = "a connection on which nothing arrives at the runner any more"
    HANG_UP = "a close frame of the broker, with any code"
    EVICTION = "a second runner with the same id"
    # What the broker says
    UNKNOWN_MESSAGE = "a message of a type that is not in the protocol"
    MALFORMED_MESSAGE = "a message that is none"
    BINARY_MESSAGE = "a binary frame"
    STRAY_MESSAGE = "a message about a task or an offer that is not there"
    INFO_AGAIN = "the broker's question for the runner's info, once more"
    REGISTERED_AGAIN = "the registration, once more"
    CANCEL = "a task that its requester gives up"
    # The broker
    BROKER_KILLED = "a broker that is killed, and started again"
    BROKER_VANISHED = "a broker whose machine is gone without a word"
    BROKER_DRAINED = "a broker that drains, goes, and is started again"
    # The owner of the runner
    STOP = "stop()"
    STOP_WHILE_STARTING = "stop() while the runner starts"
    STOP_TWICE = "stop(), twice at the same time"
    STOP_AGAIN = "stop() of a runner that is stopped"
    REQUEST_STOP = "request_stop(), as from a signal handler"
    CANCEL_START = "start() is cancelled"
    LOST_WHILE_STOPPING = "a connection that breaks off while the runner stops"
    START_TWICE = "start() of a runner that runs"
    RESTART = "start() after stop()"
    # The executor
    EXECUTOR_NOT_READY = "an executor that cannot start"
    EXECUTOR_RAISES = "an executor that raises what it must not"
    EXECUTOR_RETURNS_WRONG = "an executor that returns what it must not"
    EXECUTOR_STUCK_CLOSING = "an executor that cannot close"


@attrs.frozen(kw_only=True)
class Plan:
    """All that is decided before a simulation begins. Times are in seconds.

    Parameters:
        trouble_interval: between one trouble and the next, on average; 0 for none.
        request_interval: between one request and the next, on average.
        latency: one way, at least; `jitter` is how much more it may be, as a factor.
        run_length: between one decision of the owner and the next, on average.
        other_slots: of a second type of tasks, which a coroutine function runs; 0 when only Python is served.
    """

    duration: float
    slots: int
    other_slots: int
    by_auth_token: bool
    fixed_id: bool
    task_timeout: float
    graceful_timeout: float
    idle_timeout: float
    heartbeat_interval: float
    retry_spread: float
    token_lifetime: float
    trouble_interval: float
    request_interval: float
    latency: float
    jitter: float
    run_length: float
    executor_time: float
    connection_age: float

    @property
    def slots_of(self) -> dict[str, int]:
        """The types that are served, with the slots of each."""
        return {PYTHON: self.slots} | ({OTHER: self.other_slots} if self.other_slots else {})


def drawn_plan(entropy: random.Random, hours: float | None = None) -> Plan:
    """A plan for one simulation; unless `hours` are given, its length is drawn as well, minutes to hours."""
    spread_out = log_uniform(entropy, 120, 4 * 3600)  # drawn in any case: what follows is the same then
    return Plan(
        duration=spread_out if hours is None else hours * 3600,
        slots=weighted(entropy, {1: 6, 2: 4, 3: 2, 5: 1, 10: 0.3}),
        by_auth_token=entropy.random() < 0.85,
        fixed_id=entropy.random() < 0.3,
        task_timeout=weighted(entropy, {60: 4, 10: 3, 2.5: 2}),
        graceful_timeout=weighted(entropy, {10: 4, 3: 2, 0.5: 1, 0: 1}),
        idle_timeout=weighted(entropy, {0: 6, 15: 0.5, 90: 1, 600: 1}),
        heartbeat_interval=weighted(entropy, {30: 4, 10: 1, 5: 1}),
        retry_spread=weighted(entropy, {0: 5, 3: 1, 30: 1}),
        token_lifetime=weighted(entropy, {30: 5, 0.1: 1}),
        trouble_interval=0 if entropy.random() < 0.1 else log_uniform(entropy, 20, 1800),
        request_interval=log_uniform(entropy, 8, 900),
        latency=log_uniform(entropy, 0.0002, 0.2),
        jitter=entropy.random() * 2,
        run_length=log_uniform(entropy, 120, 7200),
        executor_time=weighted(entropy, {0: 2, 0.01: 3, 2: 1, 20: 0.5}),
        connection_age=weighted(entropy, {3600: 4, 300: 1, 30: 1, 0: 1}),
        other_slots=weighted(entropy, {0: 4, 1: 2, 2: 1, 4: 0.5}),
    )


def weighted(entropy: random.Random, choices: dict[T, float]) -> T:
    """One of the keys, each as likely as its weight says."""
    return entropy.choices(list(choices), list(choices.values()))[0]


def log_uniform(entropy: random.Random, low: float, high: float) -> float:
    """A number between two others, all orders of magnitude alike."""
    drawn: float = low * (high / low) ** entropy.random()
    return drawn
