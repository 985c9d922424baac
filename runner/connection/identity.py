"""Who a runner is to the broker: an id that no other runner may have."""

from __future__ import annotations

import logging
import random

log = logging.getLogger(__name__)


class RunnerIdentity:
    """The id that a runner connects with.

    A broker keeps one connection for an id, the latest, and closes the one before it with code 1000. Two runners
    with one id would evict each other for ever, so a generated id is given up as soon as another runner has it.
    """

    def __init__(self, configured: str, entropy: random.Random | None = None) -> None:
        """The identity of a runner whose configuration says `configured`, empty for an id that is drawn here."""
        self._generated = not configured
        self._entropy = entropy or random.SystemRandom()
        self.current = configured or self._new_id()

    def evicted(self) -> None:
        """Another connection has taken our id: take another one, if it is ours to choose."""
        if self._generated:
            self.current = self._new_id()
            log.warning("Another runner has connected with the id of this one: continuing with a new id")
        else:
            log.error(
                "Another runner has connected with the id of this one, %s, which N8N_RUNNERS_ID sets: "
                "the broker keeps only the latest of the two. Give each runner its own id, or none",
                self.current,
            )

    def _new_id(self) -> str:
        return self._entropy.randbytes(8).hex()
