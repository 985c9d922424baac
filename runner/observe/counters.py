"""What a runner counts, declared once. The counts are plain numbers that anybody may read at any time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum


class Count(Enum):
    """One thing that is counted; the value of a member is its meaning."""

    CONNECTIONS_LOST = "Connections that were lost after they had been authenticated."
    CONNECTIONS_UNREACHABLE = "Attempts to connect that failed, refusals apart."
    MESSAGES_MALFORMED = "Messages of the broker that could not be understood; they change nothing."
    MESSAGES_UNKNOWN = "Messages of the broker of a type that this version does not know."
    SENDS_DROPPED = "Messages that were not sent because their connection was gone."
    OFFERS_MADE = "Offers sent."
    OFFERS_EXPIRED = "Offers that nobody accepted in time."
    OFFERS_FORGOTTEN = "Offers given up because the broker had thrown them away."
    TASKS_ACCEPTED = "Tasks taken."
    TASKS_REJECTED = "Tasks not taken: offer expired, no slot, or shutting down."
    TASKS_DONE = "Tasks that ended with a result."
    TASKS_FAILED = "Tasks that ended with an error of their own."
    TASKS_CANCELLED = "Tasks that the broker cancelled."
    TASKS_TIMED_OUT = "Tasks that were killed because of the task timeout, or whose settings never came."
    TASKS_KILLED = "Tasks that were killed because the runner was told to stop."
    TASKS_LOST = "Tasks that were killed because their connection was lost."
    LOOP_STALLS = "Times that the event loop stood still for more than half a second, where it is watched."
    OBSERVERS_FAILED = "Exceptions that observers raised; they harm nothing else."
    CRASHES = "Exceptions that nothing handled: each one is a bug in n8n-runner or in an executor."


class Counters(Mapping[Count, int]):
    """The counts since the beginning."""

    def __init__(self) -> None:
        """All at zero."""
        self._counts = dict.fromkeys(Count, 0)

    def add(self, count: Count, amount: int = 1) -> None:
        """Count `amount` more."""
        self._counts[count] += amount

    def __getitem__(self, count: Count) -> int:
        return self._counts[count]

    def __iter__(self) -> Iterator[Count]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)
