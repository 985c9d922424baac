"""Where the commands of a page are run: a folder with the examples, beside a task broker."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import attrs

from runner.broker import EmbeddedBroker
from tests.docs.blocks import Block
from tests.support import ROOT

SECRET = "a-secret-of-your-own"
"""The secret of every page."""

BETWEEN = "--- the next command ---"
ANYTHING = "…"
LONGEST = 40.0
"""How long a block may take, in seconds."""


@attrs.frozen
class Scene:
    """A folder with a copy of the examples, and a broker that knows the secret of the pages."""

    folder: Path
    broker: EmbeddedBroker

    @classmethod
    def set_up(cls, folder: Path, broker: EmbeddedBroker) -> Scene:
        """A scene in an empty folder."""
        shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
        return cls(folder, broker)

    def put(self, block: Block) -> None:
        """Save a block as the file that it is."""
        (self.folder / block.marks["file"]).write_text(block.code, encoding="utf-8")

    async def run(self, block: Block) -> None:
        """Run a block of commands; where it says what comes out of them, hold it to that."""
        if "until" in block.marks:
            await self._run_until(block.code, block.marks["until"])
        elif block.language == "console":
            await self._compare(block.code)
        else:
            code, output = await self._bash(f"set -e\n{block.code}")
            assert code == 0, output

    async def _compare(self, transcript: str) -> None:
        """Run each command of a transcript, and compare what it prints."""
        _, *parts = re.split(r"^\$ ", transcript, flags=re.MULTILINE)
        commands, expected = zip(*(part.split("\n", 1) for part in parts), strict=True)
        script = "".join(
            f"{command}\ncode=$?; [ $code = 0 ] || echo \"[exit code $code]\"; echo '{BETWEEN}'\n"
            for command in commands
        )
        _, output = await self._bash(script)
        *printed, _ = output.split(f"{BETWEEN}\n")
        for command, said, pattern in zip(commands, printed, expected, strict=True):
            assert _matches(said, pattern), f"$ {command}\n{said}\nis not what the page says:\n{pattern}"

    async def _run_until(self, script: str, text: str) -> None:
        """Run a script whose last command goes on; when it has said `text`, tell it to stop, and see that it does."""
        *before, last = script.strip().splitlines()
        process = await self._start("\n".join([*before, f"exec env {last}"]))
        assert process.stdout is not None
        said = b""
        try:
            async with asyncio.timeout(LONGEST):
                while text.encode() not in said:
                    line = await process.stdout.readline()
                    assert line, f"it has ended without having said {text!r}:\n{said.decode()}"
                    said += line
                process.terminate()
                said += await process.stdout.read()
            assert await process.wait() == 0, said.decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _bash(self, script: str) -> tuple[int, str]:
        process = await self._start(script)
        async with asyncio.timeout(LONGEST):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def _start(self, script: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            script,
            cwd=self.folder,
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "TMPDIR": tempfile.gettempdir(),
                "N8N_RUNNERS_TASK_BROKER_URI": self.broker.uri,
                "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": "0",
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


def _matches(said: str, pattern: str) -> bool:
    parts = map(re.escape, pattern.strip().split(ANYTHING))
    return re.fullmatch(".*".join(parts), said.strip(), re.DOTALL) is not None
