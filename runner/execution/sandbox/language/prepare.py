"""All rules of the language, applied: a tree goes in, and comes out as what may be compiled and run."""

from __future__ import annotations

import ast
from typing import Any

from runner.execution.sandbox.language.namespace import restricted_builtins
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.rewrite import rewrite
from runner.execution.sandbox.language.static_check import check
from runner.execution.sandbox.language.violations import SecurityViolations


def prepare(tree: ast.Module, policy: Policy) -> tuple[ast.Module, dict[str, Any]]:
    """Check the code, change what has to be looked at when it runs, and make the builtins that it runs with.

    The tree is changed in place. Compile it, and run it in a namespace with the builtins as `__builtins__`.

    Raises:
        SecurityViolations: the code breaks rules. It says which, and where.
    """
    violations = check(tree, policy)
    if violations:
        raise SecurityViolations(violations)
    return tree if policy.is_full else rewrite(tree), restricted_builtins(policy)
