"""A worker: forked by the zygote, confined, given one task, and gone when that has been answered.

A process that was just forked pays for each object that it uses, as a page of memory to be copied. So what stands on
the way of every task is plain: few and long functions, no context managers, no objects for the sake of it.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import sys
from typing import Any, NamedTuple

from runner.execution.sandbox import wire
from runner.execution.sandbox.child.explaining import Surroundings, failure_of
from runner.execution.sandbox.child.failures import Failure
from runner.execution.sandbox.child.fresh import renew, shares_random
from runner.execution.sandbox.child.given.provider import Provider
from runner.execution.sandbox.child.given.records import recorded
from runner.execution.sandbox.child.printing import Printer
from runner.execution.sandbox.child.task import MODES, Settings, Task, read_settings
from runner.execution.sandbox.child.user_code import (
    SOURCE,
    Compiled,
    UserCode,
    compiled,
    from_bytes,
    offer_source,
    to_bytes,
)
from runner.execution.sandbox.child.writing import ResultWriter
from runner.execution.sandbox.language.imports import is_allowed
from runner.execution.sandbox.language.namespace import restricted_builtins
from runner.execution.sandbox.language.policy import Policy

LARGE = 65536
"""From how many bytes on the settings of a task are read quickly if they can be, and are more than garbage collection
should look through."""


class Terms(NamedTuple):
    """What holds for all tasks of a zygote, worked out once."""

    policy: Policy
    builtins: dict[str, Any]
    around: Surroundings
    max_prints: int
    may_import_asyncio: bool

    @classmethod
    def of(cls, policy: Policy, around: Surroundings, max_prints: int) -> Terms:
        """The terms of a policy and of the walls around."""
        names = restricted_builtins(policy)
        return cls(policy, names, around, max_prints, is_allowed("asyncio", policy))


class Worker:
    """The one task of a process. Made before that is forked, as all that can be is."""

    def __init__(self, descriptor: int, terms: Terms) -> None:
        """A worker that will be spoken with at `descriptor`. From here on, `print` is the task's."""
        self._task = wire.FrameReader(descriptor)
        self._stdout = sys.stdout
        self._policy, self._builtins, self._around, max_prints, self._may_import_asyncio = terms
        self._line = wire.Line(descriptor)
        self._printer = Printer(self._line, max_prints)
        self._writer = ResultWriter(self._line.post)
        self._shares_random = shares_random()
        offer_source()
        builtins.print = self._printer
        if "print" in terms.builtins:  # or else it is denied
            terms.builtins["print"] = self._printer

    def take_one(self) -> None:
        """Take one task and answer it, if the runner is still there and the code has not closed the line."""
        self._line.claim()
        try:
            payload = self._task.read()
            if self._shares_random:
                renew()
            failure = self._answer(payload)
            if sys.stdout is not self._stdout:
                _flush(sys.stdout)
            last = self._writer.last_parts() if failure is None else [(wire.ERROR, failure.report())]
            if self._printer.omitted:
                last.insert(0, self._printer.last())
            self._line.conclude(last)
        except (EOFError, OSError):
            pass

    def _answer(self, payload: memoryview) -> Failure | None:
        """Run the task that is described by `payload`; why there is no result, if there is none."""
        try:
            known = wire.NUMBER.unpack_from(payload)[0]
            start = wire.NUMBER.size + known
            ready = from_bytes(payload[wire.NUMBER.size : start]) if known else None
            needs = None if ready is None else ready[3]
            given = payload[start:]
            payload.release()
            is_large = len(given) > LARGE
            settings = read_settings(given, as_records=needs is not None and needs.records, is_large=is_large)
            if is_large:
                gc.freeze()  # there is no garbage in it, and a collector that looks for some takes longer than to read
            SOURCE.text = settings["code"]
            if ready is None:
                ready = self._compiled(settings)
                needs = ready[3]
            gc.enable()
            code = UserCode(ready, self._builtins, self._may_import_asyncio)
            provider = Provider(self._line, needs, settings) if needs is not None and needs.names else None
            Task(settings, code, self._writer, self._around, provider).run()
        except Failure as failure:
            return failure
        except BaseException as error:  # noqa: BLE001 - such as what a signal handler of the code raises after its end
            return failure_of(error, self._around)
        return None

    def _compiled(self, settings: Settings) -> Compiled:
        """The code, compiled here; the runner keeps it for the next worker. Its items become as it needs them.

        It is told even if it is too long to be sent, so that nothing that the code says is taken for it.
        """
        ready = compiled(settings["code"], MODES[settings["nodeMode"]][0], self._policy)
        document = to_bytes(ready)
        self._line.send(wire.COMPILED, document if len(document) <= wire.COMPILED_LIMIT else b"")
        needs = ready[3]
        if needs is not None and needs.records:
            settings["items"] = recorded(settings["items"])
        return ready


def _flush(file: Any) -> None:
    """Write what is held back, by something that the code has put in the place of a file that holds nothing back."""
    with contextlib.suppress(Exception):
        file.flush()
