"""The verdict of the language rules on a code that is not run: a process that confines itself, reads it, and says so.

Started as a file. On its standard input are the order of a zygote, on one line, and the code; on its standard
output is the verdict, as JSON.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterable
from typing import NamedTuple

if __name__ == "__main__":
    # Started as `python -I .../checking.py`: the package around it has to be found
    _root = os.path.abspath(__file__)  # noqa: PTH100
    for _ in range(5):
        _root = os.path.dirname(_root)  # noqa: PTH120
    sys.path.insert(0, _root)

from runner.execution.sandbox.child.failures import CodeFailed, CodeRefused
from runner.execution.sandbox.child.task import MODES
from runner.execution.sandbox.child.user_code import FILE_NAME, compiled
from runner.execution.sandbox.confinement.confine import Confinement
from runner.execution.sandbox.confinement.readable import readable_paths
from runner.execution.sandbox.confinement.report import Report
from runner.execution.sandbox.confinement.spec import Spec
from runner.execution.sandbox.language.absent import denied_builtins
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.violations import Violation
from runner.execution.sandbox.order import Order

MOST_FINDINGS = 1000
"""How many things are said of one code; those after them are left out."""


class Finding(NamedTuple):
    """What is wrong with a code, and where: line and column from 1 on, in characters; 0 where that is not known."""

    line: int
    column: int
    message: str
    setting: str = ""
    """What would allow it; nothing if nothing does."""


def findings(text: str, policy: Policy) -> list[Finding]:
    """All that the rules have against a code, in its order; nothing if it may be run."""
    try:
        compiled(text, MODES["runOnceForAllItems"][0], policy)
    except CodeRefused as refused:
        violations = [*refused.violations, *denied_builtins(_parsed(text), policy)]
        return _located(text, violations)
    except CodeFailed as failure:
        line = failure.line or 0
        return [Finding(line, max(0, failure.column or 0), failure.message.removesuffix(f" (<unknown>, line {line})"))]
    return _located(text, denied_builtins(_parsed(text), policy))


def _parsed(text: str) -> ast.Module:
    return ast.parse(text.removeprefix("\ufeff"), FILE_NAME)


def _located(text: str, violations: Iterable[Violation]) -> list[Finding]:
    lines = text.removeprefix("\ufeff").encode("utf-8", "surrogatepass").splitlines()
    return sorted(
        Finding(each.line, _characters(lines, each.line, each.column) + 1, each.text, each.setting)
        for each in violations
    )


def _characters(lines: list[bytes], line: int, column: int) -> int:
    """How many characters the first `column` bytes of a line are."""
    before = lines[line - 1][:column] if line <= len(lines) else b""
    return len(before.decode("utf-8", "replace"))


def confine(order: Order) -> Report:
    """Confine this process as tasks are, and without what the configuration opens for them."""
    own = {"folders": order.folders, "read": readable_paths(), "write": (), "network": False}
    confinement = Confinement(Spec.of({**order.spec, **own}))
    confinement.confine_zygote()
    folder = os.path.join(order.folders, f"check-{os.getpid()}")  # noqa: PTH118
    os.mkdir(folder, 0o700)  # noqa: PTH102
    return confinement.report(confinement.confine_worker(confinement.prepare(folder, os.environ)))


def verdict(document: bytes) -> str:
    """What is said of a code, as JSON, after this process has been confined for good."""
    head, _, code = document.partition(b"\n")
    order = Order.from_json(head)
    report = confine(order)
    found = findings(code.decode("utf-8", "surrogatepass"), Policy.from_plain(order.policy))
    return json.dumps({"report": list(report), "findings": found[:MOST_FINDINGS]})


if __name__ == "__main__":
    sys.path.remove(_root)
    sys.stdout.write(verdict(sys.stdin.buffer.read()))
