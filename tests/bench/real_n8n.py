"""A real n8n: how many executions a second, with a Python Code node and with a Set node in its place.

The second is what n8n itself takes for a webhook, an execution and an answer: their ratio is what a Code node costs.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from itertools import count
from pathlib import Path

import aiohttp

from tests.bench.works import BenchFailed, CannotMeasure
from tests.n8n.flows import DOUBLE
from tests.n8n.process import started
from tests.n8n.server import RealN8n
from tests.n8n.workflows import Code, Flow, Setting

CLIENTS = (1, 10)
CODE, SET = "code", "set"
FLOWS = (Flow(CODE, (Code(DOUBLE),)), Flow(SET, (Setting("doubled", "={{ $json.body.n * 2 }}"),)))
WARM_UP = 20
"""Executions of each workflow before any is timed: n8n compiles its own code meanwhile."""

PATIENCE = 90.0
"""How long n8n may take until its webhooks are there, in seconds."""


async def figures(runs: int, executions: int) -> dict[str, list[float]]:
    """Executions a second for each number of clients, and their ratio to those without a Code node.

    Parameters:
        executions: how many each client asks for in a run.

    Raises:
        CannotMeasure: there is no real n8n here.
    """
    server = RealN8n(_scripts(), Path(tempfile.mkdtemp(prefix="bench-n8n-")), FLOWS)
    try:
        await server.start()
        async with (
            started(server.environment(N8N_RUNNERS_MAX_CONCURRENCY="10")) as runner,
            aiohttp.ClientSession() as session,
        ):
            await runner.logged("Registered with broker")
            for path in (CODE, SET):
                await _until_there(session, f"{server.url}/webhook/{path}")
                await _rate(session, f"{server.url}/webhook/{path}", 1, WARM_UP)
            return await _measure(session, server.url, runs, executions)
    finally:
        server.destroy()


def _scripts() -> Path:
    """The folder of the scripts that start an installed n8n; see tests/n8n.

    Raises:
        CannotMeasure: it is not named, or n8n is not installed.
    """
    folder = os.environ.get("N8N_SCRIPTS")
    if not folder or not Path(folder, "start.sh").exists():
        raise CannotMeasure("N8N_SCRIPTS does not name the folder of the scripts of a real n8n")
    home = Path(os.environ.get("N8N_HOME", Path.home() / ".cache" / "n8n-real"))
    if not (home / "server" / ".ready").exists() or shutil.which("bash") is None:
        raise CannotMeasure(f"n8n is not installed in {home}: `make bench-n8n` does that")
    return Path(folder)


async def _until_there(session: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            async with session.post(url, json={"n": 1}) as answer:
                if answer.status != 404:
                    return
            await asyncio.sleep(0.1)


async def _measure(session: aiohttp.ClientSession, url: str, runs: int, executions: int) -> dict[str, list[float]]:
    """Both workflows in turn, so that what disturbs the machine disturbs them alike."""
    measured: dict[str, list[float]] = {}
    for clients in CLIENTS:
        with_code, ratios = measured.setdefault(f"n8n-{clients}", []), measured.setdefault(f"n8n-{clients}-ratio", [])
        for _ in range(runs):
            with_set = await _rate(session, f"{url}/webhook/{SET}", clients, executions)
            with_code.append(await _rate(session, f"{url}/webhook/{CODE}", clients, executions))
            ratios.append(with_code[-1] / with_set)
    return measured


async def _rate(session: aiohttp.ClientSession, url: str, clients: int, executions: int) -> float:
    """Executions a second, as some clients see it that ask one after the other."""
    numbers = iter(count())

    async def client() -> None:
        for _ in range(executions):
            number = next(numbers)
            async with session.post(url, json={"n": number}) as answer:
                items = await answer.json()
                if items != [{"doubled": 2 * number}]:
                    raise BenchFailed(f"{url} answers {answer.status}: {str(items)[:500]}")

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return clients * executions / (time.perf_counter() - began)
