"""The attributes that are looked at when they are accessed, because only the object tells whether that is harmless.

The private attributes of what the standard library has made are refused: a `redirect_stdout` knows how to reach
`sys.modules`, and it is not the only one. Those of the user's own classes, and of external packages, are not.
"""

from __future__ import annotations

from _weakref import CallableProxyType, ProxyType
from collections.abc import Iterator
from types import GenericAlias, MethodType, ModuleType
from typing import Any

from runner.execution.sandbox.language.formatting import guarded_method
from runner.execution.sandbox.language.imports import OUR_OWN, is_stdlib, root_of
from runner.execution.sandbox.language.inside import is_of_the_inside
from runner.execution.sandbox.language.reading import bases_of, home_of, member_of, path_of, remembered
from runner.execution.sandbox.language.rules import (
    ENUM_API,
    FIXED_CLASSES,
    NAMED_TUPLE_API,
    OPEN_CLASSES,
    WATCHED_ATTRIBUTES,
    is_private,
)
from runner.execution.sandbox.language.violations import SecurityViolation, attribute_text, refuse_attribute

_MISSING = object()
_KEEP_AN_OBJ = (AttributeError, ProxyType, CallableProxyType)


def is_of_stdlib(kind: type) -> bool:
    """Whether the standard library has made a class; builtins, which have no secrets, do not count."""
    home = home_of(kind)
    return home != "builtins" and (root_of(home) in OUR_OWN or is_stdlib(home))


def _who_answers(value: Any) -> Iterator[Any]:
    """An object, and those that it asks for attributes which it has not got itself."""
    while True:
        yield value
        if issubclass(type(value), MethodType):
            value = MethodType.__func__.__get__(value)
        elif issubclass(type(value), super):
            value = super.__self_class__.__get__(value)  # type: ignore[attr-defined]
        elif _is_alias(type(value)):
            value = object.__getattribute__(value, "__origin__")
        else:
            return


@remembered
def _is_alias(kind: type) -> bool:
    return issubclass(kind, GenericAlias) or any(path_of(base) == "typing._BaseGenericAlias" for base in bases_of(kind))


def has_secrets(value: Any) -> bool:
    """Whether the standard library, or the runner, had a hand in making an object."""
    return any(map(_has_secrets, _who_answers(value)))


def _has_secrets(value: Any) -> bool:
    kind = type(value)
    if kind is ModuleType and is_stdlib(ModuleType.__getattribute__(value, "__name__")):
        return True
    kinds = bases_of(kind) + (bases_of(value) if issubclass(kind, type) else ())
    return any(map(is_of_stdlib, kinds))


def _kind_of(value: Any) -> type:
    """A class itself, or that of an object."""
    return value if issubclass(type(value), type) else type(value)


def _refuse_private(value: Any, name: str) -> None:
    kind = _kind_of(value)
    if (name in NAMED_TUPLE_API and issubclass(kind, tuple)) or name in ENUM_API or _is_open(kind):
        return
    if has_secrets(value):
        raise SecurityViolation(attribute_text(name))


def _is_open(kind: type) -> bool:
    """Whether objects of a class keep nothing for themselves.

    A class of the code's may say that it is one of these, but not while it inherits what others keep for themselves.
    """
    return path_of(kind) in OPEN_CLASSES and bases_of(kind)[1:] == (dict, object)


def load(value: Any, name: str) -> Any:
    """`value.name`, for a name that needs a look at the value.

    Raises:
        SecurityViolation: it is refused.
    """
    if name in ("format", "format_map"):
        return guarded_method(getattr(value, name), load)
    if name == "args":
        return _looked_through(getattr(value, name))
    return getattr(look(value, name), name)


def look(value: Any, name: str) -> Any:
    """The value itself, if its attribute may be read without changing it.

    Raises:
        SecurityViolation: it may not.
    """
    if name == "obj":
        if any(issubclass(_kind_of(who), _KEEP_AN_OBJ) for who in _who_answers(value)):
            raise SecurityViolation(attribute_text(name))
    elif name in ("format", "format_map"):
        found = getattr(value, name, None)
        if guarded_method(found, load) is not found:
            raise SecurityViolation(attribute_text(name))
    elif name == "args":
        _looked_through(getattr(value, name, ()))
    elif is_private(name):
        _refuse_private(value, name)
    return value


def _looked_through(arguments: Any) -> Any:
    """What an error carries, if it may be seen: an error of the standard library's own may have a metaclass as its key.

    Raises:
        SecurityViolation: it may not.
    """
    if is_of_the_inside(arguments):
        raise SecurityViolation(attribute_text("args"))
    return arguments


def store(value: Any, name: str) -> Any:
    """The value itself, if its attribute may be set or deleted.

    It may not when it is a class or a module of the standard library, or what that has noted about a class.

    Raises:
        SecurityViolation: it may not.
    """
    if is_private(name):
        _refuse_private(value, name)
    is_class = issubclass(type(value), type)
    if (is_class and is_of_stdlib(value)) or type(value) is ModuleType or _is_fixed(type(value)):
        raise SecurityViolation(attribute_text(name))
    return value


@remembered
def _is_fixed(kind: type) -> bool:
    return any(path_of(base) in FIXED_CLASSES for base in bases_of(kind))


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
    try:
        load_by_name(value, name)
    except AttributeError:
        return False
    return True


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
        for name in _positions(kind) if issubclass(type(kind), type) else ():
            if isinstance(name, str):
                name = str.__str__(name)
                refuse_attribute(name)
                if is_private(name) or (name in WATCHED_ATTRIBUTES and issubclass(kind, str | BaseException)):
                    raise SecurityViolation(attribute_text(name))
    return False


def _positions(kind: type) -> tuple[Any, ...]:
    """The attributes that a class names for patterns, if it is sure to name the same ones when it is asked again."""
    names = member_of(kind, "__match_args__", ())
    made_up = (member_of(type(kind), name, None) for name in ("__match_args__", "__getattr__"))
    if type(names) is not tuple or any(made_up) or not _reads_plainly(type(kind)):
        raise SecurityViolation(attribute_text("__match_args__"))
    return names


def _reads_plainly(kind: type) -> bool:
    return member_of(kind, "__getattribute__", None) is type.__dict__["__getattribute__"]
