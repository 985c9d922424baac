"""The child: takes one task, runs it, answers, and is gone. Started as a file, by `executor`."""

from __future__ import annotations

import _thread
import builtins
import json
import os
import sys
from typing import Any

if __name__ == "__main__":
    # Started as `python -I .../worker.py`: the package around it has to be found, and user code should not see how.
    _root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120
    sys.path.insert(0, _root)

from runner.execution.process import results, wire
from runner.execution.process.results import BadResult
from runner.execution.process.user_code import CodeFailed, UserCode

if __name__ == "__main__":
    sys.path.remove(_root)

NODE_MODES = ("runOnceForAllItems", "runOnceForEachItem")


class BadSettings(Exception):
    """The settings of the task are not those of a Code node."""


class Printer:
    """`print` for user code: each call goes to n8n as a list of texts, as it happens, up to a number of calls."""

    def __init__(self, descriptor: int, limit: int) -> None:
        """A `print` that writes frames to `descriptor`, at most `limit` of them."""
        self._descriptor = descriptor
        self._left = limit
        self._omitted = 0

    def __call__(
        self, *values: Any, sep: str | None = None, end: str | None = None, file: Any = None, flush: bool = False
    ) -> None:
        """Print `values`, like the builtin does."""
        if file is not None and file is not sys.stdout:
            file.write((sep if sep is not None else " ").join(map(str, values)) + (end if end is not None else "\n"))
            return
        if self._left == 0:
            self._omitted += 1
            return
        self._left -= 1
        if sep is None and end is None:
            self._send([_shown(value) for value in values])
        else:
            ending = "" if end in (None, "\n") else end
            self._send([(sep if sep is not None else " ").join(map(str, values)) + (ending or "")])

    def finish(self) -> None:
        """Say how much was left out."""
        if self._omitted:
            self._send([f"[Output truncated - {self._omitted} more print statements]"])

    def _send(self, texts: list[str]) -> None:
        wire.write_frame(self._descriptor, wire.PRINT, json.dumps(texts).encode("ascii"))


def _shown(value: Any) -> str:
    """A printed value in the form that n8n's own runner gives it."""
    if isinstance(value, str):
        return f"'{value}'"
    if value is None or isinstance(value, int | float):
        return str(value)
    try:
        return json.dumps(value, default=str)
    except (ValueError, TypeError, RecursionError):
        return f"[Circular {type(value).__name__}]"


def run_task(settings: Any) -> bytes:
    """Run the task that `settings` describe, and return its result as JSON.

    Raises:
        BadSettings, BadResult, CodeFailed: there is no result.
    """
    if not isinstance(settings, dict) or not isinstance(settings.get("code"), str):
        raise BadSettings("there is no code in them")
    mode, items = settings.get("nodeMode"), settings.get("items")
    if mode not in NODE_MODES or not isinstance(items, list):
        raise BadSettings(f"nodeMode has to be one of {', '.join(NODE_MODES)}, and items a list")
    given = {"_query": settings["query"]} if "query" in settings else {}
    continue_on_fail = settings.get("continueOnFail") is True
    if mode == "runOnceForEachItem":
        return results.to_json(_run_for_each(settings["code"], items, given, continue_on_fail))
    code = UserCode(settings["code"], ("_items", *given))
    try:
        returned = code.run({"_items": items, **given})
        return results.to_json(results.of_tool(returned) if given else results.of_all_items(returned))
    except (CodeFailed, BadResult) as failure:
        if not continue_on_fail:
            raise
        return results.to_json([results.error_item(failure.message)])


def _run_for_each(text: str, items: list[Any], given: dict[str, Any], continue_on_fail: bool) -> list[Any]:
    code = UserCode(text, ("_item", *given))
    returned: list[Any] = []
    for index, item in enumerate(items):
        try:
            output = results.of_one_item(code.run({"_item": item, **given}), index)
        except (CodeFailed, BadResult) as failure:
            if not continue_on_fail:
                failure.item_index = index
                raise
            output = results.error_item(failure.message, index)
        if output is not None:
            returned.append(output)
    return returned


def error_object(failure: CodeFailed | BadResult | BadSettings) -> dict[str, Any]:
    """A failure as the members of a `runner:taskerror`."""
    if isinstance(failure, BadSettings):
        return {"message": f"The settings of the task cannot be used: {failure}"}
    details = {
        "message": failure.message,
        "description": failure.description,
        "lineNumber": failure.line if isinstance(failure, CodeFailed) else None,
        "itemIndex": failure.item_index,
    }
    return {name: value for name, value in details.items() if value is not None}


def _end_with_the_runner(descriptor: int) -> None:
    """Exit when the runner is gone, however it went: it says nothing more after the task, so it has hung up."""
    os.read(descriptor, 1)
    os._exit(1)


def main(descriptor: int, print_limit: int) -> None:
    """Take one task from `descriptor`, run it, and answer."""
    _, settings = wire.read_frame(descriptor)
    _thread.start_new_thread(_end_with_the_runner, (descriptor,))
    printer = Printer(descriptor, print_limit)
    builtins.print = printer
    try:
        kind, answer = wire.RESULT, run_task(json.loads(settings))
    except (CodeFailed, BadResult, BadSettings) as failure:
        kind, answer = wire.ERROR, json.dumps(error_object(failure)).encode("ascii")
    except (ValueError, RecursionError) as error:
        kind, answer = wire.ERROR, json.dumps(error_object(BadSettings(str(error)))).encode("ascii")
    printer.finish()
    wire.write_frame(descriptor, kind, answer)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)  # the runner is gone: there is nobody left to tell
    os._exit(0)
