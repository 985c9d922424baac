"""Class statements, where they are allowed: what a class defines is looked at when it is made."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

from runner.execution.sandbox.language.attributes import bases_of, is_of_stdlib
from runner.execution.sandbox.language.rules import is_private
from runner.execution.sandbox.language.violations import (
    SecurityViolation,
    attribute_text,
    name_refusal,
    name_text,
)

MADE_BY_PYTHON = frozenset({"__dict__", "__weakref__", "__annotations__", "__getstate__"})
"""Names that are in a class without anybody having written them there; in its text they are refused."""


def build_class(function: Any, name: Any, /, *bases: Any, **options: Any) -> Any:
    """Stand in for the builtin `__build_class__`.

    Raises:
        SecurityViolation: the class has a member that it may not have.
    """
    made = builtins.__build_class__(function, name, *bases, **options)
    if issubclass(type(made), type):
        members = type.__dict__["__dict__"].__get__(made)
        check_definitions(members)
        _check_overriding(made, members)
        check_annotations(made)
    return made


def check_definitions(names: Iterable[str], *, dunders: bool = True) -> None:
    """Refuse names that a class may not define.

    Raises:
        SecurityViolation: one of the names.
    """
    for name in names:
        if name in MADE_BY_PYTHON and dunders:
            continue
        text = name_refusal(name)
        if text is None and not dunders and name[:2] == "__":
            text = name_text(name)
        if text is not None:
            raise SecurityViolation(text)


def _check_overriding(made: type, members: Iterable[str]) -> None:
    """Refuse to replace what a class of the standard library keeps for itself."""
    own = [kind for kind in bases_of(made)[1:] if is_of_stdlib(kind)]
    for name in filter(is_private, members):
        if (
            name[-1] != "_"
            and any(name in type.__dict__["__dict__"].__get__(kind) for kind in own)
            and name != "_abc_impl"
        ):
            raise SecurityViolation(attribute_text(name))


def check_annotations(made: Any) -> None:
    """Refuse annotations for what is no name: there are libraries that make code of it.

    Raises:
        SecurityViolation: there is such an annotation.
    """
    for kind in bases_of(made) if issubclass(type(made), type) else ():
        annotations = type.__dict__["__dict__"].__get__(kind).get("__annotations__", {})
        for name in annotations if isinstance(annotations, dict) else ():
            if type(name) is not str or not name.isidentifier() or name_refusal(name):
                raise SecurityViolation(name_text("__annotations__"))


class Type:
    """Stands in for the builtin `type`, where that is allowed: tells classes apart, and makes none by name."""

    __slots__ = ()

    def __call__(self, value: Any, *more: Any, **options: Any) -> Any:
        """The class of a value."""
        if more or options:
            raise SecurityViolation(name_text("type"))
        kind = type(value)
        return self if issubclass(kind, type) else kind

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, type)

    def __subclasscheck__(self, kind: Any) -> bool:
        return issubclass(kind, type)

    def __getitem__(self, item: Any) -> Any:
        return type[item]

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        raise SecurityViolation(name_text("type"))
