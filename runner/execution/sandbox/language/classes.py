"""Class statements, where they are allowed: what a class defines is looked at when it is made."""

from __future__ import annotations

import builtins
import typing
from collections.abc import Container, Iterable
from typing import Any, Final

from runner.execution.sandbox.language.attributes import is_of_stdlib
from runner.execution.sandbox.language.reading import bases_of, members_of, path_of
from runner.execution.sandbox.language.rules import FIXED_CLASSES, WATCHED_ATTRIBUTES, is_private
from runner.execution.sandbox.language.violations import (
    SecurityViolation,
    attribute_refusal,
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
    if not issubclass(type(options.get("metaclass", type)), type):
        # It could prepare a namespace in which the body of the class finds other looks than ours
        raise SecurityViolation(name_text("__prepare__"))
    made = builtins.__build_class__(function, name, *bases, **options)
    if issubclass(type(made), type):
        check_definitions(members_of(made))
        check_bases(made)
        check_overriding(made)
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
        if text is None and not dunders:
            text = name_text(name) if name[:2] == "__" else attribute_refusal(name)
        if text is not None:
            raise SecurityViolation(text)


def check_bases(made: type) -> None:
    """Refuse to inherit from what has to stay as it was made: what may not be set could be answered by a property.

    Raises:
        SecurityViolation: the class does.
    """
    for kind in bases_of(made):
        if path_of(kind) in FIXED_CLASSES:
            raise SecurityViolation(attribute_text(kind.__name__))


def check_overriding(made: type, but_for: Container[str] = frozenset({"_abc_impl"})) -> None:
    """Refuse to replace what a class of the standard library keeps for itself.

    Raises:
        SecurityViolation: the class does.
    """
    own = [kind for kind in bases_of(made)[1:] if is_of_stdlib(kind)]
    for name in filter(is_private, members_of(made)):
        if name[-1] != "_" and name not in but_for and any(name in members_of(kind) for kind in own):
            raise SecurityViolation(attribute_text(name))


def check_annotations(made: Any) -> None:
    """Refuse annotations for what is no name: there are libraries that make code of it, and read attributes by it.

    Raises:
        SecurityViolation: there is such an annotation.
    """
    bases = bases_of(made) if issubclass(type(made), type) else ()
    is_watched = any(issubclass(kind, str | BaseException) for kind in bases)
    for kind in bases:
        annotations = members_of(kind).get("__annotations__", {})
        for name in annotations if isinstance(annotations, dict) else ():
            if type(name) is not str or not name.isidentifier() or name_refusal(name) or attribute_refusal(name):
                raise SecurityViolation(name_text("__annotations__"))
            if is_watched and name in WATCHED_ATTRIBUTES:
                raise SecurityViolation(attribute_text(name))


def check_fields(made: type) -> None:
    """Refuse fields that `dataclasses` would read what is not the user's by.

    Those are private ones in what is made of a class of the standard library, and those that earlier runs of
    `dataclass` have noted under another name than the one that was checked.

    Raises:
        SecurityViolation: there is such a field.
    """
    is_of_others = any(map(is_of_stdlib, bases_of(made)))
    for kind in bases_of(made):
        for name in members_of(kind).get("__annotations__", {}):
            if is_of_others and is_private(name):
                raise SecurityViolation(attribute_text(name))
        fields = members_of(kind).get("__dataclass_fields__", {})
        if type(fields) is not dict or any(field.name is not name for name, field in fields.items()):
            raise SecurityViolation(name_text("__dataclass_fields__"))


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
        # Not `type[item]`, which makes classes when it is called
        return typing.Type[item]  # noqa: UP006

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        raise SecurityViolation(name_text("type"))


TYPE: Final = Type()
"""What everybody gets for `type`, so that it is equal to itself."""
