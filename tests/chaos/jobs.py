"""The tasks of the soak, as a table: what each is, how often it comes, and how it has to end."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs
from msgspec import Raw

from runner.broker import EndOfTask, TaskEnd
from tests.support import code_settings


class Must(Enum):
    """How a task has to end."""

    RETURN = "with its items as its result"
    FAIL = "with an error that says what the table says"
    BE_CANCELLED = "as it is cancelled, once it has printed"
    END = "somehow: what it does to itself is its own affair"


@attrs.frozen
class Job:
    """A kind of task.

    Parameters:
        share: how often it comes, beside the others.
        says: what the error has to contain, if it must fail.
        is_slow: whether it takes up its whole timeout.
    """

    name: str
    share: int
    settings: Raw
    must: Must = Must.RETURN
    says: str = ""
    is_slow: bool = False
    items: list[dict[str, Any]] = attrs.Factory(list)

    def problem(self, end: EndOfTask) -> str | None:
        """What is wrong with the way it has ended."""
        ended_well: dict[Must, Callable[[EndOfTask], bool]] = {
            Must.RETURN: self._has_returned,
            Must.FAIL: self._has_failed,
            Must.BE_CANCELLED: lambda end: end.how is TaskEnd.CANCELLED,
            Must.END: lambda end: end.how in {TaskEnd.DONE, TaskEnd.ERROR},
        }
        if ended_well[self.must](end):
            return None
        return f"{self.name}: {end.how.name}, {str(end.error or bytes(end.result or b''))[:400]}"

    def _has_returned(self, end: EndOfTask) -> bool:
        """What n8n looks at; which item an item comes from is said beside it."""
        if end.result is None:
            return False
        return [item["json"] for item in json.loads(bytes(end.result))] == [item["json"] for item in self.items]

    def _has_failed(self, end: EndOfTask) -> bool:
        return end.how is TaskEnd.ERROR and self.says in str((end.error or {}).get("message"))


SMALL = [{"json": {"n": 1}}]
LARGE = [{"json": {"n": number, "text": "São Paulo " * 20}} for number in range(4000)]


def _job(
    name: str,
    share: int,
    code: str,
    must: Must = Must.RETURN,
    says: str = "",
    *,
    items: Any = SMALL,
    mode: str = "runOnceForAllItems",
    is_slow: bool = False,
) -> Job:
    return Job(name, share, code_settings(f"{IMPORTS}\n{code}", items, mode), must, says, is_slow, items)


IMPORTS = "import os, signal, sys, time"
LEAVES_FILES = "for n in range(20): open(os.environ['TMPDIR'] + f'/{n}', 'w').write('x' * 1000)\nreturn _items"
FORKS = "for n in range(5):\n    if not os.fork():\n        time.sleep(1000)\nreturn _items"
DAEMON = "if not os.fork():\n    os.setsid()\n    if not os.fork(): time.sleep(1000)\n    os._exit(0)\nreturn _items"

JOBS = (
    # What people do
    _job("tiny", 40, "return _items"),
    _job("each item", 10, "return _item", items=SMALL * 50, mode="runOnceForEachItem"),
    _job("large items", 4, "return _items", items=LARGE),
    _job("prints", 6, "for n in range(200): print('line', n)\nreturn _items"),
    _job("sleeps", 10, "time.sleep(0.3)\nreturn _items"),
    _job("leaves files", 5, LEAVES_FILES),
    # What goes wrong
    _job("fails", 10, "raise ValueError('as it should')", Must.FAIL, "as it should"),
    _job("is no Python", 5, "return (", Must.FAIL, ""),
    _job("divides by zero in an item", 3, "return 1 / 0", Must.FAIL, "zero", mode="runOnceForEachItem"),
    _job("sleeps too long", 1, "time.sleep(1000)", Must.FAIL, "timed out", is_slow=True),
    _job("never ends", 1, "while True: pass", Must.FAIL, "timed out", is_slow=True),
    _job("is cancelled", 5, "print('here')\ntime.sleep(1000)", Must.BE_CANCELLED),
    _job("takes all memory", 2, "x = []\nwhile True: x.append(bytearray(2**20))", Must.FAIL, "Out of memory"),
    _job("is too deep", 2, "def f(): return f()\nf()", Must.FAIL, "recursion"),
    # What must do no harm
    _job("reads secrets", 2, "return open('/etc/shadow').read()", Must.FAIL, "ermission denied"),
    _job("kills the zygote", 2, "os.kill(os.getppid(), 9)\nreturn _items", Must.END),
    _job("kills all", 2, "os.kill(-1, 9)\nreturn _items", Must.END),
    _job("kills itself", 2, "os.kill(os.getpid(), 9)", Must.FAIL, ""),
    _job("stops itself", 1, "os.kill(os.getpid(), signal.SIGSTOP)", Must.END, is_slow=True),
    _job("exits", 3, "os._exit(3)", Must.FAIL, ""),
    _job("hangs up", 2, "os.closerange(3, 1000)\nreturn _items", Must.END),
    _job("forges frames", 3, "os.write(3, b'\\xff' * 1000)\nreturn _items", Must.END),
    _job("floods its output", 2, "for n in range(100): os.write(1, b'x' * 65536)\nreturn _items"),
    _job("leaves processes", 2, FORKS, Must.END),
    _job("leaves a daemon", 2, DAEMON, Must.END),
)


def pick(chance: random.Random) -> Job:
    """The next one."""
    return chance.choices(JOBS, [job.share for job in JOBS])[0]
