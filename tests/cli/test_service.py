"""`n8n-runner start` under a service manager, which is a real socket here."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import Readiness
from runner.broker import EmbeddedBroker
from runner.cli.service import PINGS_A_PERIOD, ServiceManager, is_healthy, watchdog_interval
from runner.task_runner import TaskRunner
from statemachine import ConnectionState
from tests.cli.test_commands import start_command
from tests.support import AUTH_TOKEN, ManualClock, config_for, eventually


class Manager:
    """A service manager, and what it was told so far."""

    def __init__(self, address: str) -> None:
        self.variable = address.replace("\0", "@")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)
        self._told: list[str] = []

    @property
    def told(self) -> list[str]:
        try:
            while True:
                self._told += self._socket.recv(4096).decode().split("\n")
        except BlockingIOError:
            return self._told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = f"\0n8n-runner-{secrets.token_hex(4)}" if "abstract" in request.param else str(tmp_path / "notify")
    listening = Manager(name)
    yield listening
    listening.close()


async def test_it_is_ready_once_it_listens_and_says_when_it_stops(broker: EmbeddedBroker, manager: Manager) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, NOTIFY_SOCKET=manager.variable)
    await eventually(lambda: "READY=1" in manager.told)
    assert broker.rules.runner_ids
    assert "STOPPING=1" not in manager.told
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None)
    process.communicate()
    assert process.returncode == 0
    assert manager.told.index("READY=1") < manager.told.index("STOPPING=1")
    states = [line.removeprefix("STATUS=").partition(":")[0] for line in manager.told if line.startswith("STATUS=")]
    assert states == ["connecting", "authenticated", "listening", "shutting_down", "disconnected"]
    assert "WATCHDOG=1" not in manager.told


async def test_without_a_broker_it_is_never_ready_and_says_why() -> None:
    manager = Manager(f"\0n8n-runner-{secrets.token_hex(4)}")
    process = start_command(
        None,
        N8N_RUNNERS_TASK_BROKER_URI="http://127.0.0.1:1",
        N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN,
        NOTIFY_SOCKET=manager.variable,
        WATCHDOG_USEC="60000",
    )
    await eventually(lambda: any(line.startswith("STATUS=backoff: ") for line in manager.told))
    before = manager.told.count("WATCHDOG=1")
    await eventually(lambda: manager.told.count("WATCHDOG=1") > before + 3, "a broker that is away needs no restart")
    assert "READY=1" not in manager.told
    process.terminate()
    process.communicate()
    manager.close()


async def test_a_process_that_stands_still_is_not_spoken_for(broker: EmbeddedBroker) -> None:
    manager = Manager(f"\0n8n-runner-{secrets.token_hex(4)}")
    process = start_command(
        broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, NOTIFY_SOCKET=manager.variable, WATCHDOG_USEC="60000"
    )
    await eventually(lambda: manager.told.count("WATCHDOG=1") > 3)
    process.send_signal(signal.SIGSTOP)
    await eventually(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    before = len(manager.told)
    with pytest.raises(AssertionError):
        await eventually(lambda: len(manager.told) > before, within=0.3)
    process.send_signal(signal.SIGCONT)
    await eventually(lambda: len(manager.told) > before)
    process.terminate()
    process.communicate()
    manager.close()


async def test_the_watchdog_hears_nothing_of_a_channel_that_is_stuck(
    broker: EmbeddedBroker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager(f"\0n8n-runner-{secrets.token_hex(4)}")
    environment = {"NOTIFY_SOCKET": manager.variable, "WATCHDOG_USEC": str(PINGS_A_PERIOD * 10_000_000)}
    runner = TaskRunner(config_for(broker))
    async with runner:
        await runner.reached(ConnectionState.LISTENING)
        with ServiceManager(runner, environment, clock):
            assert manager.told == ["WATCHDOG=1"]
            await eventually(lambda: is_healthy(runner))
            await clock.advance(10)
            assert manager.told == ["WATCHDOG=1"] * 2
            monkeypatch.setattr(TaskRunner, "readiness", Readiness(("The broker has been silent",)))
            await clock.advance(30)
            assert manager.told == ["WATCHDOG=1"] * 2
            monkeypatch.undo()
            await clock.advance(10)
            assert manager.told == ["WATCHDOG=1"] * 3
        assert manager.told[-1] == "STOPPING=1"
        assert clock.pending == []
    manager.close()


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 10),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 10),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_this_processes_or_none(environment: dict[str, str], interval: float | None) -> None:
    assert watchdog_interval(environment) == interval


@pytest.mark.parametrize("address", ["/nobody/listens/here", "@nobody-listens-here", "vsock:2:1234", ""])
async def test_a_manager_that_is_not_there_harms_nothing(broker: EmbeddedBroker, address: str) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, NOTIFY_SOCKET=address)
    await eventually(lambda: broker.rules.runner_ids)
    process.terminate()
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
