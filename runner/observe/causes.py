"""Why n8n may be telling its users «Task request timed out», as far as a runner can know.

n8n has one text for whatever keeps a task from finding a runner within a minute, and says it about none of them. What
this runner sees of the causes is said in its log, once for each time, with what to do about it. The others are said
where they are found: an answer that came too late and a broker that drains in `tasks/workload.py`, an id that two
runners share in `connection/identity.py`, processes that cannot be started in `execution/sandbox/pool.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import attrs

from runner.clock import Alarm, Clock
from statemachine import ConnectionState

if TYPE_CHECKING:  # it says what a runner shows, and does nothing
    from runner.observe.observed import Observed

log = logging.getLogger(__name__)

LOOK_INTERVAL = 10.0
"""How often it is looked for causes, in seconds."""

SYMPTOM = "n8n fails nodes with «Task request timed out» after a minute of that"


@attrs.frozen
class Cause:
    """One cause.

    Parameters:
        lasts: for how long it must have been there, in seconds, until it is said.
        holds: whether it is there.
        says: what is said.
    """

    name: str
    lasts: float
    holds: Callable[[Observed], bool]
    says: Callable[[Observed], str]


def _is_down(runner: Observed) -> bool:
    return runner.state in {ConnectionState.BACKOFF, ConnectionState.CONNECTING, ConnectionState.AUTHENTICATED}


def _why_down(runner: Observed) -> str:
    why = next((entry.why for entry in reversed(runner.journal) if entry.target == "backoff" and entry.why), "")
    return (
        f"Not connected to n8n for a while{f' ({why})' if why else ''}; {SYMPTOM}. Is n8n running, with "
        "N8N_RUNNERS_MODE=external? Is its task broker (N8N_RUNNERS_BROKER_LISTEN_ADDRESS, N8N_RUNNERS_BROKER_PORT) "
        f"where N8N_RUNNERS_TASK_BROKER_URI says, {runner.config.task_broker_uri}?"
    )


CAUSES: tuple[Cause, ...] = (
    Cause("down", 30.0, _is_down, _why_down),
    Cause(
        "busy",
        30.0,
        lambda runner: runner.state is ConnectionState.LISTENING and len(runner.tasks) >= runner.slots,
        lambda runner: (
            f"All {runner.slots} slots have been busy for a while, so that further tasks wait; {SYMPTOM}. Raise "
            "N8N_RUNNERS_MAX_CONCURRENCY, or start another runner beside this one"
        ),
    ),
    Cause(
        "stuck",
        0.0,
        lambda runner: runner.state is ConnectionState.LISTENING and not runner.readiness.is_ready,
        lambda runner: (
            f"The connection is there, and yet no tasks may come by it: {'; '.join(runner.readiness.reasons)}; "
            f"{SYMPTOM}. It is renewed after N8N_RUNNERS_MAX_CONNECTION_AGE; if that does not help, restart the "
            "runner, and report it"
        ),
    ),
)
"""The causes that can be seen by looking at a runner."""


class CauseWatch:
    """Looks for the causes while the context lasts."""

    def __init__(self, runner: Observed, clock: Clock) -> None:
        """One that does not look yet."""
        self._runner = runner
        self._clock = clock
        self._alarm = Alarm(clock, self._look)
        self._since: dict[str, float] = {}
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        """Begin."""
        self._alarm.set(LOOK_INTERVAL)
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._alarm.stop()

    def _look(self) -> None:
        self._alarm.set(LOOK_INTERVAL)
        now = self._clock.now()
        for cause in CAUSES:
            if not cause.holds(self._runner):
                self._since.pop(cause.name, None)
                self._said.discard(cause.name)
            elif now - self._since.setdefault(cause.name, now) >= cause.lasts and cause.name not in self._said:
                self._said.add(cause.name)
                log.warning("%s", cause.says(self._runner))
