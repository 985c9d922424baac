"""The attributes that are looked at when they are accessed, because only the object tells whether that is harmless.

The private attributes of what the standard library has made are refused: a `redirect_stdout` knows how to reach
`sys.modules`, and it is not the only one. Those of the user's own classes, and of external packages, are not.
"""

from __future__ import annotations

from typing import Any

from runner.execution.sandbox.language.formatting import guarded_method
from runner.execution.sandbox.language.imports import OUR_OWN, is_stdlib, root_of
from runner.execution.sandbox.language.rules import ENUM_API, NAMED_TUPLE_API, WATCHED_ATTRIBUTES, is_private
from runner.execution.sandbox.language.violations import SecurityViolation, attribute_text, refuse_attribute

# Read through these, a class cannot claim to be another one.
_bases_of = type.__dict__["__mro__"].__get__
_home_of = type.__dict__["__module__"].__get__

_MISSING = object()


def is_of_stdlib(kind: type) -> bool:
    """Whether the standard library has made a class; builtins, which have no secrets, do not count."""
    home = _home_of(kind)
    if not isinstance(home, str) or home == "builtins":
        return False
    return root_of(home) in OUR_OWN or is_stdlib(home)


def bases_of(kind: type) -> tuple[type, ...]:
    """A class with all that it inherits from."""
    bases: tuple[type, ...] = _bases_of(kind)
    return bases


def has_secrets(value: Any) -> bool:
    """Whether the standard library, or the runner, had a hand in making an object."""
    kinds = bases_of(type(value)) + (bases_of(value) if issubclass(type(value), type) else ())
    return any(is_of_stdlib(kind) for kind in kinds)


def _refuse_private(value: Any, name: str) -> None:
    kind = value if issubclass(type(value), type) else type(value)
    if (name in NAMED_TUPLE_API and issubclass(kind, tuple)) or name in ENUM_API:
        return
    if has_secrets(value):
        raise SecurityViolation(attribute_text(name))


def load(value: Any, name: str) -> Any:
    """`value.name`, for a name that needs a look at the value.

    Raises:
        SecurityViolation: it is refused.
    """
    if name in ("format", "format_map"):
        return guarded_method(value, getattr(value, name), load)
    return getattr(look(value, name), name)


def look(value: Any, name: str) -> Any:
    """The value itself, if its attribute may be read without changing it.

    Raises:
        SecurityViolation: it may not.
    """
    if name in WATCHED_ATTRIBUTES:
        kind = value if issubclass(type(value), type) else type(value)
        if issubclass(kind, AttributeError if name == "obj" else str):
            raise SecurityViolation(attribute_text(name))
    elif is_private(name):
        _refuse_private(value, name)
    return value


def store(value: Any, name: str) -> Any:
    """The value itself, if its attribute may be set or deleted: not when it is a class of the standard library.

    Raises:
        SecurityViolation: it may not.
    """
    if is_private(name):
        _refuse_private(value, name)
    if issubclass(type(value), type) and is_of_stdlib(value):
        raise SecurityViolation(attribute_text(name))
    return value


def load_by_name(value: Any, name: Any) -> Any:
    """What `getattr` does for the user, when the name has been made at run time.

    Raises:
        SecurityViolation: it is refused.
    """
    if type(name) is not str:
        if not isinstance(name, str):
            raise TypeError(f"attribute name must be string, not '{type(name).__name__}'")
        name = str.__str__(name)
    refuse_attribute(name)
    return load(value, name)


def guarded_getattr(value: Any, name: Any, default: Any = _MISSING, /) -> Any:
    """Stand in for the builtin `getattr`."""
    try:
        return load_by_name(value, name)
    except AttributeError:
        if default is _MISSING:
            raise
        return default


def guarded_hasattr(value: Any, name: Any, /) -> bool:
    """Stand in for the builtin `hasattr`."""
    return guarded_getattr(value, name, _MISSING) is not _MISSING


def guarded_setattr(value: Any, name: Any, new: Any, /) -> None:
    """Stand in for the builtin `setattr`."""
    name = _checked(name)
    setattr(store(value, name), name, new)


def guarded_delattr(value: Any, name: Any, /) -> None:
    """Stand in for the builtin `delattr`."""
    name = _checked(name)
    delattr(store(value, name), name)


def _checked(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"attribute name must be string, not '{type(name).__name__}'")
    plain = str.__str__(name)
    refuse_attribute(plain)
    return plain


def refuse_match(*classes: Any) -> bool:
    """Look at the classes of patterns that read attributes by position; say false, so that the case does not match.

    Raises:
        SecurityViolation: such an attribute is refused.
    """
    for kind in classes:
        names = getattr(kind, "__match_args__", ())
        for name in names if isinstance(names, tuple) else ():
            if isinstance(name, str):
                name = str.__str__(name)
                refuse_attribute(name)
                if name in WATCHED_ATTRIBUTES or is_private(name):
                    raise SecurityViolation(attribute_text(name))
    return False
