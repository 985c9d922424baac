"""All rules that a text shows, applied: a tree goes in, and comes out as what may be compiled and run."""

from __future__ import annotations

import ast

from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.rewrite import rewrite
from runner.execution.sandbox.language.static_check import check
from runner.execution.sandbox.language.violations import SecurityViolations


def prepare(tree: ast.Module, policy: Policy) -> ast.Module:
    """Check the code, and change what has to be looked at when it runs.

    The tree is changed in place. Compile it, and run it in a namespace with `namespace.restricted_builtins` as its
    `__builtins__`.

    Raises:
        SecurityViolations: the code breaks rules. It says which, and where.
    """
    violations = check(tree, policy)
    if violations:
        raise SecurityViolations(violations)
    return tree if policy.is_full else rewrite(tree)
