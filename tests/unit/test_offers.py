"""The offer book over time: how often an idle runner has to wake up for it, and that something is always on offer."""

from __future__ import annotations

import itertools
import random

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.observe.counters import Counters
from runner.observe.observers import Observers
from runner.protocol.messages import TaskOffer
from runner.tasks.offers import GRACE, SPREAD, VALIDITY, Offers
from tests.support import ManualClock

MINUTE = 60.0


@attrs.frozen
class Made:
    """An offer as the broker has it: when it came, and until when it may be accepted."""

    id: str
    at: float
    until: float


class Slots:
    """Some slots and the book of their offers, on a clock that is turned by hand."""

    def __init__(self, count: int, seed: int) -> None:
        self.clock = ManualClock()
        self.free = count
        self.made: list[Made] = []
        self.accepted: set[str] = set()
        chance = random.Random(seed)
        self.offers = Offers(
            "python", self.clock, Counters(), Observers(lambda: None), lambda: self.free, self._send, chance
        )
        self.offers.start()

    def _send(self, offer: TaskOffer) -> None:
        assert VALIDITY * 1000 <= offer.valid_for <= (VALIDITY + SPREAD) * 1000
        now = self.clock.now()
        known = [made for made in self.made[-50:] if made.id not in self.accepted]
        assert sum(made.until + GRACE > now + 1e-9 for made in known) < self.free
        self.made.append(Made(offer.offer_id, now, now + offer.valid_for / 1000))

    def run_a_task(self, seconds: float) -> None:
        """Have the broker accept an offer that it has, and the task end after so many seconds."""
        now = self.clock.now()
        accepted = next(offer for offer in self.made if offer.id in self.offers and offer.until > now)
        assert self.offers.take(accepted.id) is None
        self.accepted.add(accepted.id)
        self.free -= 1
        self.offers.refresh()
        self.clock.pass_time(seconds)
        self.free += 1
        self.offers.refresh()

    def wakes_in(self, seconds: float) -> list[float]:
        """The moments within the next seconds in which offers are made."""
        begin = self.clock.now()
        self.clock.pass_time(seconds)
        return sorted({offer.at for offer in self.made if offer.at > begin})

    def gaps(self) -> list[tuple[float, float]]:
        """From when to when the broker has had no good offer, though no slot was taken."""
        covered, found = 0.0, []
        for offer in self.made:
            if offer.at > covered:
                found.append((covered, offer.at))
            covered = max(covered, offer.until)
        return found


SLOTS = st.integers(2, 20)
SEEDS = st.integers(0, 2**32)


@settings(deadline=None)
@given(SLOTS, SEEDS)
def test_an_idle_runner_wakes_up_twice_for_all_its_offers(count: int, seed: int) -> None:
    slots = Slots(count, seed)
    wakes = slots.wakes_in(10 * MINUTE)
    assert len(wakes) <= 2 * 10 * MINUTE / VALIDITY
    assert len(slots.offers) == count


@settings(deadline=None)
@given(SLOTS, SEEDS)
def test_something_is_on_offer_at_every_moment_of_an_idle_runner(count: int, seed: int) -> None:
    slots = Slots(count, seed)
    slots.clock.pass_time(2 * MINUTE)
    assert len(slots.made) > count
    assert slots.gaps() == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=30), SEEDS)
def test_offers_of_slots_that_were_busy_fall_into_step_again(tasks: list[float], seed: int) -> None:
    slots = Slots(5, seed)
    for seconds in tasks:
        slots.run_a_task(seconds)
        slots.clock.pass_time(seconds / 2)
    slots.clock.pass_time(10 * MINUTE)
    assert len(slots.wakes_in(MINUTE)) <= 2 * MINUTE / VALIDITY
    assert slots.gaps() == []


@settings(deadline=None)
@given(SEEDS)
def test_the_offers_of_two_runners_do_not_stay_in_step(seed: int) -> None:
    one, other = Slots(5, seed), Slots(5, seed + 1)
    assert not set(one.wakes_in(MINUTE)) & set(other.wakes_in(MINUTE))


@settings(deadline=None)
@given(SEEDS)
def test_a_single_slot_is_offered_anew_when_its_offer_is_honoured_no_more(seed: int) -> None:
    slots = Slots(1, seed)
    slots.clock.pass_time(MINUTE)
    for before, after in itertools.pairwise(slots.made):
        assert abs(after.at - before.until - GRACE) < 0.001
