"""The numbers that a broker goes by; the defaults are those of n8n 2.41."""

from __future__ import annotations

import attrs

MAX_MISSED_WINDOWS = 3
MAX_DEFERRALS = 3
MAX_USED_OFFERS = 1000
MAX_QUESTIONS = 1000
"""How many questions of one task may wait for their answers."""

SILENCE = 2.0
"""A runner that is idle, offers nothing, and lets two requests expire this far apart is unresponsive, in seconds."""

UNRESPONSIVE = 1002
EVICTED = 1000
GOING_AWAY = 1001
NOT_UTF8 = 1007


@attrs.frozen(kw_only=True)
class BrokerLimits:
    """The limits of a broker; the defaults are n8n's. All in seconds, but for the last two."""

    accept_timeout: float = 2.0
    request_timeout: float = 60.0
    task_timeout: float = 300.0
    drain_timeout: float = 24.0
    heartbeat_interval: float = 30.0
    grant_token_lifetime: float = 30.0
    attempts_per_second: int = 5
    max_payload_size: int = 1024**3


@attrs.frozen
class Violation:
    """Something that a runner must not send, with the reason."""

    runner_id: str
    what: str
