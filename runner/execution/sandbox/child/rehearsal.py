"""The zygote runs a few tasks of its own before it forks, so that nothing happens for the first time in a worker.

The first runs of Python code write into it: the interpreter specialises it, and fills caches. In a worker, which runs
everything once, that is time, and each page of memory that is written to has to be copied first.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import builtins
import json

from runner.execution.sandbox import wire
from runner.execution.sandbox.child import quick
from runner.execution.sandbox.child.worker import Terms, Worker
from runner.execution.sandbox.language.imports import is_allowed

TIMES = 9
"""How often: after eight, Python takes code for warm."""

CODE = """\
print(len(_items), "items")
return [{"json": {"n": item["json"]["n"] + 1, "text": f"{item['json']['n']}"}} for item in _items]
"""
CODE_FOR_EACH = """\
return {"n": _item["json"]["n"] + 1}
"""
ITEMS = [{"json": {"n": n, "a": "text", "b": [1.5, None, True]}, "pairedItem": {"item": n}} for n in range(3)]


def rehearse(terms: Terms) -> None:
    """Run tasks in this process. Their answers go nowhere."""
    own_print = builtins.print
    imports = "import json\n" if is_allowed("json", terms.policy) else ""  # the first import prepares all modules
    for mode, code in (("runOnceForAllItems", imports + CODE), ("runOnceForEachItem", CODE_FOR_EACH)):
        settings = {"code": code, "nodeMode": mode, "continueOnFail": False, "items": ITEMS}
        document = json.dumps(settings).encode("ascii")
        unknown = wire.NUMBER.pack(0) + document
        for _ in range(TIMES):
            compiled = _rehearse(terms, unknown)
            builtins.print = own_print  # or else the `print` of the next worker would go through that of this one
        known = wire.NUMBER.pack(len(compiled)) + compiled + document
        for _ in range(TIMES):
            _rehearse(terms, known)
            builtins.print = own_print


def rehearse_quick() -> None:
    """Read and write large JSON in this process."""
    document = json.dumps({"items": ITEMS * 64}).encode("ascii")
    for _ in range(TIMES):
        settings = quick.read(memoryview(document))
        quick.written(settings and settings["items"][:64])


def _rehearse(terms: Terms, task: bytes) -> bytes:
    """Run a task, and return the first thing that it answers, which is its code if that had to be compiled."""
    ours, theirs = _socket.socketpair()
    unblocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    try:
        wire.write_frame(ours.fileno(), wire.TASK, task)
        Worker(theirs.fileno(), terms).take_one()
        return bytes(wire.read_frame(ours.fileno())[1])
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, unblocked)  # which a worker leaves blocked when it ends
        ours.close()
        theirs.close()
