"""The offer book: one offer for every free slot, each good for a few seconds, and one timer for the next expiry.

The rules, and where they come from:

- Open offers and running tasks together are never more than the slots. A slot that falls free is offered at once.
- `validFor` is a whole number of milliseconds (n8n breaks on a fraction), spread over half a second so that the
  offers of many runners do not expire in step. We honour an offer for a moment longer than we said, because an
  accept may be on its way.
- The offers of one runner do expire in step, in two halves: an idle runner wakes up for each half, not for each slot.
  Those of slots that were busy meanwhile come round a little faster, until they meet a half that lacks them.
  From the end of an offer to the end of that moment its slot is not on offer, and never are all of them in that state.
- A broker that gave up waiting for our answer to an accept throws away *all* our offers without saying so, other
  than by the reason of the `broker:taskcancel`. The book is then emptied and everything is offered afresh. Where
  several accepts were missed, as many cancels come in a row, and what it threw away is what it had before the first:
  no cancel is followed by offers until all that came with it has been heard, or the broker would hold too many.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import attrs

from runner.clock import Alarm, Clock
from runner.observe.counters import Count, Counters
from runner.observe.observers import Observers
from runner.protocol.messages import RejectReason, TaskOffer

VALIDITY = 5.0
"""How long an offer is good for at least, in seconds."""

SPREAD = 0.5
"""By how much the validity of offers varies, in seconds."""

ID_BITS = 64

GRACE = 0.1
"""How long after its end an offer is still honoured, in seconds."""


@attrs.frozen
class _Open:
    """One open offer: when it was made, until when the broker may accept it, and until when that is honoured."""

    made: float
    end: float
    deadline: float


class Offers:
    """The open offers of one task type."""

    def __init__(
        self,
        task_type: str,
        clock: Clock,
        counters: Counters,
        observers: Observers,
        free_slots: Callable[[], int],
        send: Callable[[TaskOffer], None],
        entropy: random.Random,
    ) -> None:
        """A closed book.

        Parameters:
            free_slots: how many slots no task holds, at this moment.
            send: sends an offer.
            entropy: for the ids and the spread.
        """
        self._task_type = task_type
        self._clock = clock
        self._counters = counters
        self._observers = observers
        self._free_slots = free_slots
        self._send = send
        self._entropy = entropy
        self._open: dict[str, _Open] = {}
        self._alarm = Alarm(clock, self._expire)
        self._making = False
        self._holding = False
        self._covered_at = 0.0

    def __len__(self) -> int:
        """How many offers are open."""
        return len(self._open)

    def __contains__(self, offer_id: object) -> bool:
        """Whether an offer is open, or has expired and has yet to be dropped."""
        return offer_id in self._open

    @property
    def missing_for(self) -> float:
        """How long there has been a free slot without an offer, in seconds; 0 when there is none."""
        now = self._clock.now()
        ended = [offer.deadline for offer in self._open.values() if offer.deadline <= now]
        if self._free_slots() <= len(self._open) - len(ended):
            return 0.0
        return now - max([self._covered_at, *ended])

    def start(self) -> None:
        """Begin to offer every free slot."""
        self._making = True
        self._covered_at = self._clock.now()
        self.refresh()

    def stop(self) -> None:
        """Make no more offers, and forget the open ones."""
        self._making = False
        self._holding = False
        self._open.clear()
        self._alarm.stop()

    def forget(self) -> None:
        """The broker has thrown our offers away: do the same, and offer every free slot afresh in a moment."""
        self._counters.add(Count.OFFERS_FORGOTTEN, len(self._open))
        self._open.clear()
        self.hold()

    def hold(self) -> None:
        """Make no offers until all that the broker has said so far has been heard, and then those that are missing."""
        if self._making:
            self._holding = True
            self._alarm.set(0.0)

    def refresh(self) -> None:
        """Offer the slots that are free and not yet offered."""
        if self._holding:
            return  # the alarm is about to ring
        if self._making:
            missing = self._free_slots() - len(self._open)
            for _ in range(missing):
                self._offer()
            if missing > 0:
                self._set_alarm()
            self._covered_at = self._clock.now()

    def take(self, offer_id: str) -> str | None:
        """Use an offer up. Returns None if its slot may be taken, else the reason why not, as n8n knows it."""
        now = self._clock.now()
        offer = self._open.pop(offer_id, None)
        if offer is None or offer.deadline < now:
            return RejectReason.OFFER_EXPIRED
        if self._free_slots() < 1:
            return RejectReason.NO_SLOTS
        self._observers.offer_accepted(offer_id, now - offer.made)
        return None

    def _offer(self) -> None:
        drawn = self._entropy.getrandbits(ID_BITS)  # for both, as the kernel has to be asked each time
        offer_id = f"{drawn:016x}"
        now = self._clock.now()
        end = self._end_of_next(now, drawn / 2**ID_BITS)
        self._open[offer_id] = _Open(now, end, end + GRACE)
        self._counters.add(Count.OFFERS_MADE)
        # cut off, or it would be good for longer than it counts as open here; but not what floats have made 4999.999...
        self._send(TaskOffer(offer_id, self._task_type, int((end - now) * 1000 + 1e-6)))

    def _end_of_next(self, now: float, chance: float) -> float:
        """Until when the next offer is good: as long as some others, if it can be; else far from where others end."""
        first, last = now + VALIDITY, now + VALIDITY + SPREAD
        half = (self._free_slots() + 1) // 2
        together = Counter([offer.end for offer in self._open.values()])
        near = [end for end in together if end > first - SPREAD / 2]
        for end in near:
            if end >= first and together[end] < half:
                return end
        for end in near:
            if end < first + SPREAD / 2:
                return last - (last - max(end, first)) * chance / 3
            return first + (end - first) * chance / 3
        fewer = max(together.values(), default=0) - (self._free_slots() - len(self._open))
        if fewer > 0:
            return first + SPREAD * chance / 3
        return last - SPREAD * chance / 3 if fewer < 0 else first + SPREAD * chance

    def _set_alarm(self) -> None:
        """Look again when the next offer expires; should it be taken before, there is nothing to see then."""
        if not self._open:
            self._alarm.stop()
            return
        next_deadline = min(offer.deadline for offer in self._open.values())
        self._alarm.set(max(0.0, next_deadline - self._clock.now()))

    def _expire(self) -> None:
        """Drop what has expired, and offer those slots again."""
        self._holding = False
        now = self._clock.now()
        for offer_id in [offer_id for offer_id, offer in self._open.items() if offer.deadline <= now]:
            del self._open[offer_id]
            self._counters.add(Count.OFFERS_EXPIRED)
        self.refresh()
        self._set_alarm()
