"""What a runner's configuration says about the code of tasks, in plain values that cross the wire to the child."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from runner.execution.sandbox.language.stdlib import SAFE_MODULES

Language = Literal["n8n", "full"]

ANYTHING = "*"


class Policy(NamedTuple):
    """The rules that hold for a task. Made with `Policy.of`."""

    stdlib_allow: frozenset[str]
    """The modules of the standard library that the code may import; `*` is all of them."""

    external_allow: frozenset[str]
    """The installed packages that the code may import; `*` is all of them."""

    builtins_deny: frozenset[str]
    """The builtins that the code does not have."""

    allow_transitive_imports: bool
    """Whether what is imported may import what it likes."""

    language: Language
    """`n8n`: all rules; `full`: those about imports alone."""

    @classmethod
    def of(
        cls,
        *,
        stdlib_allow: Iterable[str] | None = None,
        external_allow: Iterable[str] = (),
        builtins_deny: Iterable[str] = (),
        allow_transitive_imports: bool = True,
        language: Language = "n8n",
    ) -> Policy:
        """A policy; without a `stdlib_allow`, what is harmless of the standard library is allowed."""
        if language not in ("n8n", "full"):
            raise ValueError(f"language has to be n8n or full, not {language!r}")
        return cls(
            frozenset(SAFE_MODULES if stdlib_allow is None else stdlib_allow),
            frozenset(external_allow),
            frozenset(builtins_deny),
            allow_transitive_imports,
            language,
        )

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Policy:
        """The policy that `values`, such as they come out of JSON, describe: the arguments of `of`."""
        return cls.of(**values)

    @property
    def is_full(self) -> bool:
        """Whether only the rules about imports hold."""
        return self.language == "full"
