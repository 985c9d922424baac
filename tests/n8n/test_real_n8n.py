"""The command `n8n-runner start` against a real n8n. Not part of `make test`: `make test-n8n` runs these."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.n8n.conftest import AUTH_TOKEN, RealN8n
from tests.support import ROOT

DOUBLED = [{"doubled": 42}]

pytestmark = pytest.mark.timeout(300)


class Started:
    """`n8n-runner start` in a process of its own, with the lines that it logs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def logged(self, text: str) -> None:
        """Wait for a line of the log that comes after those that were waited for before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(90):
            while True:
                line = (await self.process.stdout.readline()).decode()
                assert line, f"the runner ended before it logged {text!r}: {self.lines}"
                self.lines.append(line)
                if text in line:
                    return


@asynccontextmanager
async def started(**env: str) -> AsyncIterator[Started]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "runner",
        "start",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Started(process)
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


async def test_with_an_auth_token(n8n: RealN8n) -> None:
    async with started(N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN):
        assert await n8n.double(21) == DOUBLED


async def test_with_a_grant_token_that_was_fetched_by_hand(n8n: RealN8n) -> None:
    async with started(N8N_RUNNERS_GRANT_TOKEN=await n8n.grant_token()):
        assert await n8n.double(21) == DOUBLED


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_it_is_back_within_five_seconds_of_a_restarted_broker(n8n: RealN8n, how: signal.Signals) -> None:
    async with started(N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN) as runner:
        assert await n8n.double(21) == DOUBLED
        await n8n.stop(how)
        await runner.logged("Disconnected from broker")
        await n8n.start()
        up = time.monotonic()
        await runner.logged("Registered with broker")
        took = time.monotonic() - up
        print(f"\nback {took:.2f} s after the broker was up")
        assert took < 5.5
        assert await n8n.double(21) == DOUBLED
