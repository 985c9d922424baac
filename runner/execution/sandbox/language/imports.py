"""Which modules the user's code may import, and what is said of the others."""

from __future__ import annotations

import sys

from runner.execution.sandbox.language.policy import ANYTHING, Policy

ALWAYS = "__future__"
"""Not a module that is used, but a word to the compiler."""

OUR_OWN = frozenset({"runner", "statemachine"})
"""What is never allowed under the rules of n8n: a module that can switch the rules off."""


def root_of(module: str) -> str:
    """The top-level package of a module."""
    return module.partition(".")[0]


def is_stdlib(module: str) -> bool:
    """Whether a module belongs to the standard library."""
    return root_of(module) in sys.stdlib_module_names


def allowed_names(module: str, policy: Policy) -> frozenset[str]:
    """The list that decides about a module."""
    return policy.stdlib_allow if is_stdlib(module) else policy.external_allow


def is_allowed(module: str, policy: Policy) -> bool:
    """Whether the user's code may import a module: it is allowed itself, or a package that it is in."""
    if root_of(module) in OUR_OWN and not policy.is_full:
        return False
    names = allowed_names(module, policy)
    if ANYTHING in names or module == ALWAYS or module in names:
        return True
    return any(module.startswith(f"{name}.") for name in names)


def leads_to_allowed(module: str, policy: Policy) -> bool:
    """Whether a package is not allowed itself, but something inside of it is, such as `urllib.parse` of `urllib`."""
    return any(name.startswith(f"{module}.") for name in allowed_names(module, policy))


def refusal(module: str, policy: Policy) -> str | None:
    """Why the user's code may not import a module, or None if it may."""
    if is_allowed(module, policy):
        return None
    allowed = ", ".join(sorted(allowed_names(module, policy))) or "none"
    advice = f" (set {setting_for(module)} to allow it)"
    if is_stdlib(module):
        return f"Import of standard library module '{module}' is disallowed. Allowed stdlib modules: {allowed}{advice}"
    return f"Import of external package '{module}' is disallowed. Allowed external packages: {allowed}{advice}"


def setting_for(module: str) -> str:
    """The variable whose list decides about a module."""
    return "N8N_RUNNERS_STDLIB_ALLOW" if is_stdlib(module) else "N8N_RUNNERS_EXTERNAL_ALLOW"


def refused_of(module: str, names: list[str], policy: Policy) -> list[str]:
    """The modules that `from module import names` would import and that are not allowed."""
    if is_allowed(module, policy):
        return []
    if not leads_to_allowed(module, policy):
        return [module]
    return [full for name in names if not is_allowed(full := f"{module}.{name}", policy)]
