"""One task: its settings read, its code run in the mode that they name, and its result written. Runs in the child."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Callable
from typing import Any

from runner.execution.sandbox.child import quick, results
from runner.execution.sandbox.child.explaining import Surroundings, failure_of
from runner.execution.sandbox.child.failures import BadSettings, Failure
from runner.execution.sandbox.child.given.provider import Provider
from runner.execution.sandbox.child.given.records import Record
from runner.execution.sandbox.child.user_code import UserCode
from runner.execution.sandbox.child.writing import ResultWriter

Settings = dict[str, Any]

_DECODER = json.JSONDecoder()

TOGETHER = 64
"""How many outputs of single items are written together, if they are small."""

MANY = 64
"""From how many items on it takes a while to let go of them."""

_kept: list[Any] = []
"""What is not let go of, since all of it goes at once when this process ends."""


class Task:
    """A task that is ready to run."""

    def __init__(
        self,
        settings: Settings,
        code: UserCode,
        writer: ResultWriter,
        around: Surroundings,
        provider: Provider | None = None,
    ) -> None:
        """The task that `settings` describe.

        Parameters:
            writer: where its result goes.
            provider: gives the code what it needs beside its items, if it needs more.
        """
        self._settings = settings
        self._query = settings.get("query")
        self._code = code
        self._writer = writer
        self._around = around
        self._provider = provider
        self._continues_on_fail = settings.get("continueOnFail") is True
        if len(settings["items"]) > MANY:
            _kept.append(settings)

    def run(self) -> None:
        """Run the code, and write the result up to its end, which is for the worker to write.

        Raises:
            Failure: there is no result.
        """
        MODES[self._settings["nodeMode"]][1](self)
        if self._provider is not None:
            try:
                self._provider.leave()
            except BaseException as error:  # noqa: BLE001 - it writes what the code has noted, whatever that is
                raise self._told_to_users(error) from None

    def run_for_all(self) -> None:
        """Run the code once, with all items."""
        is_tool = "query" in self._settings
        convert = results.of_tool if is_tool else results.of_all_items
        try:
            returned = self._code.run(self._given("_items", self._settings["items"], 0))
            gc.disable()  # nothing is kept that could become garbage
            if type(returned) is list and len(returned) > MANY:
                _kept.append(returned)
            self._writer.write(convert(returned))
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is the user's to see
            failure = self._told_to_users(error)
            if not self._continues_on_fail:
                raise failure from None
            self._writer.restart()
            self._writer.write(failure.message if is_tool else [results.error_item(failure.message)])

    def run_for_each(self) -> None:
        """Run the code once for each item."""
        self._writer.open_list()
        run, given, as_item = self._code.run_often(), self._given, results.of_one_item
        outputs: list[Any] = []
        indexes: list[int] = []
        for index, item in enumerate(self._settings["items"]):
            try:
                output = as_item(run(given("_item", item, index)), index)
            except BaseException as error:  # noqa: BLE001 - whatever user code raises is the user's to see
                self._write_all(outputs, indexes)  # an earlier one may be why the task fails
                output = self._failed_item(error, index)
            if output is not None:
                outputs.append(output)
                indexes.append(index)
                if len(outputs) == TOGETHER:
                    self._write_all(outputs, indexes)
        self._write_all(outputs, indexes)
        self._writer.close_list()

    def _write_all(self, outputs: list[Any], indexes: list[int]) -> None:
        """Write the outputs of some items: together if that can be, else one by one, to see which cannot be written."""
        is_written = False
        with contextlib.suppress(BaseException):
            is_written = self._writer.items(outputs)
        if not is_written:
            for output, index in zip(outputs, indexes, strict=True):
                try:
                    self._writer.item(output)
                except BaseException as error:  # noqa: BLE001 - such as what a method of the output raises
                    self._writer.item(self._failed_item(error, index))
        outputs.clear()
        indexes.clear()

    def _failed_item(self, error: BaseException, index: int) -> dict[str, Any]:
        """What stands for item `index`, if the node goes on when something fails.

        Raises:
            Failure: it does not.
        """
        failure = self._told_to_users(error)
        if not self._continues_on_fail:
            failure.item_index = index
            raise failure from None
        return results.error_item(failure.message, index)

    def _given(self, name: str, value: Any, index: int) -> dict[str, Any]:
        """What the code finds: its input, the query if it is a tool, and what else it needs."""
        given = {name: value, "_query": self._query}
        return given if self._provider is None else {**given, **self._provider.given(index)}

    def _told_to_users(self, error: BaseException) -> Failure:
        """What the user is told of whatever the code raises; so may what it returned, in a `__str__` for instance."""
        return error if isinstance(error, Failure) else failure_of(error, self._around)


MODES: dict[str, tuple[tuple[str, ...], Callable[[Task], None]]] = {
    "runOnceForAllItems": (("_items", "_query"), Task.run_for_all),
    "runOnceForEachItem": (("_item", "_query"), Task.run_for_each),
}
"""What the code is given in each mode, and how it is run."""


def _read(text: str) -> Any:
    """What `json.loads` gives, which looks for white space around, as n8n sends none."""
    try:
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
    except json.JSONDecodeError:
        pass
    return json.loads(text)


def read_settings(payload: memoryview, *, as_records: bool = False, is_large: bool = False) -> Settings:
    """The settings of a task.

    Parameters:
        payload: is released, so that it takes no memory beside what is in it.
        as_records: whether what is in them is to be read as attributes, too.
        is_large: whether it takes so long that there may be something quicker than `json`.

    Raises:
        BadSettings: they are not those of a Code node.
    """
    settings = quick.read(payload) if is_large and not as_records else None
    try:
        if settings is None:
            text = str(payload, "utf-8")
            payload.release()
            settings = json.loads(text, object_hook=Record) if as_records else _read(text)
    except ValueError as error:
        raise BadSettings(str(error)) from None
    except RecursionError:
        raise BadSettings("the items are nested too deeply") from None
    except MemoryError:
        raise BadSettings("they are larger than the memory that a task may take") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("code"), str):
        raise BadSettings("there is no code in them")
    if settings.get("nodeMode") not in tuple(MODES):
        raise BadSettings(f"nodeMode has to be one of {', '.join(MODES)}")
    if not isinstance(settings.get("items"), list):
        raise BadSettings("items has to be a list")
    return settings
