"""How this folder reads classes: through the descriptors of `type`, so that none can claim to be another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_bases_of = type.__dict__["__mro__"].__get__
_home_of = type.__dict__["__module__"].__get__
_name_of = type.__dict__["__qualname__"].__get__
_members_of = type.__dict__["__dict__"].__get__


def bases_of(kind: type) -> tuple[type, ...]:
    """A class with all that it inherits from."""
    bases: tuple[type, ...] = _bases_of(kind)
    return bases


def home_of(kind: type) -> str:
    """The name of the module that a class says it is from, or nothing."""
    try:
        home = _home_of(kind)
    except AttributeError:
        return ""
    return home if isinstance(home, str) else ""


def path_of(kind: type) -> str:
    """A class as its module and its name in that."""
    return f"{home_of(kind)}.{_name_of(kind)}"


def members_of(kind: type) -> Any:
    """What a class defines itself, by name."""
    return _members_of(kind)


def member_of(kind: type, name: str, default: Any) -> Any:
    """What a class defines or inherits under a name, as it is stored."""
    for base in bases_of(kind):
        if name in (members := members_of(base)):
            return members[name]
    return default


def remembered(ask: Callable[[type], bool]) -> Callable[[type], bool]:
    """A question about classes that is asked once for each: by what they are, whatever they say they are equal to."""
    known: dict[int, tuple[type, bool]] = {}

    def asked(kind: type) -> bool:
        found = known.get(id(kind))
        if found is None:
            found = known[id(kind)] = (kind, ask(kind))
        return found[1]

    return asked
