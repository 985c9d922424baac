"""Whether a runner is ready, which is the truth of its channel and not of its process.

A process that answers proves nothing: users of n8n have had runners for days whose process was alive and whose
connection was dead. So a runner is ready while it listens, while something is heard of the broker, and while every
free slot is on offer.
"""

from __future__ import annotations

import attrs

from statemachine import ConnectionState

SILENT_INTERVALS = 2
"""After how many heartbeat intervals without a sign of life the broker counts as silent."""

OFFER_PATIENCE = 1.0
"""How long a free slot may be without an offer, in seconds."""


@attrs.frozen
class Readiness:
    """Whether a runner can be given tasks at this moment.

    Parameters:
        reasons: why it cannot, a sentence each; empty if it can.
    """

    reasons: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def readiness_of(
    state: ConnectionState, *, why: str, silent_for: float, heartbeat_interval: float, offers_missing_for: float
) -> Readiness:
    """Judge a channel.

    Parameters:
        state: where the connection stands.
        why: how it came there.
        silent_for: how long nothing has been heard of the broker, in seconds.
        heartbeat_interval: how often something should be heard of it, in seconds.
        offers_missing_for: how long a free slot has been without an offer, in seconds.
    """
    if state is not ConnectionState.LISTENING:
        return Readiness((f"The connection is in {state.value}, not in listening" + (f": {why}" if why else ""),))
    reasons = []
    if silent_for > SILENT_INTERVALS * heartbeat_interval:
        expected = f"something should be heard every {heartbeat_interval:g} s"
        reasons.append(f"The broker has been silent for {silent_for:.0f} s; {expected}")
    if offers_missing_for > OFFER_PATIENCE:
        reasons.append(f"A free slot has not been offered for {offers_missing_for:.0f} s")
    return Readiness(tuple(reasons))
