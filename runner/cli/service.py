"""What a service manager is told of `n8n-runner start`: systemd's protocol of datagrams, as its sd_notify(3) has it.

READY=1 once the runner listens for tasks, STATUS= at each transition, STOPPING=1 when it ends, and WATCHDOG=1 from the
event loop, as long as that turns and the channel is what it says that it is. A broker that is away is no reason to be
restarted: the runner comes back by itself.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Self

from runner.cli.watching import NOTIFY_SOCKET
from runner.clock import Alarm, Clock, SystemClock
from runner.observe.observers import Observer
from runner.task_runner import TaskRunner
from statemachine import ConnectionState, Entry

log = logging.getLogger(__name__)

WATCHDOG = "WATCHDOG_USEC"
WATCHDOG_PROCESS = "WATCHDOG_PID"

PINGS_A_PERIOD = 3
"""How many times the watchdog hears of us in the time after which it would act."""


class ServiceManager(Observer):
    """Tells a service manager about a runner, while the context lasts; nothing, if there is none."""

    def __init__(self, runner: TaskRunner, environment: Mapping[str, str], clock: Clock | None = None) -> None:
        """What the manager in this environment, if there is one, is told about `runner`."""
        self._runner = runner
        self._address = _address_in(environment)
        self._interval = watchdog_interval(environment) if self._address else None
        self._alarm = Alarm(clock or SystemClock(), self._ping)
        self._is_ready = False
        self._line: socket.socket | None = None

    def __enter__(self) -> Self:
        """Begin to tell. Needs a running event loop."""
        if self._address:
            self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._line.setblocking(False)
            self._forget = self._runner.observe(self)
            self._ping()
        return self

    def __exit__(self, *_: object) -> None:
        """Say that this is the end."""
        self._alarm.stop()
        if self._line is not None:
            self._say("STOPPING=1")
            self._forget()
            self._line.close()
            self._line = None

    def on_transition(self, entry: Entry) -> None:
        """Tell the state, and what it means for the service."""
        words = ["STATUS=" + " ".join(f"{entry.target}: {entry.why}".rstrip(": ").split())]
        if entry.target == ConnectionState.LISTENING.value and not self._is_ready:
            self._is_ready = True
            words.append("READY=1")
        elif entry.target == ConnectionState.SHUTTING_DOWN.value:
            words.append("STOPPING=1")
        self._say(*words)

    def _ping(self) -> None:
        if self._interval is None:
            return
        if is_healthy(self._runner):
            self._say("WATCHDOG=1")
        self._alarm.set(self._interval)

    def _say(self, *words: str) -> None:
        if self._line is None:
            return
        try:
            self._line.sendto("\n".join(words).encode("utf-8", "replace"), self._address)
        except OSError as error:  # the service must not suffer from its manager
            log.debug("The service manager cannot be told: %s", error)


def is_healthy(runner: TaskRunner) -> bool:
    """Whether a restart would not make anything better: it can be given tasks, or is on its way to the broker."""
    return runner.state is not ConnectionState.LISTENING or runner.readiness.is_ready


def _address_in(environment: Mapping[str, str]) -> str:
    """Where datagrams go, as Python has it; nothing if there is no manager that we can speak to."""
    name = environment.get(NOTIFY_SOCKET, "")
    if name.startswith("@"):  # of Linux's abstract namespace
        return "\0" + name[1:]
    return name if name.startswith("/") else ""


def watchdog_interval(environment: Mapping[str, str]) -> float | None:
    """How often the watchdog is to hear of this process, in seconds; None if there is none."""
    microseconds = environment.get(WATCHDOG, "")
    process = environment.get(WATCHDOG_PROCESS, "")
    if not microseconds.isdecimal() or not int(microseconds) or process not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / 1_000_000 / PINGS_A_PERIOD
