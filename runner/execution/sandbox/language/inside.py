"""What is the interpreter's own and must not get into the hands of user code, wherever it is found."""

from __future__ import annotations

import builtins
from _weakref import ref
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

_KINDS = (CodeType, FrameType, TracebackType, ref)

_NAMES = "__build_class__ __import__ compile delattr eval exec getattr globals locals open setattr vars"
_FUNCTIONS = [getattr(builtins, name) for name in _NAMES.split()]


def is_of_the_inside(value: Any) -> bool:
    """Whether a value is code, a frame, a module as it is, a metaclass, or a builtin that does what it is told."""
    kind = type(value)
    if kind is tuple:
        return any(map(is_of_the_inside, value))
    if kind is ModuleType or issubclass(kind, _KINDS):
        return True
    if issubclass(kind, type):
        return type in type.__dict__["__mro__"].__get__(value)
    return any(value is function for function in _FUNCTIONS)
