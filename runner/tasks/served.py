"""One task type that a runner serves: who runs its tasks, how many at a time, and its offers."""

from __future__ import annotations

import random
from collections.abc import Callable

from runner.clock import Clock
from runner.execution.executor import Elastic, Executor, Limited
from runner.observe.counters import Counters
from runner.observe.observers import Observers
from runner.protocol.messages import TaskOffer
from runner.tasks.offers import Offers


class ServedType:
    """The slots of one type: open offers and running tasks of a type together are never more than they."""

    def __init__(
        self,
        name: str,
        executor: Executor,
        max_concurrency: int,
        clock: Clock,
        counters: Counters,
        observers: Observers,
        send: Callable[[TaskOffer], None],
        entropy: random.Random,
    ) -> None:
        """A type without tasks and without offers.

        Parameters:
            max_concurrency: how many tasks may run at a time, unless the executor says so itself.
            send: sends an offer.
            entropy: for the offers.
        """
        self.name = name
        self.executor = executor
        self.running = 0
        """How many of its slots are taken."""
        self._limited = executor if isinstance(executor, Limited) else None
        self._max_concurrency = max_concurrency
        self.offers = Offers(name, clock, counters, observers, self._free_slots, send, entropy)
        if isinstance(executor, Elastic):
            executor.watch(self.offers.refresh)

    @property
    def slots(self) -> int:
        """How many of its tasks may run at the same time, at this moment."""
        concurrency = None if self._limited is None else self._limited.concurrency
        return self._max_concurrency if concurrency is None else concurrency

    def _free_slots(self) -> int:
        return self.slots - self.running
