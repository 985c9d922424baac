"""Executors for tests: with everything allowed at language level, and an interpreter that any user may run."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from runner import TaskRunnerConfig
from runner.execution.sandbox.executor import SandboxExecutor

EVERYTHING: dict[str, Any] = {
    "stdlib_allow": {"*"},
    "external_allow": {"*"},
    "builtins_deny": (),
    "language": "full",
    "network": "deny",
}
"""The configuration under which the kernel stands alone."""


@functools.cache
def interpreter() -> str:
    """An interpreter that tasks may run as another user.

    Where this is root's own, below a folder that is closed to others, it is a copy: of hard links, made once, and gone
    at the end.
    """
    if os.getuid() or _is_open_to_all(Path(sys.base_prefix)):
        return sys.executable
    place = Path(tempfile.mkdtemp(prefix="interpreter-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o755)
    base, environment = place / "base", place / "environment"
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    left_out = shutil.ignore_patterns("site-packages", "test", "__pycache__") if sys.prefix != sys.base_prefix else None
    shutil.copytree(Path(sys.base_prefix, "lib"), base / "lib", symlinks=True, ignore=left_out, copy_function=_link)
    (base / "bin").mkdir()
    _link(str(Path(sys.base_prefix, "bin", name)), str(base / "bin" / name))
    if sys.prefix == sys.base_prefix:
        return str(base / "bin" / name)
    shutil.copytree(Path(sys.prefix, "lib"), environment / "lib", symlinks=True, copy_function=_link)
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(base / "bin" / name)
    (environment / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\ninclude-system-site-packages = false\n")
    return str(environment / "bin" / "python")


def _is_open_to_all(place: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (place, *place.parents))


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def executor_with(**config: Any) -> SandboxExecutor:
    """An executor that is not started."""
    return SandboxExecutor(TaskRunnerConfig(auth_token="secret", **config), python=interpreter())


@contextlib.asynccontextmanager
async def started(**config: Any) -> AsyncIterator[SandboxExecutor]:
    """An executor, for as long as the block lasts."""
    executor = executor_with(**config)
    try:
        await executor.start()
        yield executor
    finally:
        await executor.close()
