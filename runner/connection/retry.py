"""When the next attempt to connect is made: after a failure or a loss, and when a connection has grown old."""

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


AGE_SPREAD = 0.1
"""By how much the greatest age of connections varies, in parts of it."""


def greatest_age(configured: float, entropy: random.Random) -> float:
    """How old this connection may become, in seconds: a little less than `configured`, drawn for each.

    The runners of a broker that has restarted have all connected at about the same time.
    """
    return configured * (1 - AGE_SPREAD * entropy.random())
