"""`__import__`, for the user's code and, where transitive imports are not allowed, for everybody else."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any

from runner.execution.sandbox.language.imports import OUR_OWN, is_allowed, is_stdlib, refusal, refused_of, root_of
from runner.execution.sandbox.language.modules import Faces
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.violations import RELATIVE_IMPORT, ImportRefused

Import = Callable[..., Any]


def importer(policy: Policy) -> Import:
    """The `__import__` of the user's code. Only its import statements find it, those of libraries have their own."""
    faces = None if policy.is_full else Faces(policy)

    def guarded(
        name: str,
        globals: Any = None,  # noqa: A002 - as the builtin calls it
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        """Import what is allowed."""
        name = str.__str__(name)
        if type(fromlist) is list:
            # Not a statement but C code that needs a module for itself, such as datetime for its strptime. It takes
            # the module from sys.modules afterwards; what is returned is thrown away.
            builtins.__import__(name)
            return None
        if level:
            raise ImportRefused(RELATIVE_IMPORT)
        names = [str.__str__(item) for item in fromlist or ()]
        for wanted in refused_of(name, names, policy) if names else [name]:
            text = refusal(wanted, policy)
            if text is not None:
                raise ImportRefused(text)
        module = builtins.__import__(name, None, None, tuple(names), 0)
        if faces is None:
            return module
        path = name if names else root_of(name)
        return faces.of(sys.modules.get(path, module), path)

    return guarded


def guard_libraries(policy: Policy) -> None:
    """Refuse, for the rest of this process, that libraries import what the user's code may not.

    The standard library may import itself: it could not work otherwise. So may the runner.
    """
    real = builtins.__import__
    if getattr(real, "policy", None) is not None:
        return

    def guarded(
        name: str,
        globals: Any = None,  # noqa: A002 - as the builtin calls it
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        """Import for a library."""
        who = str((globals or {}).get("__name__", ""))
        is_free = level or not who or root_of(who) in OUR_OWN or root_of(name) == root_of(who)
        if not is_free and not (is_stdlib(who) and is_stdlib(name)) and not is_allowed(name, policy):
            wanted = refused_of(name, list(fromlist or ()), policy)
            text = next(filter(None, (refusal(module, policy) for module in wanted)), None)
            if text is not None:
                raise ImportRefused(text)
        return real(name, globals, locals, fromlist, level)

    guarded.policy = policy  # type: ignore[attr-defined]
    builtins.__import__ = guarded
