"""A real n8n: installed and started by the scripts in the folder that N8N_SCRIPTS names (make test-n8n sets it)."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.n8n.workflows import AnyFlow, write_workflow

AUTH_TOKEN = "local-secret"

HEARTBEAT = 5
"""How often n8n pings, in seconds: whoever has not answered by the next time is thrown out."""

SETTINGS = {
    "N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN,
    "N8N_RUNNERS_HEARTBEAT_INTERVAL": str(HEARTBEAT),
    "N8N_BLOCK_ENV_ACCESS_IN_NODE": "false",  # n8n blocks it unless told otherwise
    "CODE_ENABLE_STDOUT": "true",  # what code prints in production is then in n8n's own log
    "EXECUTIONS_DATA_SAVE_ON_SUCCESS": "none",  # or each 100 MB of a test would be written to the database
    "EXECUTIONS_DATA_SAVE_ON_ERROR": "all",  # where the texts of errors are read from
    "NODE_OPTIONS": "--max-old-space-size=6144",
}


class RealN8n:
    """An n8n server in a process of its own, with all its data in a folder of its own and on ports of its own."""

    def __init__(
        self, scripts: Path, folder: Path, flows: Iterable[AnyFlow], overrides: Mapping[str, str] | None = None
    ) -> None:
        # start.sh takes its settings and workflows from the folder that it is called by: links to the two scripts
        # beside workflows of our own make it take those, with nothing of it copied
        self.scripts = folder / "scripts"
        (self.scripts / "workflows").mkdir(parents=True)
        for script in ("start.sh", "env.sh"):
            (self.scripts / script).symlink_to(scripts.resolve() / script)
        if overrides:  # env.sh has the last word, so it is the place for what it would set otherwise
            (self.scripts / "env.sh").unlink()
            lines = [f"export {name}={shlex.quote(value)}" for name, value in overrides.items()]
            original = shlex.quote(str(scripts.resolve() / "env.sh"))
            (self.scripts / "env.sh").write_text("\n".join([*lines, f". {original}", *lines, ""]))
        write_workflow(flows, self.scripts / "workflows")
        self._folder = folder
        self._log = folder / "n8n.log"
        self._port, self._broker_port = _free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.broker = f"http://127.0.0.1:{self._broker_port}"

    # Its life

    def launch(self) -> None:
        """Start it, without waiting for anything."""
        environment = {
            **os.environ,
            **SETTINGS,
            "N8N_USER_FOLDER": str(self._folder / "data"),
            "N8N_PORT": str(self._port),
            "N8N_RUNNERS_BROKER_PORT": str(self._broker_port),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["bash", str(self.scripts / "start.sh")],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def start(self) -> None:
        """Start it, and wait until its task broker answers."""
        self.launch()
        async with asyncio.timeout(120), aiohttp.ClientSession() as session:
            while True:
                assert self.is_running, self.log()
                try:
                    async with session.get(f"{self.broker}/healthz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def send(self, how: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None and self.is_running:
            self._process.send_signal(how)

    async def gone(self) -> None:
        """Wait for its end."""
        if self._process is not None:
            await asyncio.to_thread(self._process.wait, 60)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal, and wait until it is gone."""
        self.send(how)
        await self.gone()

    def destroy(self) -> None:
        """End all of it, the commands that start.sh may be at included, and remove what it has written."""
        if self._process is not None and self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
        shutil.rmtree(self._folder)

    def log(self) -> str:
        """All that it has logged since its folder was made."""
        return self._log.read_text(errors="replace")

    # Its use

    async def call(self, path: str, body: Any, within: float = 90) -> tuple[int, Any]:
        """Call a webhook. Returns the status and the answer."""
        status, answer = await self.post(path, json.dumps(body), within)
        return status, json.loads(answer)

    async def post(self, path: str, document: str, within: float = 90) -> tuple[int, str]:
        """Call a webhook with JSON, waiting while it is not registered yet. Returns the status, and JSON."""
        headers = {"Content-Type": "application/json"}
        async with asyncio.timeout(within), aiohttp.ClientSession(headers=headers) as session:
            while True:
                body = io.BytesIO(document.encode())
                async with session.post(f"{self.url}/webhook/{path}", data=body) as answer:
                    if answer.status != 404:
                        return answer.status, await answer.text()
                await asyncio.sleep(0.1)

    async def upload(self, path: str, name: str, content: bytes, within: float = 90) -> Any:
        """Call a webhook with a file, as a form does. Returns the answer, which has to be a good one."""
        async with asyncio.timeout(within), aiohttp.ClientSession() as session:
            while True:
                form = aiohttp.FormData()
                form.add_field("file", content, filename=name, content_type="application/octet-stream")
                async with session.post(f"{self.url}/webhook/{path}", data=form) as answer:
                    if answer.status != 404:
                        assert answer.status == 200, await answer.text()
                        return await answer.json()
                await asyncio.sleep(0.1)

    async def items(self, path: str, body: Any, within: float = 90) -> Any:
        """The items that a flow answers with, which has to end well."""
        status, answer = await self.call(path, body, within)
        assert status == 200, (status, answer)
        return answer

    async def double(self, number: int) -> int:
        """Have a number doubled, by the shortest of all flows."""
        (item,) = await self.items("double", {"n": number})
        return int(item["doubled"])

    async def grant_token(self) -> str:
        """A grant token, fetched as a launcher does."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.broker}/runners/auth", json={"token": AUTH_TOKEN}) as answer,
        ):
            return str((await answer.json())["data"]["token"])

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a runner of this n8n."""
        return {"N8N_RUNNERS_TASK_BROKER_URI": self.broker, "N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN, **more}


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listening.getsockname()[1]) for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports
