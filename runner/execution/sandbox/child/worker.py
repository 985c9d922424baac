"""The child: takes one task, runs it, answers, and is gone. Started as a file, by `child`."""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":
    # Started as `python -I .../worker.py`: the package around it has to be found, and user code should not see how.
    _root = os.path.abspath(__file__)  # noqa: PTH100
    for _ in range(5):
        _root = os.path.dirname(_root)  # noqa: PTH120
    sys.path.insert(0, _root)

from runner.execution.sandbox import wire
from runner.execution.sandbox.child import lifeline, results
from runner.execution.sandbox.child.failures import BadSettings, Failure
from runner.execution.sandbox.child.printing import Printer
from runner.execution.sandbox.child.user_code import UserCode, failure_of

if __name__ == "__main__":
    sys.path.remove(_root)

Settings = dict[str, Any]


def run_task(settings: Settings) -> bytes:
    """Run the task that `settings` describe, and return its result as JSON.

    Raises:
        Failure: there is no result.
    """
    return MODES[settings["nodeMode"]](settings)


def _run_for_all(settings: Settings) -> bytes:
    code = UserCode(settings["code"], ("_items", "_query"))
    is_tool = "query" in settings
    convert = results.of_tool if is_tool else results.of_all_items
    try:
        return _attempt(lambda: results.to_json(convert(code.run(_given("_items", settings["items"], settings)))))
    except Failure as failure:
        if not _continues_on_fail(settings):
            raise
        return results.to_json(failure.message if is_tool else [results.error_item(failure.message)])


def _run_for_each(settings: Settings) -> bytes:
    code = UserCode(settings["code"], ("_item", "_query"))
    outputs: list[bytes] = []
    for index, item in enumerate(settings["items"]):
        try:
            output = _attempt(lambda: _run_for_one(code, _given("_item", item, settings), index))  # noqa: B023
        except Failure as failure:
            if not _continues_on_fail(settings):
                failure.item_index = index
                raise
            output = results.to_json(results.error_item(failure.message, index))
        outputs += [output] if output else []
    return b"[" + b",".join(outputs) + b"]"


MODES: dict[str, Callable[[Settings], bytes]] = {
    "runOnceForAllItems": _run_for_all,
    "runOnceForEachItem": _run_for_each,
}


def _run_for_one(code: UserCode, given: dict[str, Any], index: int) -> bytes:
    """The JSON of one item, or nothing when it is dropped."""
    output = results.of_one_item(code.run(given), index)
    return b"" if output is None else results.to_json(output)


def _given(name: str, value: Any, settings: Settings) -> dict[str, Any]:
    """What the code finds: its input, and the query if it is a tool."""
    return {name: value, "_query": settings.get("query")}


def _continues_on_fail(settings: Settings) -> bool:
    return settings.get("continueOnFail") is True


def _attempt(run: Callable[[], bytes]) -> bytes:
    """Run the code and convert what it returns, which may run code of the user's as well, such as a `__str__`."""
    try:
        return run()
    except Failure:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever user code raises is the user's to see
        raise failure_of(error) from None


def read_settings(payload: bytearray) -> Settings:
    """The settings of a task.

    Raises:
        BadSettings: they are not those of a Code node.
    """
    try:
        settings = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadSettings(str(error)) from None
    if not isinstance(settings, dict) or not isinstance(settings.get("code"), str):
        raise BadSettings("there is no code in them")
    if settings.get("nodeMode") not in tuple(MODES):
        raise BadSettings(f"nodeMode has to be one of {', '.join(MODES)}")
    if not isinstance(settings.get("items"), list):
        raise BadSettings("items has to be a list")
    return settings


def answer(payload: bytearray) -> tuple[int, bytes]:
    """Run the task that is described by `payload`, and return the kind and the content of the answer."""
    try:
        return wire.RESULT, run_task(read_settings(payload))
    except Failure as failure:
        return wire.ERROR, failure.report()
    except BaseException as error:  # noqa: BLE001 - such as what a signal handler of the code raises after its end
        return wire.ERROR, failure_of(error).report()


def main(descriptor: int, lifeline_descriptor: int, print_limit: int) -> None:
    """Take one task from `descriptor`, run it, and answer."""
    lifeline.hold(lifeline_descriptor)
    line = wire.Line(descriptor)
    _, payload = wire.read_frame(descriptor)
    printer = Printer(line, print_limit)
    builtins.print = printer
    kind, content = answer(payload)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    if not line.is_ours():
        os._exit(0)  # forked by the code, and come all the way back here
    printer.finish()
    line.send(kind, content)


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    del sys.argv[1:]
    for inherited in arguments[:2]:
        os.set_inheritable(inherited, False)  # not for the programs that the code starts
    try:
        main(*arguments)
    except (EOFError, OSError):
        os._exit(0)  # the runner is gone, or the code has closed the line: there is nobody to tell
    os._exit(0)
