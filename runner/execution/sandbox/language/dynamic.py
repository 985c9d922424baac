"""`eval`, `exec`, `compile`, `globals`, `locals` and `vars`, where they are allowed: text obeys the same rules."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, ModuleType
from typing import Any

from runner.execution.sandbox.language.attributes import has_secrets
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.rewrite import rewrite
from runner.execution.sandbox.language.static_check import check
from runner.execution.sandbox.language.violations import SecurityViolation, SecurityViolations, attribute_text

Namespace = dict[str, Any]


class Code:
    """What `compile` gives: to be run, and for nothing else. Code as it is could be changed after it was checked."""

    __slots__ = ()


def dynamic(policy: Policy, restricted: Namespace) -> Namespace:
    """What stands in for these builtins. What they run has the `restricted` builtins, whatever it is given."""
    codes: dict[Code, CodeType] = {}
    spaces = _Spaces(restricted)

    def compiled(source: Any, filename: Any, mode: str) -> CodeType:
        if type(source) is Code:
            return codes[source]
        if mode not in ("exec", "eval", "single") or not isinstance(source, str | bytes):
            raise SecurityViolation("Only text can be compiled, without flags.")
        tree: Any = compile(source, str(filename), mode, ast.PyCF_ONLY_AST, True)
        violations = check(tree, policy)
        if violations:
            raise SecurityViolations(violations)
        code: CodeType = compile(rewrite(tree), str(filename), mode, 0, True)
        return code

    def guarded_compile(source: Any, filename: Any, mode: str, flags: int = 0, *_: Any, **__: Any) -> Code:
        """Stand in for the builtin `compile`."""
        code = Code()
        codes[code] = compiled(None if flags else source, filename, mode)
        return code

    def guarded_eval(source: Any, globals: Any = None, locals: Any = None, /) -> Any:  # noqa: A002
        """Stand in for the builtin `eval`."""
        code = compiled(source.lstrip(" \t") if isinstance(source, str) else source, "<string>", "eval")
        with spaces.of(globals, locals) as names:
            return eval(code, *names)  # noqa: S307 - it has been checked

    def guarded_exec(source: Any, globals: Any = None, locals: Any = None, /) -> None:  # noqa: A002
        """Stand in for the builtin `exec`."""
        code = compiled(source, "<string>", "exec")
        with spaces.of(globals, locals) as names:
            exec(code, *names)  # noqa: S102 - it has been checked

    return {
        "compile": guarded_compile,
        "eval": guarded_eval,
        "exec": guarded_exec,
        "globals": _copied(lambda frame: frame.f_globals),
        "locals": _copied(lambda frame: frame.f_locals),
        "vars": _vars,
    }


class _Spaces:
    """Where text is run: in namespaces that nobody holds, or else what looks could be replaced in them.

    Each stands in for a dict of the user's: it has what that has before text is run, and gives it back afterwards.
    """

    def __init__(self, restricted: Namespace) -> None:
        self._restricted = restricted
        self._known: dict[int, tuple[Namespace, Namespace]] = {}

    @contextmanager
    def of(self, globals: Any, locals: Any) -> Iterator[tuple[Namespace, Any]]:  # noqa: A002
        """The namespaces for these; the user's own for those that are None."""
        frame = sys._getframe(3)  # noqa: SLF001 - the user's own, behind the context manager and what has called it
        given = [space for space in (globals, locals) if space is not None]
        if not all(type(space) is dict for space in given):
            raise TypeError("globals and locals must be dicts")
        taken = [self._taken(space) for space in given]
        outer = frame.f_globals if globals is None else taken[0]
        inner = taken[-1] if taken else frame.f_locals
        try:
            yield outer, inner
        finally:
            for space, own in zip(given, taken, strict=True):
                space.clear()
                space.update(_users(own))

    def _taken(self, space: Namespace) -> Namespace:
        _, own = self._known.setdefault(id(space), (space, {}))  # kept, for functions that have been defined in it
        names = _users(space)
        own.clear()
        own.update(names)
        own["__builtins__"] = self._restricted
        return own


def _users(namespace: dict[Any, Any]) -> Namespace:
    """What is the user's in a namespace."""
    return {name: value for name, value in namespace.items() if not _is_ours(name)}


def _is_ours(name: Any) -> bool:
    return isinstance(name, str) and (name == "__builtins__" or name[:1] == "<")


def _copied(which: Callable[[Any], Any]) -> Callable[[], Namespace]:
    def guarded() -> Namespace:
        """Stand in for the builtin `globals` or `locals`: a copy, without what is not the user's."""
        return _users(which(sys._getframe(1)))  # noqa: SLF001 - the user's own

    return guarded


def _vars(value: Any, /) -> Any:
    """Stand in for the builtin `vars`: for objects of the user's."""
    if issubclass(type(value), type | ModuleType) or has_secrets(value):
        raise SecurityViolation(attribute_text("__dict__"))
    return vars(value)
