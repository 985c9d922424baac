"""`getattr` and `setattr` as some modules of the standard library see them: for names that come from the user's code.

A module that reads attributes by names made at run time finds, in its own namespace and so before the builtins, a
function of the same name that looks first. It does not matter by which function or class the name has come.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from runner.execution.sandbox.language.attributes import guarded_getattr, load
from runner.execution.sandbox.language.reading import members_of
from runner.execution.sandbox.language.rules import WATCHED_ATTRIBUTES
from runner.execution.sandbox.language.violations import SecurityViolation, attribute_text, refuse_attribute

Own = Container[str]
"""The names that a module asks for by itself."""

Make = Callable[[Own], Callable[..., Any]]
"""Makes what stands in for a builtin of a module."""

_MISSING: Any = object()
_shadows: set[Any] = set()


def is_shadow(value: Any) -> bool:
    """Whether a member of a module has been put there by `shadow`."""
    return type(value) is FunctionType and value in _shadows


def shadow(module: ModuleType) -> None:
    """Put functions into a module that stand in for its builtins."""
    for name, make in SHADOWED[module.__name__].items():
        function = make(_Own(module))
        _shadows.add(function)
        setattr(module, name, function)


class _Own:
    """The names that stand in the text of a module. Looked for when first needed."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._names: set[str] | None = None

    def __contains__(self, name: object) -> bool:
        if self._names is None:
            self._names = {*_texts(vars(self._module).values()), *_texts(_codes(self._module))}
        return name in self._names


def _codes(module: ModuleType) -> Iterator[CodeType]:
    """The code of the functions and methods of a module."""
    members = list(vars(module).values())
    for kind in [member for member in members if isinstance(member, type) and member.__module__ == module.__name__]:
        members += members_of(kind).values()
    for member in members:
        for function in (member, getattr(member, "__func__", None), getattr(member, "fget", None)):
            if isinstance(function, FunctionType):
                yield function.__code__


def _texts(constants: Any) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _texts(constant.co_consts)
        elif isinstance(constant, tuple | frozenset):
            yield from _texts(constant)


def _looking(own: Own) -> Callable[..., Any]:
    """A `getattr` with all the rules that hold for the user's code."""

    def shadowing_getattr(value: Any, name: Any, default: Any = _MISSING, /) -> Any:
        """Stand in for the builtin `getattr`."""
        try:
            return guarded_getattr(value, name) if default is _MISSING else guarded_getattr(value, name, default)
        except SecurityViolation:
            if name not in own and not str(name).endswith("__in_progress"):  # a mark of enum's on a class
                raise
            return getattr(value, name) if default is _MISSING else getattr(value, name, default)

    return shadowing_getattr


def _naming(own: Own) -> Callable[..., Any]:
    """A `getattr` with the rules about names; private ones are read, because classes have such fields."""

    def shadowing_getattr(value: Any, name: Any, default: Any = _MISSING, /) -> Any:
        """Stand in for the builtin `getattr`."""
        if name not in own:
            refuse_attribute(str.__str__(name))
        read = load if name in WATCHED_ATTRIBUTES else getattr
        try:
            return read(value, name)
        except AttributeError:
            if default is _MISSING:
                raise
            return default

    return shadowing_getattr


def _for_two_streams(real: Callable[..., Any]) -> Make:
    """A `getattr` or `setattr` that reads and sets what the module itself names, and nothing else."""

    def make(own: Own) -> Callable[..., Any]:
        def shadowing(value: Any, name: Any, *more: Any) -> Any:
            """Stand in for the builtin of that name."""
            if name not in own and name not in ("stdout", "stderr"):
                raise SecurityViolation(attribute_text(str(name)))
            return real(value, name, *more)

        return shadowing

    return make


SHADOWED: dict[str, dict[str, Make]] = {
    # A class says which member of `sys` it redirects
    "contextlib": {"getattr": _for_two_streams(getattr), "setattr": _for_two_streams(setattr)},
    # asdict, astuple and replace read what fields are called
    "dataclasses": {"getattr": _naming},
    # A property of an enumeration reads what it is called
    "enum": {"getattr": _looking},
    # Fields again
    "pprint": {"getattr": _naming},
    # Formatter reads what the fields of a text name
    "string": {"getattr": _looking},
}
"""The modules whose builtins have something in front of them, each with where its names come from."""
