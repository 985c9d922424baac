"""The check before anything is run: what the text of the code shows."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from runner.execution.sandbox.language.imports import refusal, refused_of, setting_for
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.rules import WATCHED_ATTRIBUTES, is_private
from runner.execution.sandbox.language.violations import (
    DYNAMIC_IMPORT,
    LIFTED_BY,
    RELATIVE_IMPORT,
    Violation,
    attribute_refusal,
    attribute_text,
    name_refusal,
)

IMPORT = "__import__"

Place = tuple[int, int]
"""A line, and where in it, in bytes."""


def check(tree: ast.Module, policy: Policy) -> list[Violation]:
    """What is wrong with the code, in the order of the code, outer before inner."""
    checker = _Checker(policy)
    todo: list[tuple[ast.AST, Place]] = [(tree, (1, 0))]
    while todo:
        node, place = todo.pop()
        if hasattr(node, "lineno"):
            place = (node.lineno, node.col_offset)  # type: ignore[attr-defined]
        checker.look_at(node, place)
        todo.extend((child, place) for child in reversed(list(ast.iter_child_nodes(node))))
    return checker.violations


class _Checker:
    """Looks at one node after the other."""

    def __init__(self, policy: Policy) -> None:
        self.violations: list[Violation] = []
        self._policy = policy
        self._reported: set[str] = set()
        self._imports_by_call: set[int] = set()

    def look_at(self, node: ast.AST, place: Place) -> None:
        """Note what is wrong with a node itself."""
        look = _IMPORT_RULES.get(type(node))
        if look is not None:
            look(self, node, place)
        if self._policy.is_full:
            return
        for text in self._refusals(node):
            if text is not None:
                self._note(place, text, LIFTED_BY)

    def _note(self, place: Place, text: str, setting: str = "") -> None:
        line, column = place
        self.violations.append(Violation(line, text, column, setting))

    def _refusals(self, node: ast.AST) -> Iterator[str | None]:
        """What is wrong with the names in a node; None for each that is harmless."""
        if isinstance(node, ast.Attribute):
            if id(node) not in self._imports_by_call:
                yield attribute_refusal(node.attr)
        elif isinstance(node, ast.Name):
            if id(node) not in self._imports_by_call:
                yield name_refusal(node.id)
        elif isinstance(node, ast.MatchClass):
            for name in node.kwd_attrs:
                yield _pattern_refusal(name)
        else:
            for bound in names_bound_by(node):
                yield name_refusal(bound)

    def _import(self, node: ast.Import, place: Place) -> None:
        for alias in node.names:
            self._module(alias.name, place)

    def _import_from(self, node: ast.ImportFrom, place: Place) -> None:
        if node.level:
            self._note(place, RELATIVE_IMPORT)
            return
        names = [alias.name for alias in node.names]
        for module in refused_of(node.module or "", names, self._policy):
            self._module(module, place)
        if not self._policy.is_full:
            for text in filter(None, map(attribute_refusal, names)):
                self._note(place, text, LIFTED_BY)

    def _call(self, node: ast.Call, place: Place) -> None:
        """A call of `__import__` with the name of a module is an import like any other."""
        match node.func:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name == IMPORT:
                pass
            case _:
                return
        self._imports_by_call.add(id(node.func))
        match node:
            case ast.Call(func=ast.Name(), args=[ast.Constant(value=str(module)), *_]):
                self._module(module, place)
            case _:
                self._note(place, DYNAMIC_IMPORT)

    def _module(self, module: str, place: Place) -> None:
        text = refusal(module, self._policy)
        if text is not None and module not in self._reported:
            self._reported.add(module)
            self._note(place, text, setting_for(module))


def names_bound_by(node: ast.AST) -> Iterator[str]:
    """The names that a node binds without being a `Name`."""
    for field in _FIELDS_WITH_NAMES.get(type(node), ()):
        names = getattr(node, field, None)
        yield from filter(None, names if isinstance(names, list) else [names])


def _pattern_refusal(name: str) -> str | None:
    """The rule for what a class pattern reads: there is no way to look at the object first."""
    if name in WATCHED_ATTRIBUTES or is_private(name):
        return attribute_refusal(name) or attribute_text(name)
    return attribute_refusal(name)


_IMPORT_RULES: dict[type[ast.AST], Callable[[_Checker, Any, Place], None]] = {
    ast.Import: _Checker._import,  # noqa: SLF001 - of the class above
    ast.ImportFrom: _Checker._import_from,  # noqa: SLF001
    ast.Call: _Checker._call,  # noqa: SLF001
}

_FIELDS_WITH_NAMES: dict[type[ast.AST], tuple[str, ...]] = {
    ast.FunctionDef: ("name",),
    ast.AsyncFunctionDef: ("name",),
    ast.ClassDef: ("name",),
    ast.arg: ("arg",),
    ast.alias: ("asname",),
    ast.Global: ("names",),
    ast.Nonlocal: ("names",),
    ast.ExceptHandler: ("name",),
    ast.MatchAs: ("name",),
    ast.MatchStar: ("name",),
    ast.MatchMapping: ("rest",),
    **{
        getattr(ast, kind): ("name",)
        for kind in ("TypeVar", "ParamSpec", "TypeVarTuple")  # since Python 3.12
        if hasattr(ast, kind)
    },
}
"""Where names stand that are bound without being a `Name`."""
