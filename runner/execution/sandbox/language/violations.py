"""What is said of code that breaks a rule: the texts that n8n users know, and the two exceptions that carry them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from runner.execution.sandbox.language.rules import BLOCKED_ATTRIBUTES, BLOCKED_NAMES, is_mangled

RELATIVE_IMPORT = "Relative imports are disallowed."
DYNAMIC_IMPORT = "Dynamic __import__() calls are not allowed for security reasons."
MANGLED = "Access to name-mangled attributes (pattern: _ClassName__attr) is disallowed for security reasons."

LIFTED_BY = "N8N_RUNNERS_LANGUAGE=full"
"""What lifts the rules about names and attributes."""


class Violation(NamedTuple):
    """What is wrong in a place of the user's code."""

    line: int
    text: str
    column: int = 0
    """Where in the line, in bytes, as syntax trees have it."""
    setting: str = ""
    """What would allow it; nothing if nothing does."""


class SecurityViolations(Exception):
    """The code breaks rules, as its text shows. It has not been run.

    Attributes:
        message: what n8n shows as the error.
        violations: what is wrong, in the order of the code.
        lines: the same as texts, `Line N: …`.
        description: those texts, one a line.
    """

    message = "Security violations detected"

    def __init__(self, violations: Iterable[Violation]) -> None:
        """The rules that are broken, in the order of the code."""
        self.violations = list(violations)
        self.lines = [f"Line {each.line}: {each.text}" for each in self.violations]
        self.description = "\n".join(self.lines)
        super().__init__(self.message)


class SecurityViolation(Exception):
    """The code has tried to do at run time what the rules refuse. `description` says what."""

    message = "Security violation detected"

    def __init__(self, description: str) -> None:
        """One rule that was broken."""
        self.description = description
        super().__init__(self.message)


class ImportRefused(SecurityViolation, ImportError):
    """An import at run time that the rules refuse; for a library that can do without, an import like any that fails."""


def attribute_text(name: str) -> str:
    """What is said of a blocked attribute."""
    return f"Access to attribute '{name}' is disallowed, because it can be used to bypass security restrictions."


def name_text(name: str) -> str:
    """What is said of a blocked name."""
    return f"Access to name '{name}' is disallowed, because it can be used to bypass security restrictions."


def attribute_refusal(name: str) -> str | None:
    """Why an attribute may not be accessed, or None if the name alone is no reason to refuse it."""
    if name in BLOCKED_ATTRIBUTES:
        return attribute_text(name)
    return MANGLED if is_mangled(name) else None


def name_refusal(name: str) -> str | None:
    """Why a name may not be used for a variable, or None if it may."""
    return name_text(name) if name in BLOCKED_NAMES else None


def refuse_attribute(name: str) -> None:
    """Raise if an attribute of this name is refused whatever the object is.

    Raises:
        SecurityViolation: it is.
    """
    text = attribute_refusal(name)
    if text is not None:
        raise SecurityViolation(text)
