"""How long `n8n-runner start` takes from exec to registered, and from exec to its first result.

Beside them, a bare interpreter and one that imports what the runner imports, so that the figures can be read as ratios;
and where the imports spend their time.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time

from runner.broker import BrokerLimits, EmbeddedBroker
from tests.support import AUTH_TOKEN, ROOT, code_settings

IMPORTS = "import aiohttp, attrs, msgspec, transitions"
"""What any program with these dependencies has to do."""

START = "runner.cli.start, runner.cli.serving"
"""The modules of the command, the second of which it imports when the zygote has its order."""
MOST_PACKAGES = 12


async def start_once() -> tuple[float, float]:
    """Seconds from exec to `registered` at the broker, and to the first task's result."""
    async with EmbeddedBroker(AUTH_TOKEN, limits=BrokerLimits(attempts_per_second=1000)) as broker:
        task = broker.request(code_settings("return [{'json': {'n': _items[0]['json']['n'] * 2}}]"))
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "runner",
            "start",
            env={"N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN, "N8N_RUNNERS_TASK_BROKER_URI": broker.uri, **python_path()},
            stdout=subprocess.DEVNULL,
        )
        while not broker.rules.runner_ids:
            await asyncio.sleep(0.0005)
        registered = time.perf_counter() - began
        end = await task.end()
        answered = time.perf_counter() - began
        process.terminate()
        await process.wait()
        if end.result is None:
            raise RuntimeError(f"the task failed: {end.error}")
    return registered, answered


def python_path() -> dict[str, str]:
    """The environment in which this checkout is found, installed or not."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


def run_python(code: str) -> float:
    """Seconds that an interpreter takes for `code`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=python_path(), check=True)
    return time.perf_counter() - began


def import_times(module: str) -> list[tuple[int, str]]:
    """The time that each package spends in its own modules while `module` is imported, in microseconds."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        env=python_path(),
        capture_output=True,
        text=True,
        check=True,
    )
    packages: dict[str, int] = {}
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", done.stderr):
        package = name.split(".")[0]
        packages[package] = packages.get(package, 0) + int(own)
    return sorted(((own, name) for name, own in packages.items()), reverse=True)


def where_imports_spend_their_time() -> str:
    """The packages that the imports of `start` spend most of their time in."""
    head = "where the imports of `start` spend their time, by package, milliseconds:"
    rows = (f"{name:<44}{own / 1000:8.1f}" for own, name in import_times(START)[:MOST_PACKAGES])
    return "\n".join((head, *rows))


def imported_by_start() -> list[str]:
    """Every module that is there when `n8n-runner start` begins, those of a bare interpreter left out."""
    code = f"import sys; bare = set(sys.modules); import {START}; print(*sorted(set(sys.modules) - bare))"
    done = subprocess.run([sys.executable, "-c", code], env=python_path(), capture_output=True, text=True, check=True)
    return done.stdout.split()
