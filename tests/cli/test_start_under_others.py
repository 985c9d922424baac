"""`n8n-runner start` as n8n, its launcher and pods start and stop it."""

from __future__ import annotations

import signal
import time

import pytest

from runner import TaskRunnerConfig
from runner.broker import EmbeddedBroker
from runner.cli.parent import INTERNAL_GRACE, LIFETIME, Parent
from tests.cli.test_commands import start_command
from tests.support import AUTH_TOKEN, code_settings, error_of, eventually, result_of, run_code

N8N = {
    "N8N_RUNNERS_ID": "runner",
    "N8N_RUNNERS_GRANT_TOKEN": "token",
    "N8N_RUNNERS_TASK_BROKER_URI": "http://127.0.0.1:5679",
    "N8N_RUNNERS_MAX_PAYLOAD": "1073741824",
    "N8N_RUNNERS_MAX_CONCURRENCY": "10",
    "N8N_RUNNERS_TASK_TIMEOUT": "300",
}
"""What n8n passes to a runner that it starts itself, beside PATH and HOME."""

LAUNCHER = {
    "N8N_RUNNERS_GRANT_TOKEN": "token",
    "N8N_RUNNERS_TASK_BROKER_URI": "http://127.0.0.1:5679",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED": "true",
    "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT": "5682",
}
SLEEPING = "print('on')\nimport time\ntime.sleep(600)"


@pytest.mark.parametrize(
    ("environment", "parent"),
    [
        (N8N, Parent.N8N),
        (LAUNCHER, Parent.LAUNCHER),
        ({**N8N, **LAUNCHER}, Parent.LAUNCHER),
        ({**N8N, "N8N_RUNNERS_AUTH_TOKEN": "secret"}, Parent.ANYBODY),
        ({**N8N, "N8N_RUNNERS_AUTH_TOKEN_FILE": "/run/secret"}, Parent.ANYBODY),
        ({"N8N_RUNNERS_GRANT_TOKEN": "token"}, Parent.ANYBODY),
        ({}, Parent.ANYBODY),
    ],
)
def test_who_has_started_it_is_told_by_the_variables(environment: dict[str, str], parent: Parent) -> None:
    assert Parent.of(environment) is parent


@pytest.mark.parametrize(("patience", "allowed"), [(10, INTERNAL_GRACE), (0.25, 0.25)])
def test_n8n_itself_waits_no_longer_than_two_seconds(patience: float, allowed: float) -> None:
    config = TaskRunnerConfig(grant_token="x", graceful_shutdown_timeout=patience)
    assert Parent.N8N.adapt(config).graceful_shutdown_timeout == allowed
    for parent in (Parent.LAUNCHER, Parent.ANYBODY):
        assert parent.adapt(config) is config


@pytest.mark.parametrize("environment", [N8N, LAUNCHER], ids=["n8n", "launcher"])
async def test_a_bad_configuration_is_said_once_and_not_faster_than_once_a_second(environment: dict[str, str]) -> None:
    began = time.monotonic()
    process = start_command(None, **environment, N8N_RUNNERS_STDLIB_ALLOW="json,*")
    await eventually(lambda: process.poll() is not None)
    _, errors = process.communicate()
    assert time.monotonic() - began > LIFETIME
    assert process.returncode == 2
    assert errors.count("must be used alone") == 1


async def test_under_n8n_it_ends_within_two_seconds_whatever_a_task_does(broker: EmbeddedBroker) -> None:
    settings = {**N8N, "N8N_RUNNERS_TASK_BROKER_URI": broker.uri, "N8N_RUNNERS_GRANT_TOKEN": broker.grant_token()}
    process = start_command(None, **settings)
    task = broker.request(code_settings(SLEEPING))
    await eventually(lambda: task.prints)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None)
    assert time.monotonic() - began < 2
    process.communicate()
    assert process.returncode == 0
    assert "shutting down" in error_of(await task.end())["message"]


async def test_it_lingers_until_n8n_has_gone_and_serves_it_meanwhile() -> None:
    async with EmbeddedBroker(AUTH_TOKEN) as broker:
        process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, N8N_RUNNERS_LINGER="600")
        assert result_of(await run_code(broker, "return {'n': 1}")) == [{"json": {"n": 1}}]
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        while "going on for 600 s" not in process.stdout.readline():
            pass
        assert result_of(await run_code(broker, "return {'n': 2}")) == [{"json": {"n": 2}}]
        await broker.drain()
        await eventually(lambda: process.poll() is not None)
    process.communicate()
    assert process.returncode == 0


async def test_it_lingers_no_longer_than_it_was_told(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, N8N_RUNNERS_LINGER="0.2")
    await run_code(broker, "return {}")
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output.index("going on for 0.2 s") < output.index("starting shutdown...")


async def test_a_second_signal_ends_the_lingering_at_once(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, N8N_RUNNERS_LINGER="600")
    await run_code(broker, "return {}")
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    while "going on for" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None)
    process.communicate()
    assert process.returncode == 130
