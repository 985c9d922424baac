"""What the user's code gets when it imports a module: a face of it, which shows what may be used.

A module has other modules in it (`statistics.sys`), and its private helpers. Under the rules of n8n a face refuses
modules that are not allowed, private members and those of `members`, and whatever is a denied builtin under another
name. External packages are looked at in the same way, but their private members are not hidden: they can do more than
any rule could list, and confinement is what holds there.
"""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any

from runner.execution.sandbox.language.imports import is_allowed, is_stdlib, leads_to_allowed, root_of
from runner.execution.sandbox.language.members import HOMES_NOT_TO_BORROW_FROM, is_refused, replacement
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.preparing import prepare_modules
from runner.execution.sandbox.language.rules import is_private
from runner.execution.sandbox.language.shadows import is_shadow
from runner.execution.sandbox.language.violations import SecurityViolation, attribute_text, refuse_attribute

_faces: dict[ModuleType, tuple[ModuleType, str, Faces]] = {}
"""Of each face the module behind it, the name it was reached by, and who made it. Out of reach for its attributes."""


class Face(ModuleType):
    """What the user's code sees of a module."""

    def __getattr__(self, name: str) -> Any:
        """Find a member; what will not change is kept, so that it is found without asking the next time."""
        if self not in _faces:
            raise AttributeError(name)
        module, path, faces = _faces[self]
        value = faces.member(module, path, name)
        if isinstance(value, type | Face) or type(value) in _LASTING:
            ModuleType.__getattribute__(self, "__dict__")[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        module, _, _ = _faces[self]
        refuse_attribute(name)
        if is_stdlib(module.__name__):
            raise SecurityViolation(attribute_text(name))
        setattr(module, name, value)

    def __delattr__(self, name: str) -> None:
        raise SecurityViolation(attribute_text(name))

    def __dir__(self) -> list[str]:
        return [name for name in dir(_faces[self][0]) if name[:1] != "_"]


_LASTING = (type(len), type(refuse_attribute), type(type.__repr__), type(str.join))


class Faces:
    """Makes the faces of modules for one policy."""

    def __init__(self, policy: Policy) -> None:
        """Faces that show what `policy` allows."""
        self._policy = policy
        self._made: dict[ModuleType, Face] = {}
        self._denied = [value for name in policy.builtins_deny if callable(value := getattr(builtins, name, None))]

    def of(self, module: ModuleType, path: str) -> Face:
        """The face of a module, which was reached as `path`."""
        prepare_modules()
        face = self._made.get(module)
        if face is None:
            face = self._made[module] = Face(path, module.__doc__)
            _faces[face] = (module, path, self)
        return face

    def member(self, module: ModuleType, path: str, name: str) -> Any:
        """A member of a module, in the form that the user gets.

        Raises:
            SecurityViolation: it is refused.
            AttributeError: there is none.
        """
        refuse_attribute(name)
        if name == "__all__":
            return self._public(module, path)
        if is_private(name) and is_stdlib(path):
            raise SecurityViolation(attribute_text(name))
        full = f"{path}.{name}"
        value = getattr(module, name, sys.modules.get(full))
        if (value is None and not hasattr(module, name)) or is_shadow(value):
            # Not the error of the module, which would lead to the module
            raise AttributeError(f"module {path!r} has no attribute {name!r}")
        if issubclass(type(value), ModuleType):
            return self._module(value, full, name)
        if not is_allowed(path, self._policy) or self._is_dangerous(value):
            raise SecurityViolation(attribute_text(name))
        return replacement(value)

    def _module(self, module: Any, full: str, name: str) -> Face:
        """The face of a module inside of another one."""
        path = full if sys.modules.get(full) is module else str(module.__name__)
        if is_allowed(path, self._policy) or leads_to_allowed(path, self._policy):
            return self.of(module, path)
        raise SecurityViolation(attribute_text(name))

    def _is_dangerous(self, value: Any) -> bool:
        """Whether a member is something that has to be hidden, whatever it is called here."""
        if any(value is denied for denied in self._denied) or is_refused(value):
            return True
        home = getattr(value, "__module__", None) if isinstance(value, type) or type(value) in _LASTING else None
        if not isinstance(home, str) or is_allowed(home, self._policy):
            return False
        return home in HOMES_NOT_TO_BORROW_FROM or root_of(home) in HOMES_NOT_TO_BORROW_FROM

    def _public(self, module: ModuleType, path: str) -> list[str]:
        """The names that `import *` takes: without those that are refused."""
        names = getattr(module, "__all__", None) or [name for name in vars(module) if name[:1] != "_"]
        shown = []
        for name in names:
            try:
                self.member(module, path, name)
            except (SecurityViolation, AttributeError):
                continue
            shown.append(name)
        return shown
