"""What a check finds. The standard library only: it has to work when nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Verdict(Enum):
    """How bad a finding is, from good to bad."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One line of the diagnosis. `advice` says what to do, where something is to be done."""

    verdict: Verdict
    text: str
    advice: str = ""


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, text)


def warning(text: str, advice: str) -> Finding:
    """It works, but not as well as it could, or not for ever."""
    return Finding(Verdict.WARNING, text, advice)


def problem(text: str, advice: str) -> Finding:
    """It will not work."""
    return Finding(Verdict.PROBLEM, text, advice)


class Situation:
    """What all checks are given: the environment, and the configuration that it makes, as far as it can be used."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """The situation of a runner that would be started with this environment."""
        self.environment = environment
