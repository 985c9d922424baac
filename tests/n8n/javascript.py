"""n8n's own JavaScript runner, for what is to be the same in both languages."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from tests.n8n.server import RealN8n
from tests.support import eventually

START = '. "$0"; exec "$NODE_DIR/bin/node" "$N8N_HOME/server/node_modules/@n8n/task-runner/dist/start.js"'
"""Given env.sh, which knows where n8n is installed."""

REGISTERED = 'Registered runner "JS Task Runner"'


@contextlib.asynccontextmanager
async def javascript_runner(n8n: RealN8n) -> AsyncIterator[None]:
    """A JavaScript runner that is registered while the block lasts."""
    before = n8n.log().count(REGISTERED)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        START,
        str(n8n.scripts / "env.sh"),
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "N8N_RUNNERS_TASK_BROKER_URI": n8n.broker,
            "N8N_RUNNERS_GRANT_TOKEN": await n8n.grant_token(),
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: n8n.log().count(REGISTERED) > before, "the JavaScript runner is registered", within=60)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
