"""`eval`, `exec`, `compile`, `globals`, `locals` and `vars`, where they are allowed: text obeys the same rules."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from runner.execution.sandbox.language.attributes import has_secrets
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.rewrite import rewrite
from runner.execution.sandbox.language.static_check import check
from runner.execution.sandbox.language.violations import SecurityViolation, SecurityViolations, attribute_text

Namespace = dict[str, Any]


def dynamic(policy: Policy, restricted: Namespace) -> Namespace:
    """What stands in for these builtins. What they run has the `restricted` builtins, whatever it is given."""

    def guarded_compile(source: Any, filename: Any, mode: str, flags: int = 0, *_: Any, **__: Any) -> CodeType:
        """Stand in for the builtin `compile`."""
        if flags or mode not in ("exec", "eval", "single") or not isinstance(source, str | bytes):
            raise SecurityViolation("Only text can be compiled, without flags.")
        tree: Any = compile(source, str(filename), mode, ast.PyCF_ONLY_AST, True)
        violations = check(tree, policy)
        if violations:
            raise SecurityViolations(violations)
        code: CodeType = compile(rewrite(tree), str(filename), mode, 0, True)
        return code

    def guarded_eval(source: Any, globals: Any = None, locals: Any = None, /) -> Any:  # noqa: A002
        """Stand in for the builtin `eval`."""
        code = source if isinstance(source, CodeType) else guarded_compile(_stripped(source), "<string>", "eval")
        return eval(code, *_namespaces(globals, locals, restricted))  # noqa: S307 - it has been checked

    def guarded_exec(source: Any, globals: Any = None, locals: Any = None, /) -> None:  # noqa: A002
        """Stand in for the builtin `exec`."""
        code = source if isinstance(source, CodeType) else guarded_compile(source, "<string>", "exec")
        exec(code, *_namespaces(globals, locals, restricted))  # noqa: S102 - it has been checked

    return {
        "compile": guarded_compile,
        "eval": guarded_eval,
        "exec": guarded_exec,
        "globals": _copied(lambda frame: frame.f_globals),
        "locals": _copied(lambda frame: frame.f_locals),
        "vars": _vars,
    }


def _stripped(source: Any) -> Any:
    return source.lstrip(" \t") if isinstance(source, str) else source


def _namespaces(globals: Any, locals: Any, restricted: Namespace) -> tuple[Any, Any]:  # noqa: A002
    """Where text is run: where it was asked for, or where it was told, always with the restricted builtins."""
    frame = sys._getframe(2)  # noqa: SLF001 - the user's own
    if globals is None:
        return frame.f_globals, frame.f_locals if locals is None else locals
    if type(globals) is not dict:
        raise TypeError("globals must be a dict")
    globals["__builtins__"] = restricted
    for name in [name for name in globals if isinstance(name, str) and name[:1] == "<"]:
        del globals[name]
    return globals, globals if locals is None else locals


def _copied(which: Callable[[Any], Any]) -> Callable[[], Namespace]:
    def guarded() -> Namespace:
        """Stand in for the builtin `globals` or `locals`: a copy, without what is not the user's."""
        namespace = which(sys._getframe(1))  # noqa: SLF001 - the user's own
        return {name: value for name, value in namespace.items() if name != "__builtins__" and name[:1] != "<"}

    return guarded


def _vars(value: Any, /) -> Any:
    """Stand in for the builtin `vars`: for objects of the user's."""
    if issubclass(type(value), type | ModuleType) or has_secrets(value):
        raise SecurityViolation(attribute_text("__dict__"))
    return vars(value)
