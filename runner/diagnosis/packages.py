"""Whether the modules are installed that code may import."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec

from runner.diagnosis.finding import Finding, Situation, ok, problem, warning
from runner.diagnosis.settings import usable_config

ANYTHING = "*"


async def packages(situation: Situation) -> list[Finding]:
    """Each module that the configuration names, with the version of what it comes from."""
    config = usable_config(situation)
    owners = metadata.packages_distributions()
    found = [_package(name, owners) for name in sorted(config.external_allow | config.preload)]
    found += [
        warning(f"{name} is no module of Python's standard library", "Name packages in N8N_RUNNERS_EXTERNAL_ALLOW")
        for name in sorted(config.stdlib_allow or ())
        if name != ANYTHING and _root(name) not in sys.stdlib_module_names
    ]
    return found or [ok("none are allowed beside Python's own: N8N_RUNNERS_EXTERNAL_ALLOW would name them")]


def _package(name: str, owners: Mapping[str, list[str]]) -> Finding:
    root = _root(name)
    if name == ANYTHING:
        return ok("all that is installed may be imported")
    if root in sys.stdlib_module_names:
        return ok(f"{name} is part of Python")
    if find_spec(root) is None:
        return problem(f"{name} is not installed", f"Install it: {sys.executable} -m pip install {root}")
    versions = [f"{owner} {metadata.version(owner)}" for owner in dict.fromkeys(owners.get(root, []))]
    return ok(f"{name}, of {', '.join(versions)}" if versions else name)


def _root(name: str) -> str:
    return name.partition(".")[0]
