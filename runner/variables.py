"""What an environment variable can hold: its kind parses text, checks values and says what is allowed.

The variables themselves, one for each setting, are declared in `runner.config`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import attrs

HIGHEST = 10**9
"""No number of a setting without a bound of its own is higher: as seconds, thirty years."""

METADATA_KEY = "variable"
"""Where an attrs field keeps its `Variable`."""


_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?")
"""A host name, an IPv4 address, or an IPv6 address without its brackets."""


class Kind(Protocol):
    """The type of a variable."""

    @property
    def allowed(self) -> str:
        """What is allowed, for error messages and for the documentation."""

    def parse(self, text: str) -> Any:
        """The value that `text` stands for. Raises ValueError where it stands for none."""

    def check(self, value: Any) -> bool:
        """Whether a value, however it came to be, is allowed."""


@attrs.frozen
class Text:
    """Any text."""

    allowed: str = "text"

    def parse(self, text: str) -> str:
        """The text without the white space around it."""
        return text.strip()

    def check(self, value: Any) -> bool:
        """Any text without control characters: it may end up in a header or in a log."""
        return isinstance(value, str) and value.isprintable()


@attrs.frozen
class Number:
    """A number within bounds, whole unless `fraction`."""

    minimum: float
    maximum: float | None = None
    above: bool = False
    fraction: bool = False

    @property
    def allowed(self) -> str:
        """The bounds in words."""
        kind = "a number" if self.fraction else "a whole number"
        low = f"above {self.minimum:g}" if self.above else f"of at least {self.minimum:g}"
        if self.maximum is None:
            return f"{kind} {low}"
        return f"{kind} from {self.minimum:.0f} to {self.maximum:.0f}"

    def parse(self, text: str) -> float:
        """A whole number where it is one, else a fraction."""
        number = text.strip()
        if re.fullmatch(r"[+-]?[0-9]{1,18}", number):
            return int(number)
        if self.fraction and re.fullmatch(r"[+-]?[0-9]{1,18}\.[0-9]{0,18}", number):
            return float(number)
        raise ValueError

    def check(self, value: Any) -> bool:
        """Whether it is a number within the bounds."""
        if isinstance(value, bool) or not isinstance(value, (int, float) if self.fraction else int):
            return False
        low_enough = value <= (HIGHEST if self.maximum is None else self.maximum)
        high_enough = value > self.minimum if self.above else value >= self.minimum
        return low_enough and high_enough


@attrs.frozen
class Flag:
    """Yes or no."""

    allowed: str = "true or false"

    def parse(self, text: str) -> bool:
        """What people write for yes and no, in any case."""
        word = text.strip().lower()
        if word in {"true", "1", "yes", "on"}:
            return True
        if word in {"false", "0", "no", "off"}:
            return False
        raise ValueError

    def check(self, value: Any) -> bool:
        """Whether it is a bool."""
        return isinstance(value, bool)


@attrs.frozen
class TrueOrNot(Flag):
    """Yes when it says `true`, no for everything else: how n8n reads N8N_BLOCK_RUNNER_ENV_ACCESS."""

    allowed: str = "true, or anything else for false"

    def parse(self, text: str) -> bool:
        """Whether the text is `true`, in any case."""
        return text.strip().lower() == "true"


@attrs.frozen
class Choice:
    """One of some words, in any case."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """The words."""
        return "one of " + ", ".join(self.words)

    def parse(self, text: str) -> str:
        """The word in lower case."""
        return text.strip().lower()

    def check(self, value: Any) -> bool:
        """Whether it is one of the words."""
        return value in self.words


@attrs.frozen
class Uri:
    """The address of a task broker."""

    allowed: str = "an http:// or https:// address without user name, query and fragment"

    def parse(self, text: str) -> str:
        """The text without the white space around it."""
        return text.strip()

    def check(self, value: Any) -> bool:
        """Whether the parts that are needed are there, and no others."""
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            return False
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            return False
        known = parts.scheme in {"http", "https", "ws", "wss"}
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        return known and plain and port != 0 and _HOST.fullmatch(parts.hostname or "") is not None


@attrs.frozen
class UrlPath:
    """The path below which a task broker serves."""

    allowed: str = "a path that begins with / and has no ?, # or space"

    def parse(self, text: str) -> str:
        """The text without the white space around it and without a slash at its end."""
        return text.strip().rstrip("/")

    def check(self, value: Any) -> bool:
        """Whether it can stand in an address."""
        return isinstance(value, str) and value.isprintable() and re.fullmatch(r"(/[^\s?#/]+)*", value) is not None


@attrs.frozen
class Names:
    """A list of names with commas between; `*` alone stands for all where `wildcard` is set."""

    wildcard: bool = False

    @property
    def allowed(self) -> str:
        """The form of the list."""
        return "names with commas between" + (", or * alone" if self.wildcard else "")

    def parse(self, text: str) -> frozenset[str]:
        """The names without the white space around them, empty ones left out."""
        return frozenset(name.strip() for name in text.split(",") if name.strip())

    def check(self, value: Any) -> bool:
        """Whether it is a set of names, and `*` alone if at all."""
        if not isinstance(value, frozenset) or not all(isinstance(name, str) for name in value):
            return False
        return "*" not in value or (self.wildcard and len(value) == 1)


@attrs.frozen
class Paths:
    """A list of absolute paths, with colons between them as in PATH."""

    allowed: str = "absolute paths with colons between"

    def parse(self, text: str) -> tuple[str, ...]:
        """The paths without the white space around them, empty ones left out."""
        return tuple(path.strip() for path in text.split(":") if path.strip())

    def check(self, value: Any) -> bool:
        """Whether all of them are paths from the root on."""
        return isinstance(value, tuple) and all(
            isinstance(path, str) and path.startswith("/") and path.isprintable() for path in value
        )


@attrs.frozen
class Variable:
    """One environment variable: everything that is known about it.

    Parameters:
        name: the variable. `name + "_FILE"` names a file that holds its value.
        kind: its type.
        meaning: one sentence for the documentation.
        unit: `s`, `bytes` or nothing.
        since: the version of n8n-runner in which it took effect.
        secret: whether its value is never shown.
        fallback: what is said for its default when the value itself would not tell.
        optional: whether None is allowed, and means that it was not set.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    since: str = "0.1"
    secret: bool = False
    fallback: str | None = None
    optional: bool = False

    def problem(self, value: Any) -> str:
        """The line that says why `value` will not do."""
        if isinstance(self.kind, Names) and self.kind.wildcard and isinstance(value, frozenset) and "*" in value:
            got = ", ".join(sorted(map(str, value)))
            return f"Wildcard '*' in {self.name} must be used alone, not with other modules. Got: {got}"
        if isinstance(self.kind, Uri):
            value = _without_secrets(value)
        shown = "a value that is not shown" if self.secret else repr(value)
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name} is {shown}: it must be {self.kind.allowed}{unit}"


def _without_secrets(value: Any) -> Any:
    """The value, without what may be a password or a token in an address."""
    if not isinstance(value, str):
        return value
    if "@" not in value:
        return re.sub(r"\?.*", "?***", value, flags=re.DOTALL)
    scheme, slashes, rest = value.partition("//")
    return f"{scheme}{slashes}***@{rest.rpartition('@')[2]}" if "@" in rest else f"***@{value.rpartition('@')[2]}"


def is_set(kind: Kind, text: str) -> bool:
    """Whether `text` says anything. For a list of names, an empty text does: it says «none»."""
    return bool(text.strip()) or isinstance(kind, Names)


def source_of(variable: Variable, environment: Mapping[str, str]) -> str | None:
    """Which of the two forms of a variable counts, `X` or `X_FILE`; None if neither says anything."""
    text = environment.get(variable.name)
    if text is not None and is_set(variable.kind, text):
        return variable.name
    name = variable.name + "_FILE"
    return name if environment.get(name, "").strip() else None


def read_text(variable: Variable, environment: Mapping[str, str], read: Callable[[str], str]) -> str | None:
    """What the environment says of a variable, directly or through its `_FILE` form; None if nothing.

    The variable itself wins over its file, as in the official runner.

    Parameters:
        read: returns the text of the file with this name, or raises OSError or ValueError.

    Raises:
        ValueError: the file cannot be read; the text is a line for people.
    """
    source = source_of(variable, environment)
    if source is None:
        return None
    if source == variable.name:
        return environment[source]
    path = environment[source].strip()
    try:
        text = read(path).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else reason
        raise ValueError(f"{variable.name}_FILE names {path!r}, which cannot be read: {reason}") from error
    return text if is_set(variable.kind, text) else None


def declared(name: str, kind: Kind, meaning: str, **more: Any) -> dict[str, Variable]:
    """The metadata of a field that an environment variable sets; `more` are further parameters of `Variable`."""
    return {METADATA_KEY: Variable(name, kind, meaning, **more)}
