"""Both usage examples of the document that the project began with, as written, but for the imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runner.broker import EmbeddedBroker
from tests.support import ROOT, eventually

FIRST = """
import asyncio
from runner import TaskRunner, TaskRunnerConfig

async def main():
    config = TaskRunnerConfig(
        grant_token="your_bearer_token",
        task_broker_uri="http://localhost:5679",
        max_concurrency=5,
        max_payload_size=1024 * 1024,  # 1MB
        is_auto_shutdown_enabled=False
    )

    runner = TaskRunner(config)

    # Start the runner - this blocks until shutdown
    await runner.start()

if __name__ == "__main__":
    asyncio.run(main())
"""

SECOND = """
import asyncio
from runner import TaskRunner, TaskRunnerConfig

async def handle_idle_timeout():
    print("Runner has been idle, shutting down...")
    # Cleanup logic here

async def main():
    config = TaskRunnerConfig(
        grant_token="your_token",
        task_broker_uri="http://localhost:5679",
        max_concurrency=5,
        is_auto_shutdown_enabled=True,
        auto_shutdown_timeout=300  # 5 minutes
    )

    runner = TaskRunner(config)
    runner.on_idle_timeout = handle_idle_timeout

    await runner.start()

asyncio.run(main())
"""


def adapted(example: str, broker: EmbeddedBroker, tmp_path: Path, **replacements: str) -> Path:
    """The example as a file, with this broker's address and token in place of the made-up ones."""
    token = broker.grant_token()
    changes = {
        '"your_bearer_token"': repr(token),
        '"your_token"': repr(token),
        '"http://localhost:5679"': repr(broker.uri),
        **replacements,
    }
    for old, new in changes.items():
        example = example.replace(old, new)
    path = tmp_path / "example.py"
    path.write_text(example)
    return path


def run_example(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(path)],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_the_first_example_registers_offers_and_blocks(broker: EmbeddedBroker, tmp_path: Path) -> None:
    process = run_example(adapted(FIRST, broker, tmp_path))
    try:
        await eventually(lambda: broker.rules.offer_count == 5, "five offers")
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


async def test_the_second_example_stops_when_idle_and_calls_the_handler(broker: EmbeddedBroker, tmp_path: Path) -> None:
    path = adapted(SECOND, broker, tmp_path, **{"auto_shutdown_timeout=300": "auto_shutdown_timeout=0.3"})
    process = run_example(path)
    await eventually(lambda: process.poll() is not None, "the end of the example")
    output, errors = process.communicate()
    assert (output, process.returncode) == ("Runner has been idle, shutting down...\n", 0)
    # nobody has configured logging, so Python shows warnings; the one that is allowed is about this machine's kernel
    assert [line for line in errors.splitlines() if not line.startswith("Confinement of tasks is not complete")] == []
