"""`n8n-runner start` as those meet it who look after it: its health check server, and its log."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.broker import EmbeddedBroker
from tests.cli.test_commands import start_command
from tests.support import AUTH_TOKEN, ROOT, eventually, run_code

LISTENING = re.compile(r"Health check server listening on (\S+), port (\d+)")
ENABLED = {
    "N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN,
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED": "true",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": "0",
}
NOWHERE = "http://127.0.0.1:9"


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def port_of(process: subprocess.Popen[str]) -> int:
    """The port that the first line of the log names."""
    assert process.stdout is not None
    line = process.stdout.readline()
    match = LISTENING.search(line)
    assert match is not None, line
    assert match[1] == "127.0.0.1"
    return int(match[2])


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_the_health_check_server_is_there_before_anything_else() -> None:
    environment = {**ENABLED, "N8N_RUNNERS_TASK_BROKER_URI": NOWHERE}
    with ended(start_command(None, **environment)) as process:
        port = port_of(process)
        assert ask(port, "/healthz") == (200, "OK")
        status, told = ask(port, "/readyz")
        assert status == 503
        assert json.loads(told)["reasons"]


async def test_it_tells_when_the_runner_is_ready(broker: EmbeddedBroker) -> None:
    with ended(start_command(broker, **ENABLED)) as process:
        port = port_of(process)
        await run_code(broker, "return {}")
        await eventually(lambda: ask(port, "/readyz")[0] == 200)
        assert "n8n_runner_tasks_finished_total" in ask(port, "/metrics")[1]
        assert "<title>n8n-runner</title>" in ask(port, "/inspect")[1]


async def test_a_port_that_is_in_use_ends_it_with_a_line_that_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = start_command(None, **{**ENABLED, "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": port})
        await eventually(lambda: process.poll() is not None)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert f"cannot listen on 127.0.0.1, port {port}: " in errors
    assert "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT" in errors


async def test_without_being_asked_it_listens_nowhere(broker: EmbeddedBroker) -> None:
    with ended(start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN)) as process:
        await run_code(broker, "return {}")
        listening = subprocess.run(["cat", f"/proc/{process.pid}/net/tcp"], capture_output=True, text=True, check=True)
        inodes = {line.split()[9] for line in listening.stdout.splitlines()[1:] if line.split()[3] == "0A"}
        links = [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert not {link.strip("socket:[]") for link in links if link.startswith("socket:")} & inodes


def test_what_only_the_server_needs_is_not_imported_without_it() -> None:
    script = "import sys, runner.cli.serving; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(done.stdout.split())
    assert "runner.task_runner" in loaded
    unwanted = {"runner.observe.server", "runner.observe.metrics", "prometheus_client", "sentry_sdk", "opentelemetry"}
    assert loaded & unwanted == set()


async def test_the_log_can_be_json(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, N8N_RUNNERS_LOG_FORMAT="json")
    await run_code(broker, "print('hello')\nreturn {}")
    process.terminate()
    output, errors = process.communicate()
    assert errors == ""
    lines = [json.loads(line) for line in output.splitlines()]
    assert {line["level"] for line in lines} <= {"info", "warning"}
    completed = next(line for line in lines if line["message"].startswith("Completed task"))
    assert (completed["node_name"], completed["workflow_id"]) == ("Code", "w1")


@pytest.mark.parametrize(("level", "shown"), [("info", False), ("debug", True)])
async def test_the_log_level_is_honoured(broker: EmbeddedBroker, level: str, shown: bool) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, N8N_RUNNERS_LAUNCHER_LOG_LEVEL=level)
    await run_code(broker, "return {}")
    process.terminate()
    output, _ = process.communicate()
    assert ("authenticated -> listening" in output) is shown


@contextmanager
def certificates(folder: Path) -> Iterator[Path]:
    """A file of certificates that whoever reads it has to wait for: a pipe, which is read by us at the end."""
    pipe = folder / "certificates"
    os.mkfifo(pipe)
    try:
        yield pipe
    finally:
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def has_a_reader(pipe: Path) -> bool:
    """Whether somebody has opened a pipe to read from it."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


async def test_no_certificates_are_read_for_a_broker_without_tls(broker: EmbeddedBroker, tmp_path: Path) -> None:
    with certificates(tmp_path) as pipe, ended(start_command(broker, **ENABLED, SSL_CERT_FILE=str(pipe))):
        await eventually(lambda: broker.rules.runner_ids)


async def test_certificates_are_read_for_a_broker_with_tls(tmp_path: Path) -> None:
    with certificates(tmp_path) as pipe:
        environment = {**ENABLED, "N8N_RUNNERS_TASK_BROKER_URI": "https://localhost:9", "SSL_CERT_FILE": str(pipe)}
        with ended(start_command(None, **environment)):
            await eventually(lambda: has_a_reader(pipe))
