"""Questions to n8n, from any thread of the code: each waits for its own answer. Runs in the child."""

from __future__ import annotations

import _thread
import json
from collections.abc import Sequence
from typing import Any

from runner.execution.sandbox import parts, wire
from runner.execution.sandbox.child.failures import BadResult
from runner.execution.sandbox.child.given.buffers import Params
from runner.execution.sandbox.child.writing import ResultWriter

GONE = "n8n is not there any more"


class N8nError(RuntimeError):
    """n8n did not do what the code has asked for. The text is n8n's own; so is `description`, if there is one."""

    def __init__(self, message: str, description: str | None = None) -> None:
        """An error in n8n's words."""
        super().__init__(message)
        self.description = description


class Asking:
    """Asks n8n, along the line of the task."""

    def __init__(self, line: wire.Line) -> None:
        """Nothing is asked yet."""
        self._line = line
        self._asked = 0
        self._writing = _thread.allocate_lock()
        self._reading = _thread.allocate_lock()
        self._waiting: dict[int, _Waiting] = {}

    def call(self, function: str, arguments: Sequence[Any]) -> bytearray:
        """What a function of n8n's returns, as JSON.

        Raises:
            N8nError: it refuses; its words are in the error.
            TypeError, ValueError: the arguments cannot be sent.
        """
        return self._ask(f"helpers.{function}", arguments, f"What {function} was given")

    def data(self, wanted: dict[str, Any]) -> bytearray:
        """What n8n knows of the execution, as JSON. Raises what `call` does."""
        return self._ask(wire.DATA, wanted, "What was asked for")

    def leave(self, name: str, what: Any, called: str) -> None:
        """Leave something behind with n8n.

        Parameters:
            called: how errors name it.

        Raises:
            ValueError: it cannot be sent.
        """
        with self._writing:
            self._write(what, called)
            self._line.send(wire.LEAVES, name.encode("ascii"))

    def _ask(self, subject: str, what: Any, called: str) -> bytearray:
        if not self._line.is_ours():
            raise N8nError("Only the process of the task itself can ask n8n, not one that it has started")
        with self._writing:
            self._write(what, called)
            self._asked = number = (self._asked + 1) % (1 << 32)
            waiting = self._waiting[number] = _Waiting()
            self._line.send(wire.QUESTION, wire.NUMBER.pack(number) + subject.encode("ascii"))
        try:
            return self._answer(waiting)
        finally:
            del self._waiting[number]

    def _write(self, what: Any, called: str) -> None:
        """Send the parts of something. If that fails, those that have been sent are taken back."""
        sender = _Sender(self._line, called)
        writer = Params(sender.send) if isinstance(what, list | tuple) else ResultWriter(sender.send)
        try:
            writer.write(what)
            writer.end()
        except BadResult as refused:
            writer.restart()
            raise ValueError(f"{called} cannot be sent to n8n: {refused.message}") from None
        except BaseException:
            writer.restart()
            raise

    def _answer(self, waiting: _Waiting) -> bytearray:
        """Wait for an answer. Of all threads that wait, one reads for all."""
        while waiting.answer is None:
            if self._reading.acquire(blocking=False):
                try:
                    self._read()
                finally:
                    self._reading.release()
                    for each in list(self._waiting.values()):
                        each.wake()
            else:
                waiting.sleep()
        is_refused, answer = waiting.answer
        if not is_refused:
            return answer
        error = json.loads(answer)
        raise N8nError(error["message"], error["description"])

    def _read(self) -> None:
        try:
            frame = self._line.receive()
        except (EOFError, OSError):
            raise N8nError(GONE) from None
        if frame is None:
            return
        number, is_refused = wire.ANSWERED.unpack_from(frame[1])
        waiting = self._waiting.get(number)
        if waiting is not None:  # or else whoever asked was interrupted
            del frame[1][: wire.ANSWERED.size]
            waiting.answer = (is_refused, frame[1])


class _Waiting:
    """A question whose answer is waited for."""

    def __init__(self) -> None:
        self.answer: tuple[bool, bytearray] | None = None
        self._asleep = _thread.allocate_lock()
        self._asleep.acquire()

    def sleep(self) -> None:
        """Wait until somebody who has read wakes everybody: there may be an answer, or a need for another reader."""
        self._asleep.acquire()

    def wake(self) -> None:
        """Let it look."""
        if self._asleep.locked():
            self._asleep.release()


class _Sender:
    """Sends parts, not more of them than the runner takes."""

    def __init__(self, line: wire.Line, called: str) -> None:
        self._line = line
        self._left = wire.QUESTION_LIMIT
        self._called = called

    def send(self, kind: int, payload: bytes) -> None:
        """Send a part."""
        self._left -= 1 + len(payload)
        if self._left < 0 and kind != parts.DROP:
            raise ValueError(
                f"{self._called} is too large: more than {wire.QUESTION_LIMIT} bytes would have to be sent"
            )
        self._line.send(wire.PART, bytes((kind,)) + payload)
