"""Builtins that a code uses and that are denied: it is a NameError when it comes to them, which a text shows before."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.static_check import names_bound_by
from runner.execution.sandbox.language.violations import Violation

SETTING = "N8N_RUNNERS_BUILTINS_DENY"
BUILD_CLASS = "__build_class__"
"""What the statement `class` calls."""


def denied_builtins(tree: ast.Module, policy: Policy) -> list[Violation]:
    """Each use of a builtin that is denied, unless the code has something of its own under that name."""
    if policy.is_full:
        return []
    bound = {name for node in ast.walk(tree) for name in _bound_by(node)}
    return [
        Violation(node.lineno, _text(name), node.col_offset, SETTING)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.ClassDef)
        for name in _used_by(node)
        if name in policy.builtins_deny and name not in bound
    ]


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.alias) and not node.asname:
        yield node.name.partition(".")[0]
    yield from names_bound_by(node)


def _used_by(node: ast.Name | ast.ClassDef) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    elif not isinstance(node, ast.Name):
        yield BUILD_CLASS


def _text(name: str) -> str:
    if name == BUILD_CLASS:
        return f"Classes cannot be defined: the builtin '{BUILD_CLASS}' is denied."
    return f"The builtin '{name}' is denied: the code will fail here, as if there were none."
