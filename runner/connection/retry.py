"""How long a runner waits between a failure to connect, or a lost connection, and the next attempt."""

from __future__ import annotations

import random

RETRY_DELAY = 5.0
"""The least time before the next attempt, in seconds; unless a spread is configured, it is always this."""


def retry_delay(spread: float, entropy: random.Random) -> float:
    """How long to wait this time, in seconds: evenly drawn from 5 to 5 + `spread`, afresh for each attempt.

    A broker that restarts loses all its runners at once, and takes a few connections a second. Runners that come back
    in step are sent away in step, so each draws for itself, and again each time.
    """
    return RETRY_DELAY + spread * entropy.random()
