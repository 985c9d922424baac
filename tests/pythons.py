"""The versions of Python that this machine has, for tests that are about more than the one that runs them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13")


def interpreters() -> Iterator[tuple[str, str]]:
    """The supported versions of Python that are here, each with its command. A command may be a shim for nothing."""
    for version in SUPPORTED:
        places = map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for candidate in (shutil.which(f"python{version}"), *places):
            if candidate is not None and _is_python(candidate):
                yield version, candidate
                break


def _is_python(command: str) -> bool:
    return subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0
