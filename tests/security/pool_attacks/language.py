"""Attacks on the language rules of n8n that are known from `test_language_runtime`, here in a task of a pool."""

from __future__ import annotations

from tests.security.pool_attacks.attack import because, gone, table
from tests.unit import test_language_runtime as known

NOT_SHOWN_HERE = {"except star", "format", "getattr with a liar", "annotations as code", "deleting"}
"""What they show is seen only in the harness of that test, or needs what was put there."""

LANGUAGE = table(
    {f"rules: {name}": body for name, body in known.ATTACKS.items()},
    unproven={
        **because("only the harness of the unit test shows it", [f"rules: {name}" for name in NOT_SHOWN_HERE]),
        **gone({"rules: dataclasses' builtins": (3, 12), "rules: FunctionType elsewhere": (3, 13)}),
    },
    against_rules=True,
)
