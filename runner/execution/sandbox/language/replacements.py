"""What stands in for members of the standard library that read, or set, attributes by names made at run time."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from runner.execution.sandbox.language.attributes import load_by_name, store
from runner.execution.sandbox.language.classes import TYPE, check_annotations, check_fields
from runner.execution.sandbox.language.violations import SecurityViolation, attribute_text, refuse_attribute

COPIED = ("__module__", "__name__", "__qualname__", "__doc__")
"""What `wraps` copies from one function to another; `__wrapped__` and the like stay out of reach anyway."""


def update_wrapper(_: Any) -> Callable[..., Any]:
    """`functools.update_wrapper`, which would read and set attributes by name."""

    def guarded(wrapper: Any, wrapped: Any, assigned: Iterable[str] = COPIED, updated: Iterable[str] = ()) -> Any:
        """Stand in for `functools.update_wrapper`."""
        for name in (*assigned, *updated):
            if name not in (*COPIED, "__dict__", "__annotations__", "__type_params__"):
                raise SecurityViolation(attribute_text(str(name)))
        store(wrapper, "__module__")  # of a class of the standard library it says whose class that is
        return functools.update_wrapper(wrapper, wrapped, COPIED, ())

    return guarded


def wraps(_: Any) -> Callable[..., Any]:
    """`functools.wraps`, in the same way."""
    update = update_wrapper(None)

    def guarded(wrapped: Any, assigned: Iterable[str] = COPIED, updated: Iterable[str] = ()) -> Any:
        """Stand in for `functools.wraps`."""
        return lambda wrapper: update(wrapper, wrapped, tuple(assigned), tuple(updated))

    return guarded


def singledispatch(_: Any) -> Callable[..., Any]:
    """`functools.singledispatch`, which would evaluate annotations that are text."""

    def guarded(function: Any) -> Any:
        """Stand in for `functools.singledispatch`."""
        dispatcher: Any = functools.singledispatch(function)
        register = dispatcher.register

        def guarded_register(cls: Any, func: Any = None) -> Any:
            """Register a function for a class; without one, for the class in its annotations."""
            if func is None and not isinstance(cls, type):
                annotated = list(getattr(cls, "__annotations__", {}).values())
                if not annotated or type(annotated[0]) is not type:
                    raise SecurityViolation(attribute_text("__annotations__"))
                return register(annotated[0], cls)
            return register(cls, func)

        dispatcher.register = guarded_register
        return dispatcher

    return guarded


def attrgetter(_: Any) -> Callable[..., Any]:
    """`operator.attrgetter`, which would read any attribute."""

    def guarded(*paths: str) -> Callable[[Any], Any]:
        """Stand in for `operator.attrgetter`."""
        if not all(isinstance(path, str) for path in paths) or not paths:
            raise TypeError("attribute name must be a string")
        steps = [str.__str__(path).split(".") for path in paths]
        for names in steps:
            for name in names:
                refuse_attribute(name)
        single = len(steps) == 1
        return lambda value: (
            functools.reduce(load_by_name, steps[0], value)
            if single
            else tuple(functools.reduce(load_by_name, names, value) for names in steps)
        )

    return guarded


def methodcaller(_: Any) -> Callable[..., Any]:
    """`operator.methodcaller`, which would call any method."""

    def guarded(name: str, /, *arguments: Any, **named: Any) -> Callable[[Any], Any]:
        """Stand in for `operator.methodcaller`."""
        refuse_attribute(str(name))
        return lambda value: load_by_name(value, name)(*arguments, **named)

    return guarded


def get_origin(real: Any) -> Callable[[Any], Any]:
    """`typing.get_origin`, which would hand out `type` for an alias of it."""

    def guarded(tp: Any) -> Any:
        """Stand in for `typing.get_origin`."""
        origin = real(tp)
        return TYPE if issubclass(type(origin), type) and issubclass(origin, type) else origin

    return guarded


def redirect_stdout(_: Any) -> Callable[..., Any]:
    """`contextlib.redirect_stdout`, which keeps what it has replaced where it can be read."""
    return _redirect("stdout")


def redirect_stderr(_: Any) -> Callable[..., Any]:
    """`contextlib.redirect_stderr`, in the same way."""
    return _redirect("stderr")


def _redirect(stream: str) -> Callable[..., Any]:
    @contextlib.contextmanager
    def guarded(new_target: Any) -> Iterator[Any]:
        """Stand in for `contextlib.redirect_stdout` and `redirect_stderr`."""
        before = getattr(sys, stream)
        setattr(sys, stream, new_target)
        try:
            yield new_target
        finally:
            setattr(sys, stream, before)

    return guarded


def dataclass(real: Any) -> Callable[..., Any]:
    """`dataclasses.dataclass`, which would put the names of annotations into text that it runs."""

    def guarded(cls: Any = None, /, **options: Any) -> Any:
        """Stand in for `dataclasses.dataclass`."""
        if cls is None:
            return lambda kind: guarded(kind, **options)
        if not issubclass(type(cls), type):
            raise TypeError("dataclass() takes a class")
        store(cls, "__init__")
        check_annotations(cls)
        check_fields(cls)
        return real(cls, **options)

    return guarded
