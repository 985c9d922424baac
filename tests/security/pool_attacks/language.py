"""Attacks on the language rules of n8n that are known from `test_language_runtime`, here in a task of a pool."""

from __future__ import annotations

import sys

from tests.security.pool_attacks.attack import because, table
from tests.unit import test_language_runtime as known

NOT_SHOWN_HERE = {"except star", "format", "getattr with a liar", "annotations as code", "deleting"}
"""What they show is seen only in the harness of that test, or needs what was put there."""

GONE = {"dataclasses' builtins": (3, 12), "FunctionType elsewhere": (3, 13)}
"""What they go for is not there any more, from this version of Python on."""

LANGUAGE = table(
    {f"rules: {name}": body for name, body in known.ATTACKS.items()},
    unproven={
        **because("only the harness of the unit test shows it", [f"rules: {name}" for name in NOT_SHOWN_HERE]),
        **because("it is gone", [f"rules: {name}" for name, version in GONE.items() if sys.version_info >= version]),
    },
    against_rules=True,
)
