"""The builtins of the user's code: those of Python without the denied ones, and some that look first."""

from __future__ import annotations

import builtins
from typing import Any

from runner.execution.sandbox.language import attributes
from runner.execution.sandbox.language.classes import TYPE, build_class
from runner.execution.sandbox.language.dynamic import dynamic
from runner.execution.sandbox.language.importing import guard_libraries, importer
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.language.rewrite import LOAD, LOOK, MATCH, STORE

NEVER = frozenset({"__loader__", "__spec__", "__name__", "__package__", "__doc__"})
"""What the module of builtins has as any module has it; as builtins they would lead to the import system."""


def restricted_builtins(policy: Policy) -> dict[str, Any]:
    """The builtins for the namespace that the user's code runs in. One that is denied is not there at all."""
    if not policy.allow_transitive_imports:
        guard_libraries(policy)
    names = vars(builtins).copy()
    names["__import__"] = importer(policy)
    if policy.is_full:
        return names
    for name in NEVER:
        names.pop(name, None)
    names.update(
        {
            "__build_class__": build_class,
            "type": TYPE,
            "getattr": attributes.guarded_getattr,
            "hasattr": attributes.guarded_hasattr,
            "setattr": attributes.guarded_setattr,
            "delattr": attributes.guarded_delattr,
            **dynamic(policy, names),
        }
    )
    for name in policy.builtins_deny - {"__import__"}:
        names.pop(name, None)
    names.update(
        {LOAD: attributes.load, LOOK: attributes.look, STORE: attributes.store, MATCH: attributes.refuse_match}
    )
    return names
