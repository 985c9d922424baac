"""A runner as the broker knows it."""

from __future__ import annotations

from typing import Protocol

import attrs

from runner.broker.limits import MAX_MISSED_WINDOWS, MAX_USED_OFFERS, SILENCE
from runner.broker.tasks import RequestedTask


class Peer(Protocol):
    """The way to one runner."""

    def send(self, frame: bytes) -> None:
        """Send a text frame. Returns at once."""

    def close(self, code: int, why: str) -> None:
        """Close the connection after what was sent before. Returns at once."""


@attrs.frozen
class Offer:
    """An open offer: for which type of task, and when it expires (infinity for never)."""

    task_type: str
    expiry: float


@attrs.define(eq=False)
class ConnectedRunner:
    """One connection of a runner, and all that the broker remembers of it.

    Parameters:
        offers: the open offers by their ids, in the order in which they came.
        used_offers: the ids of the latest offers, open or not, in the order in which they came.
        tasks: what was matched with an offer of this runner and has not ended.
        given_up: tasks that the broker has cancelled; this runner may still say one last word about each.
        missed_windows: matches in a row that were not acknowledged in time.
        silent_expiry: when a request last expired while this runner was idle and had no offer open.
    """

    runner_id: str
    peer: Peer
    types: frozenset[str] = frozenset()
    registered: bool = False
    offers: dict[str, Offer] = attrs.Factory(dict)
    used_offers: dict[str, None] = attrs.Factory(dict)
    tasks: dict[str, RequestedTask] = attrs.Factory(dict)
    given_up: set[str] = attrs.Factory(set)
    missed_windows: int = 0
    silent_expiry: float | None = None

    def use(self, offer_id: str) -> None:
        """Remember the id of an offer for as long as it may come again."""
        self.used_offers[offer_id] = None
        if len(self.used_offers) > MAX_USED_OFFERS:
            del self.used_offers[next(iter(self.used_offers))]

    def open_offers(self, now: float, task_type: str | None = None) -> list[str]:
        """The offers that are still good, of one type or of all, oldest first; the others are forgotten."""
        self.offers = {offer_id: offer for offer_id, offer in self.offers.items() if offer.expiry > now}
        return [offer_id for offer_id, offer in self.offers.items() if task_type in (None, offer.task_type)]

    def miss_window(self) -> bool:
        """A match was not acknowledged in time: all offers are void. Returns whether the runner is unresponsive."""
        self.offers.clear()
        self.missed_windows += 1
        return self.missed_windows >= MAX_MISSED_WINDOWS and not self.tasks

    def let_request_expire(self, now: float) -> bool:
        """A request has expired that this runner did not offer for. Returns whether the runner is unresponsive."""
        if not self.registered or self.tasks or self.open_offers(now):
            self.silent_expiry = None
        elif self.silent_expiry is None:
            self.silent_expiry = now
        return self.silent_expiry is not None and now - self.silent_expiry >= SILENCE
