"""A real n8n: installed and started by the scripts in the folder that N8N_SCRIPTS names (make test-n8n sets it)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

WEBHOOK = "http://127.0.0.1:5678/webhook/python"
BROKER = "http://127.0.0.1:5679"
AUTH_TOKEN = "local-secret"


class RealN8n:
    """An n8n server in a process of its own, with an active workflow that doubles a number in Python."""

    def __init__(self, scripts: Path) -> None:
        self._scripts = scripts
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until its task broker answers."""
        self._process = await asyncio.create_subprocess_exec(
            "bash",
            str(self._scripts / "start.sh"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        async with asyncio.timeout(120), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{BROKER}/healthz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal, and wait until it is gone."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.send_signal(how)
            await self._process.wait()

    async def double(self, number: int) -> Any:
        """Call the workflow, waiting while its webhook is not registered yet."""
        async with asyncio.timeout(90), aiohttp.ClientSession() as session:
            while True:
                async with session.post(WEBHOOK, json={"n": number}) as answer:
                    if answer.status != 404:
                        return await answer.json()
                await asyncio.sleep(0.1)

    async def grant_token(self) -> str:
        """A grant token, fetched as a launcher does."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{BROKER}/runners/auth", json={"token": AUTH_TOKEN}) as answer,
        ):
            return str((await answer.json())["data"]["token"])


@pytest.fixture
async def n8n() -> AsyncIterator[RealN8n]:
    scripts = os.environ.get("N8N_SCRIPTS")
    if not scripts:
        pytest.skip("N8N_SCRIPTS does not say where the scripts of a real n8n are")
    server = RealN8n(Path(scripts))
    await server.start()
    try:
        yield server
    finally:
        await server.stop(signal.SIGKILL)
