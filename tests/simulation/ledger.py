"""What was seen on the wire of one runner: offers, accepts, tasks and their ends, by the messages alone."""

from __future__ import annotations

import attrs
import msgspec

from runner.protocol.messages import ACKNOWLEDGEMENT_WINDOW_ELAPSED
from tests.simulation.connection import Connection
from tests.simulation.story import Story

GRACE = 0.1
"""How long after its end an offer is still honoured by the runner, in seconds."""


class Message(msgspec.Struct):
    """As much of any message as the ledger looks at."""

    type: str
    taskId: str = ""  # noqa: N815 - the wire's own names
    offerId: str = ""  # noqa: N815
    validFor: int = 0  # noqa: N815
    reason: str = ""


decode = msgspec.json.Decoder(Message).decode


@attrs.define(eq=False)
class SeenTask:
    """A task that a runner has accepted."""

    task_id: str
    connection: Connection
    ends: int = 0
    """How many terminal messages it has had."""


@attrs.define(eq=False)
class Conversation:
    """What was said on one connection. Times are when the runner said or heard it.

    Parameters:
        open: the open offers, and when each ends.
        asked: accepts that have not been answered, and when each came.
        running: tasks that were accepted and have had no terminal message.
        uncovered: of offers and tasks that have ended, when: their slots may be without an offer for a moment.
    """

    connection: Connection
    open: dict[str, float] = attrs.Factory(dict)
    asked: dict[str, float] = attrs.Factory(dict)
    running: dict[str, SeenTask] = attrs.Factory(dict)
    uncovered: list[float] = attrs.Factory(list)

    def prune(self, now: float) -> None:
        """Forget the offers that have ended."""
        for offer_id, end in tuple(self.open.items()):
            if end <= now:
                del self.open[offer_id]
                self.uncovered.append(end)

    def covered(self, now: float, patience: float) -> int:
        """How many slots are taken or on offer, or were until `patience` seconds ago."""
        self.prune(now)
        self.uncovered = [end for end in self.uncovered if end > now - patience]
        return len(self.open) + len(self.running) + len(self.uncovered)


class Ledger:
    """All conversations of one runner."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self.conversation: Conversation | None = None
        """The latest."""
        self.tasks: dict[str, SeenTask] = {}
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
        connection = conversation.connection
        if message.type == "runner:taskoffer":
            conversation.open[message.offerId] = now + message.validFor / 1000 + GRACE
        elif message.type == "runner:taskaccepted":
            conversation.asked.pop(message.taskId, None)
            task = self.tasks[message.taskId] = SeenTask(message.taskId, connection)
            conversation.running[message.taskId] = task
        elif message.type == "runner:taskrejected":
            conversation.asked.pop(message.taskId, None)
        elif message.type in ("runner:taskdone", "runner:taskerror"):
            task = self.tasks.setdefault(message.taskId, SeenTask(message.taskId, connection))
            task.ends += 1
            if conversation.running.pop(message.taskId, None) is not None:
                conversation.uncovered.append(now)

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
            if conversation.open.pop(message.offerId, None) is not None:
                conversation.uncovered.append(now)
        elif message.type == "broker:taskcancel" and message.reason == ACKNOWLEDGEMENT_WINDOW_ELAPSED:
            conversation.uncovered += [now] * len(conversation.open)
            conversation.open.clear()

    def on(self, connection: Connection) -> Conversation:
        """The conversation on a connection."""
        if self.conversation is None or self.conversation.connection is not connection:
            self.conversation = Conversation(connection)
        return self.conversation
