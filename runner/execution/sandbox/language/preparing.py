"""What is done to modules of the standard library, in this process, once the user's code may have got hold of them.

Members can be replaced in the face of a module (`members`). This is for the rest: methods that can be reached through
any object of their class, and functions that others call on the user's behalf.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from runner.execution.sandbox.language import copying
from runner.execution.sandbox.language.attributes import load
from runner.execution.sandbox.language.classes import check_bases, check_definitions, check_overriding
from runner.execution.sandbox.language.reading import members_of
from runner.execution.sandbox.language.shadows import SHADOWED, shadow

NOT_FOR_CLASSES: dict[str, str] = {
    "collections": "ChainMap Counter UserDict UserList UserString",
    "enum": "Flag",
    "fractions": "Fraction",
    "ipaddress": "_BaseAddress _BaseNetwork",
}
"""Classes with methods that call the class of what they are given. Of a class that is `type`, which makes classes."""

_prepared: set[str] = set()


def prepare_modules() -> None:
    """Prepare the modules that have been imported since the last time. Everybody's: a face may show others' members."""
    for name in [name for name in PREPARED if name not in _prepared and name in sys.modules]:
        module = sys.modules[name]
        if not getattr(getattr(module, "__spec__", None), "_initializing", False):
            _prepared.add(name)
            for prepare in PREPARED[name]:
                prepare(module)


def _prepare_collections(module: Any) -> None:
    """Let the formatting methods of a `UserString` look, as those of a text do."""
    texts = module.UserString
    texts.format = lambda self, /, *args, **kwds: load(self.data, "format")(*args, **kwds)
    texts.format_map = lambda self, mapping: load(self.data, "format_map")(mapping)


def _prepare_copy(module: Any) -> None:
    module.copy, module.deepcopy = copying.copy, copying.deepcopy


def _prepare_enum(module: Any) -> None:
    """Look at what is defined when a class is made by calling an enumeration."""
    real = module.EnumType._create_

    def guarded(cls: Any, class_name: Any, names: Any, **options: Any) -> Any:
        """Stand in for `EnumType._create_`."""
        if isinstance(names, str):
            names = str.__str__(names).replace(",", " ").split()
        elif isinstance(names, dict):
            names = dict.items(names)
        # What has been looked at is what is used: nothing that could say something else the next time
        plain = [_plain_member(item) for item in names]
        check_definitions([item if isinstance(item, str) else item[0] for item in plain], dunders=False)
        if options.get("module") is None:  # or else it would be found where this is called: in enum
            options["module"] = sys._getframe(2).f_globals.get("__name__")  # noqa: SLF001
        made = real(cls, class_name, plain, **options)
        check_bases(made)
        check_overriding(made, members_of(module.Enum).keys() | members_of(module.Flag).keys())
        return made

    module.EnumType._create_ = guarded


def _plain_member(item: Any) -> str | tuple[str, Any]:
    if isinstance(item, str):
        return str.__str__(item)
    name, value = item
    if not isinstance(name, str):
        raise TypeError("the name of a member must be a string")
    return str.__str__(name), value


def _keep_from_classes(module: Any) -> None:
    """See that methods are not given a class for the object that they are a method of."""
    for name in NOT_FOR_CLASSES[module.__name__].split():
        kind = getattr(module, name)
        for method, function in list(members_of(kind).items()):
            is_property = type(function) is property
            plain = function.fget if is_property else function
            if type(plain) is FunctionType and "__class__" in plain.__code__.co_names:
                guarded = _not_for_classes(plain)
                setattr(kind, method, property(guarded, function.fset, function.fdel) if is_property else guarded)


def _not_for_classes(function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(self: Any, /, *arguments: Any, **named: Any) -> Any:
        if issubclass(type(self), type):
            raise TypeError(f"{function.__qualname__}() is for objects, not for classes")
        return function(self, *arguments, **named)

    return guarded


def _steps() -> dict[str, list[Callable[[ModuleType], None]]]:
    steps: dict[str, list[Callable[[ModuleType], None]]] = {
        "collections": [_prepare_collections],
        "copy": [_prepare_copy],
        "enum": [_prepare_enum],
    }
    for name in SHADOWED:
        steps.setdefault(name, []).append(shadow)
    for name in NOT_FOR_CLASSES:
        steps.setdefault(name, []).append(_keep_from_classes)
    return steps


PREPARED = _steps()
"""What is done to each module."""
