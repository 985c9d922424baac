"""What was seen on the wire of one runner: offers, accepts, tasks and their ends, by the messages alone."""

from __future__ import annotations

from collections import Counter

import attrs
import msgspec

from runner.execution.executor import PYTHON
from runner.protocol.messages import ACKNOWLEDGEMENT_WINDOW_ELAPSED
from tests.simulation.connection import Connection
from tests.simulation.story import Story

GRACE = 0.1
"""How long after its end an offer is still honoured by the runner, in seconds."""

ROUNDING = 1e-6
"""By how much a whole number of milliseconds and a sum of floats may differ, in seconds."""


class Message(msgspec.Struct):
    """As much of any message as the ledger looks at."""

    type: str
    taskId: str = ""  # noqa: N815 - the wire's own names
    offerId: str = ""  # noqa: N815
    taskType: str = ""  # noqa: N815
    validFor: int = 0  # noqa: N815
    reason: str = ""


decode = msgspec.json.Decoder(Message).decode


@attrs.frozen
class SeenOffer:
    """An open offer: for which type, and when it ends."""

    task_type: str
    end: float


@attrs.define(eq=False)
class SeenTask:
    """A task that a runner has accepted."""

    task_id: str
    task_type: str
    connection: Connection
    ends: int = 0
    """How many terminal messages it has had."""


@attrs.define(eq=False)
class Conversation:
    """What was said on one connection. Times are when the runner said or heard it.

    Parameters:
        open: the open offers.
        asked: accepts that have not been answered, and when each came.
        types: of tasks that were matched with an open offer, the type of that.
        running: tasks that were accepted and have had no terminal message.
        uncovered: offers and tasks that have ended, and when: their slots may be without an offer for a moment.
    """

    connection: Connection
    open: dict[str, SeenOffer] = attrs.Factory(dict)
    asked: dict[str, float] = attrs.Factory(dict)
    types: dict[str, str] = attrs.Factory(dict)
    running: dict[str, SeenTask] = attrs.Factory(dict)
    uncovered: list[SeenOffer] = attrs.Factory(list)

    def prune(self, now: float) -> None:
        """Forget the offers that have ended."""
        for offer_id, offer in tuple(self.open.items()):
            if offer.end <= now:
                self.uncovered.append(self.open.pop(offer_id))

    def taken(self, task_type: str) -> int:
        """How many slots of a type have a task."""
        return sum(task.task_type == task_type for task in self.running.values())

    def offered(self, task_type: str) -> int:
        """How many slots of a type are on offer."""
        return sum(offer.task_type == task_type for offer in self.open.values())

    def covered(self, task_type: str, now: float, patience: float) -> int:
        """How many slots of a type are taken or on offer, or were until `patience` seconds ago."""
        self.prune(now)
        self.uncovered = [offer for offer in self.uncovered if offer.end > now - patience]
        lately = sum(offer.task_type == task_type for offer in self.uncovered)
        return self.offered(task_type) + self.taken(task_type) + lately


class Ledger:
    """All conversations of one runner."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self.conversation: Conversation | None = None
        """The latest."""
        self.tasks: dict[str, SeenTask] = {}
        self.accepted: Counter[str] = Counter()
        """How often each task was accepted: more than once, if somebody gives out its name again."""
        self.said: Message = Message("")
        """What the runner said last, in the conversation `spoken_on`."""

    def sent(self, connection: Connection, frame: bytes) -> None:
        """The runner says something. It is entered by `enter`, when it has been judged."""
        if self._story.is_kept:
            self._story.tell("runner", f"says on {connection.number}", frame)
        self.said = decode(frame)
        self.spoken_on = self.on(connection)

    def enter(self, now: float) -> None:
        """Enter what the runner has said."""
        message, conversation = self.said, self.spoken_on
        if message.type == "runner:taskoffer":
            end = now + message.validFor / 1000 + GRACE - ROUNDING
            conversation.open[message.offerId] = SeenOffer(message.taskType, end)
        elif message.type == "runner:taskaccepted":
            conversation.asked.pop(message.taskId, None)
            self.accepted[message.taskId] += 1
            task = self.tasks[message.taskId] = self._seen(message.taskId, conversation)
            conversation.running[message.taskId] = task
        elif message.type == "runner:taskrejected":
            conversation.asked.pop(message.taskId, None)
        elif message.type in ("runner:taskdone", "runner:taskerror"):
            task = self.tasks.setdefault(message.taskId, self._seen(message.taskId, conversation))
            task.ends += 1
            if conversation.running.pop(message.taskId, None) is not None:
                conversation.uncovered.append(SeenOffer(task.task_type, now))

    def _seen(self, task_id: str, conversation: Conversation) -> SeenTask:
        return SeenTask(task_id, conversation.types.get(task_id, PYTHON), conversation.connection)

    def delivered(self, connection: Connection, frame: bytes, now: float) -> None:
        """The runner hears something, which may be no message at all."""
        if self._story.is_kept:
            self._story.tell("runner", f"hears on {connection.number}", frame)
        try:
            message = decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        conversation = self.on(connection)
        if message.type == "broker:taskofferaccept" and message.taskId and message.offerId:
            conversation.asked[message.taskId] = now
            offer = conversation.open.pop(message.offerId, None)
            if offer is not None:
                conversation.types[message.taskId] = offer.task_type
                conversation.uncovered.append(SeenOffer(offer.task_type, now))
        elif message.type == "broker:taskcancel" and message.reason == ACKNOWLEDGEMENT_WINDOW_ELAPSED:
            conversation.uncovered += [SeenOffer(offer.task_type, now) for offer in conversation.open.values()]
            conversation.open.clear()

    def on(self, connection: Connection) -> Conversation:
        """The conversation on a connection."""
        if self.conversation is None or self.conversation.connection is not connection:
            self.conversation = Conversation(connection)
        return self.conversation
