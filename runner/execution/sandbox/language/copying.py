"""`copy`, made so that an object's own word is all that its copy is made of.

The one of the standard library lets a memory answer for anything that is copied: for what a bound operator is made of,
which is a call of `getattr`, and for the private state of objects. It also shows that state to whoever can read the
memory. Here the memory holds what `__deepcopy__` methods have noted in it, which answers for values and never for
what objects of the standard library are made of; what has been copied is remembered elsewhere.
"""

from __future__ import annotations

import copyreg
from _weakref import ref  # the part in C: it is there already
from collections.abc import Callable
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, MethodType
from typing import Any

from runner.execution.sandbox.language.attributes import guarded_getattr, guarded_setattr, has_secrets
from runner.execution.sandbox.language.reading import member_of
from runner.execution.sandbox.language.violations import SecurityViolation, attribute_text

_SAME = frozenset(
    {type(None), type(...), type(NotImplemented), int, float, bool, complex, bytes, str, range, property, ref}
    | {FunctionType, BuiltinFunctionType, CodeType}
)
"""The types of what is its own copy; classes are as well."""

_SAME_BUT_FOR_PARTS = _SAME | {tuple, frozenset, slice}
_COPIED_BY_THEMSELVES = frozenset({list, dict, set, bytearray})
_MISSING: Any = object()

Copied = Callable[[Any, bool], Any]
"""Takes a part of an object, and whether notes may answer for it; returns its copy."""

_copiers: dict[int, _Copier] = {}
"""Who works with a memory, by its `id`. A memory that the code has made may be used again, and so stays."""


def copy(x: Any) -> Any:
    """Copy an object, but not its parts: `copy.copy`."""
    kind = type(x)
    if kind in _SAME_BUT_FOR_PARTS or issubclass(kind, type):
        return x
    if kind in _COPIED_BY_THEMSELVES:
        return kind.copy(x)
    method = getattr(kind, "__copy__", None)
    if method is not None:
        return method(x)
    return _rebuilt(x, lambda part, _: part, lambda made: None, True)


def deepcopy(x: Any, memo: Any = None) -> Any:
    """Copy an object with all its parts: `copy.deepcopy`."""
    if memo is not None and not issubclass(type(memo), dict):
        raise TypeError("memo must be a dict")
    known = None if memo is None else _copiers.get(id(memo))
    if known is not None:
        return known.copy(x, True)
    memory = {} if memo is None else memo
    copier = _copiers[id(memory)] = _Copier(memory)
    try:
        return copier.copy(x, True)
    finally:
        if memo is None:
            del _copiers[id(memory)]


class _Copier:
    """Makes deep copies that belong together."""

    def __init__(self, notes: dict[Any, Any]) -> None:
        self._notes = notes
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []

    def copy(self, x: Any, may_be_noted: bool) -> Any:
        kind = type(x)
        if kind in _SAME or issubclass(kind, type):
            return x
        made = self._made.get(id(x), _MISSING)
        if made is _MISSING and may_be_noted:
            made = dict.get(self._notes, id(x), _MISSING)
        if made is not _MISSING:
            return made
        self._kept.append(x)  # so that its `id` stays its own
        maker = _MAKERS.get(kind)
        made = self._by_protocol(x, may_be_noted) if maker is None else maker(self, x, may_be_noted)
        self._made[id(x)] = made
        return made

    def _by_protocol(self, x: Any, may_be_noted: bool) -> Any:
        method = getattr(x, "__deepcopy__", None)
        if method is not None:
            return method(self._notes)

        def remember(made: Any) -> None:
            self._made[id(x)] = made

        return _rebuilt(x, self.copy, remember, may_be_noted)

    def _list(self, x: list[Any], may_be_noted: bool) -> list[Any]:
        made: list[Any] = []
        self._made[id(x)] = made
        made.extend(self.copy(item, may_be_noted) for item in x)  # one by one: an item may lead back to the list
        return made

    def _dict(self, x: dict[Any, Any], may_be_noted: bool) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        self._made[id(x)] = made
        for key, value in x.items():
            made[self.copy(key, may_be_noted)] = self.copy(value, may_be_noted)
        return made

    def _tuple(self, x: tuple[Any, ...], may_be_noted: bool) -> tuple[Any, ...]:
        items = [self.copy(item, may_be_noted) for item in x]
        made: tuple[Any, ...] = self._made.get(id(x), _MISSING)  # it may be in itself, by way of a list
        if made is not _MISSING:
            return made
        return x if all(item is old for item, old in zip(items, x, strict=True)) else tuple(items)

    def _method(self, x: MethodType, _: bool) -> MethodType:
        return MethodType(x.__func__, self.copy(x.__self__, False))


_MAKERS: dict[type, Callable[[_Copier, Any, bool], Any]] = {
    list: _Copier._list,  # noqa: SLF001 - of the class above
    dict: _Copier._dict,  # noqa: SLF001
    tuple: _Copier._tuple,  # noqa: SLF001
    MethodType: _Copier._method,  # noqa: SLF001
}


def _parts_of(x: Any) -> Any:
    """What the class of an object says of what it is made of."""
    kind: Any = type(x)
    reduce = copyreg.dispatch_table.get(kind)
    return kind.__reduce_ex__(x, 4) if reduce is None else reduce(x)


def _rebuilt(x: Any, copied: Copied, remember: Callable[[Any], None], may_be_noted: bool) -> Any:
    """An object made of copies of the parts of another one.

    Raises:
        SecurityViolation: the parts are not those of such an object.
    """
    parts: Any = _parts_of(x)
    if isinstance(parts, str):
        return x
    function, arguments, state, items, pairs = [*parts, None, None, None][:5]
    if function is getattr:  # it is a bound operator
        function = guarded_getattr
    made = function(*(copied(argument, False) for argument in arguments or ()))
    remember(made)
    if state is not None:
        if type(made) is not type(x):  # but a class of the standard library, say
            raise SecurityViolation(attribute_text("__setstate__"))
        is_open = may_be_noted and not has_secrets(x)
        _set_state(made, state, lambda part: copied(part, is_open))
    for item in items or ():
        made.append(copied(item, may_be_noted))
    for key, value in pairs or ():
        made[copied(key, may_be_noted)] = copied(value, may_be_noted)
    return made


def _set_state(made: Any, state: Any, copied: Callable[[Any], Any]) -> None:
    """Give an object the state of the one that it is a copy of. What its attributes are called is not copied."""
    kind = type(made)
    if member_of(kind, "__setstate__", None) is not None:
        kind.__setstate__(made, _members(state, copied))
        return
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
        for name, value in (slots or {}).items():
            is_slot = type(member_of(kind, name, None)) is MemberDescriptorType
            (setattr if is_slot else guarded_setattr)(made, name, copied(value))
    if state is not None:
        made.__dict__.update(_members(state, copied))


def _members(state: Any, copied: Callable[[Any], Any]) -> Any:
    if type(state) is dict:
        return {name: copied(value) for name, value in state.items()}
    return copied(state)
