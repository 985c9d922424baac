"""`str.format`, whose fields read attributes by the names in a text: each of them is looked at first."""

from __future__ import annotations

from _string import formatter_field_name_split, formatter_parser  # type: ignore[import-not-found]
from collections.abc import Callable, Mapping
from types import BuiltinMethodType, MethodDescriptorType
from typing import Any

from runner.execution.sandbox.language.violations import refuse_attribute

Load = Callable[[Any, str], Any]


def guarded_method(method: Any, load: Load) -> Any:
    """What stands in for the `format` or `format_map` of a text; the same method, if it is something else's."""
    if type(method) is MethodDescriptorType and method in (str.format, str.format_map):
        return _unbound(method is str.format_map, load)
    if type(method) is BuiltinMethodType and isinstance(text := method.__self__, str):
        unbound = _unbound(method.__name__ == "format_map", load)
        plain = str.__str__(text)  # what `format` itself works with, whatever a class of the user's says it is

        def bound(*arguments: Any, **named: Any) -> str:
            """Stand in for the method of one text."""
            return unbound(plain, *arguments, **named)

        return bound
    return method


def _unbound(is_map: bool, load: Load) -> Callable[..., str]:
    def guarded_format(text: str, /, *arguments: Any, **named: Any) -> str:
        """Stand in for `str.format`."""
        if not isinstance(text, str):
            raise TypeError(f"descriptor 'format' for 'str' objects doesn't apply to a '{type(text).__name__}' object")
        return _formatted(str.__str__(text), arguments, named, load)

    def guarded_format_map(text: str, mapping: Any, /) -> str:
        """Stand in for `str.format_map`."""
        return _formatted(str.__str__(text), (), mapping, load)

    return guarded_format_map if is_map else guarded_format


def _formatted(text: str, arguments: tuple[Any, ...], named: Any, load: Load) -> str:
    """The text with its fields filled in: by Python itself, unless they have attributes.

    Raises:
        SecurityViolation: a field has an attribute that is refused.
    """
    if not _attributes(text):
        return str.format(text, *arguments, **named) if isinstance(named, dict) else str.format_map(text, named)
    filled: str = formatter(load)().vformat(text, arguments, named)
    return filled


def _attributes(text: str) -> bool:
    """Whether the fields of a text, and those inside of their own formats, have attributes; none that is refused."""
    found = False
    for _, field, inner, _ in formatter_parser(text):
        if field:
            found = bool(_steps(field)) or found
        if inner:
            found = _attributes(inner) or found
    return found


def _steps(field: str) -> list[str]:
    """The attributes that a field reads.

    Raises:
        SecurityViolation: one of them is refused.
    """
    names = [name for is_attribute, name in formatter_field_name_split(field)[1] if is_attribute]
    for name in names:
        refuse_attribute(name)
    return names


def formatter(load: Load) -> type[Any]:
    """A `string.Formatter` that looks at each attribute before it reads it."""
    import string  # only for code that needs it

    class Formatter(string.Formatter):
        """Stands in for `string.Formatter`."""

        def get_field(self, field_name: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
            """Find what a field stands for."""
            first, rest = formatter_field_name_split(str.__str__(field_name))
            value = self.get_value(first, args, kwargs)
            for is_attribute, step in rest:
                if is_attribute:
                    refuse_attribute(step)
                    value = load(value, step)
                else:
                    value = value[step]
            return value, first

    return Formatter
