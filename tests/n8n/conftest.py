"""One n8n for all of these tests, and its owner."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.n8n.flows import FLOWS
from tests.n8n.helper_flows import HELPER_FLOWS
from tests.n8n.javascript import javascript_runner
from tests.n8n.owner import Owner
from tests.n8n.process import Started, started
from tests.n8n.server import RealN8n


@pytest.fixture(scope="session")
def only_n8n() -> Iterator[tuple[RealN8n, Owner]]:
    scripts = os.environ.get("N8N_SCRIPTS")
    if not scripts:
        pytest.skip("N8N_SCRIPTS does not say where the scripts of a real n8n are")
    server = RealN8n(Path(scripts), Path(tempfile.mkdtemp(prefix="real-n8n-")), (*FLOWS, *HELPER_FLOWS))
    owner = Owner(server.url)

    async def start() -> None:
        await server.start()
        await owner.set_up()

    try:
        asyncio.run(start())
        yield server, owner
    finally:
        server.destroy()


@pytest.fixture
async def n8n(only_n8n: tuple[RealN8n, Owner]) -> RealN8n:
    """The one n8n, which a test before may have stopped."""
    server, _ = only_n8n
    if not server.is_running:
        await server.start()
    return server


@pytest.fixture
def owner(only_n8n: tuple[RealN8n, Owner]) -> Owner:
    """Who may look into it."""
    return only_n8n[1]


@pytest.fixture
async def javascript(n8n: RealN8n) -> AsyncIterator[None]:
    """A runner of it for JavaScript."""
    async with javascript_runner(n8n):
        yield


@pytest.fixture
async def runner(n8n: RealN8n) -> AsyncIterator[Started]:
    """A runner of it, registered, which must neither lose its connection nor find a bug of its own."""
    async with started(n8n.environment()) as process:
        await process.logged("Registered with broker")
        yield process
        for complaint in ("Disconnected from broker", "which is a bug", "Traceback"):
            assert process.lines_with(complaint) == []
