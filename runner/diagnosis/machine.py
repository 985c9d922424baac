"""The interpreter, and what is installed in it. The standard library only."""

from __future__ import annotations

import importlib
import platform
import re
import sys
import sysconfig
from importlib import metadata

from runner import __version__
from runner.diagnosis.finding import Finding, Situation, ok, problem, warning

DISTRIBUTION = "n8n-runner"
IMPORT_NAMES = ("runner", "statemachine")
OLDEST, NEWEST = (3, 11), (3, 13)
"""The versions of Python that are tested."""

NEEDED = ("aiohttp", "attrs", "msgspec", "transitions")
"""What no runner starts without."""


async def python(situation: Situation) -> list[Finding]:
    """The interpreter and how it was built."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    here = "a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    found = [ok(f"{version} on {platform.system()} {platform.machine()}, {here}: {sys.executable or 'unknown path'}")]
    own = sys.version_info[:2]
    if own < OLDEST:
        found.append(problem(f"Python {own[0]}.{own[1]} is too old", "Use Python 3.11, 3.12 or 3.13"))
    elif own > NEWEST:
        found.append(warning(f"Python {own[0]}.{own[1]} is newer than those tested", "Use 3.13 if anything is odd"))
    if sys.implementation.name != "cpython":
        found.append(warning(f"{sys.implementation.name} is not tested", "Use CPython"))
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        found.append(warning("this is a free-threaded build, which is not tested", "Use the usual build"))
    if sysconfig.get_config_var("Py_DEBUG"):
        found.append(warning("this is a debug build, which is slow", "Use the usual build"))
    if sys.platform == "win32":
        found.append(problem("n8n-runner does not run on Windows", "Use WSL or a container"))
    elif sys.platform != "linux":
        found.append(warning("tasks are confined on Linux alone", "Use it on Linux for code that you do not trust"))
    return found


async def installation(situation: Situation) -> list[Finding]:
    """The dependencies, as far as the installed distribution says which they are."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [
            warning(f"n8n-runner {__version__} is not installed, only imported", "Install it: pip install n8n-runner")
        ]
    found = [ok(f"n8n-runner {__version__}")]
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in required if "extra ==" not in text]
    for name in names:
        if (reason := _missing(name)) is not None:
            found.append(problem(f"{name}: {reason}", f"Install it: {sys.executable} -m pip install {name}"))
        elif name in NEEDED:
            found.append(ok(f"{name} {metadata.version(name)}"))
    return found


def _missing(name: str) -> str | None:
    """Why a dependency is no use; None if it is."""
    try:
        metadata.version(name)
        if name in NEEDED:
            importlib.import_module(name)
    except metadata.PackageNotFoundError:
        return "it is not installed"
    except Exception as error:  # noqa: BLE001 - a broken package raises what it likes
        return f"it cannot be imported: {type(error).__name__}: {error}"
    return None


async def names(situation: Situation) -> list[Finding]:
    """Whether somebody else has packages of the same names, of which only one can be imported."""
    owners = metadata.packages_distributions()
    found = []
    for name in IMPORT_NAMES:
        others = sorted(set(owners.get(name, [])) - {DISTRIBUTION})
        if others:
            found.append(
                problem(
                    f"the import name {name} belongs to {', '.join(others)} as well",
                    f"Install n8n-runner in an environment of its own, or: pip uninstall {' '.join(others)}; "
                    "then install n8n-runner anew",
                )
            )
    return found or [ok(f"{' and '.join(IMPORT_NAMES)} are n8n-runner's own")]
