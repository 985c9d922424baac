"""The world around a task under test: what it must not reach, and whether it was reached."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from runner.execution.sandbox.confinement.spec import OWN_USER

SCRIPT = Path(__file__).with_name("confined.py")
SECRET = "s3cret-canary"
LIMITS = {"memory": 128 * 1024**2, "cpu": 2, "files": 64, "file_size": 16 * 1024**2, "threads": 64}
SETTLED = 0.05
"""How long it takes at most until a signal that was sent is seen to have been, in seconds."""

STRANGER = 48_123
"""A user that nobody is, to start as."""


class Setting(NamedTuple):
    """Which interpreter is started, and as whom."""

    name: str
    python: str
    start_as: int | None
    task_user: int
    forked: bool = False


def settings() -> list[Setting]:
    """How confinement is met: as it comes, and where this is root, by a user of its own and without root."""
    user = os.getuid()
    found = [Setting("as it comes", sys.executable, None, user), Setting("forked", sys.executable, None, user, True)]
    for python in (sys.executable, "/usr/bin/python3"):
        if user == 0 and _can_start(python):
            found[0] = found[0]._replace(task_user=OWN_USER if python == sys.executable else 0)
            found[1] = found[1]._replace(task_user=found[0].task_user)
            found.append(Setting("own user", python, None, OWN_USER))
            found.append(Setting("never root", python, STRANGER, STRANGER))
            break
    return found


def _can_start(python: str) -> bool:
    """Whether a stranger can start an interpreter that is new enough."""
    check = "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"
    with contextlib.suppress(OSError):
        return subprocess.run([python, "-I", "-c", check], user=STRANGER, capture_output=True).returncode == 0
    return False


class World:
    """A canary, a neighbour, its folder, and listeners; all of them the task's user's, as far as that goes."""

    def __init__(self, setting: Setting, home: Path) -> None:
        self.setting = setting
        self._home = home
        self._user = os.getuid() if setting.start_as is None else setting.start_as
        home.chmod(0o755)
        self.outside, self.folders = home / "outside", home / "folders"
        self.neighbours = self.folders / "neighbour"
        for folder in (self.outside, self.folders, self.neighbours):
            folder.mkdir()
        (self.outside / "canary").write_text(SECRET)
        (self.neighbours / "items").write_text(SECRET)
        for path in (self.outside, self.outside / "canary", self.folders, self.neighbours, self.neighbours / "items"):
            os.chown(path, self._user, self._user)
            path.chmod(0o777 if path.is_dir() else 0o666)
        self._neighbour = subprocess.Popen(
            ["/bin/sleep", "600"],
            env={"SECRET": SECRET},
            user=None if setting.task_user == os.getuid() else setting.task_user,
            cwd="/",
        )
        self._listen(home)

    def _listen(self, home: Path) -> None:
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._unix, self._abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self._datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._abstract_name = f"n8n-runner-test-{os.getpid()}-{home.name}"
        self._unix.bind(str(home / "socket"))
        self._abstract.bind("\0" + self._abstract_name)
        self._datagrams.bind(str(home / "datagrams"))
        (home / "socket").chmod(0o777)
        (home / "datagrams").chmod(0o777)
        for listener in (self._unix, self._abstract):
            listener.listen()
        for each in (self._tcp, self._unix, self._abstract, self._datagrams):
            each.setblocking(False)

    def run(
        self, program: str, *, confined: bool = True, network: bool = False, **limits: int
    ) -> tuple[str, dict[str, Any]]:
        """Run a program, and say how its process ended, and what it answered."""
        order = {"world": self.facts(), "program": program, "confined": confined, "network": network}
        order |= {"limits": {**LIMITS, **limits}, "forked": self.setting.forked}
        done = subprocess.run(
            [self.setting.python, "-I", "-B", "-X", "utf8", str(SCRIPT)],
            input=json.dumps(order).encode(),
            capture_output=True,
            cwd="/",
            env={},
            user=self.setting.start_as,
            group=self.setting.start_as,
            extra_groups=None if self.setting.start_as is None else [],
            start_new_session=True,
            timeout=30,
        )
        if program.startswith(("kills", "stops")):
            time.sleep(SETTLED)
        answer = json.loads(done.stdout) if done.stdout.startswith(b"{") else {"loot": repr(done.stdout.decode())}
        return f"{done.returncode}: {done.stderr.decode()[-2000:]}", answer

    def facts(self) -> dict[str, Any]:
        """What an attack is told of it."""
        return {
            "secret": SECRET,
            "outside": str(self.outside),
            "canary": str(self.outside / "canary"),
            "folders": str(self.folders),
            "neighbours": str(self.neighbours),
            "own": str(self.folders / "own"),
            "neighbour": self._neighbour.pid,
            "runner": os.getpid(),
            "group": os.getpgrp(),
            "port": self._tcp.getsockname()[1],
            "socket": str(self._home / "socket"),
            "datagrams": str(self._home / "datagrams"),
            "abstract": self._abstract_name,
        }

    def damage(self) -> list[str]:
        """What was done to it."""
        found = [f"{path} was left" for path in self.outside.iterdir() if path.name != "canary"]
        for file in (self.outside / "canary", self.neighbours / "items"):
            found += self._changes(file)
        if stat.S_IMODE(self.outside.stat().st_mode) != 0o777:
            found.append("the mode of a folder was changed")
        if not _is_well(self._neighbour):
            found.append("a neighbour was killed or stopped")
        for listener in (self._tcp, self._unix, self._abstract):
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                found.append("a listener was reached")
        with contextlib.suppress(BlockingIOError):
            found.append(f"a datagram came: {self._datagrams.recv(10)!r}")
        return found

    @staticmethod
    def _changes(file: Path) -> Iterator[str]:
        if not file.exists():
            yield f"{file.name} is gone"
        elif file.read_text() != SECRET:
            yield f"{file.name} was changed"
        elif stat.S_IMODE(file.stat().st_mode) != 0o666 or file.stat().st_mtime < 1000:
            yield f"what {file.name} is was changed"

    def close(self) -> None:
        self._neighbour.send_signal(signal.SIGKILL)
        self._neighbour.wait()
        for each in (self._tcp, self._unix, self._abstract, self._datagrams):
            each.close()
        self.outside.chmod(0o700)
        shutil.rmtree(self._home)


def _is_well(process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        return False
    stopped = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    return stopped is None


@contextlib.contextmanager
def world_for(setting: Setting) -> Iterator[World]:
    """A new world, not below pytest's own folder: strangers cannot reach that."""
    world = World(setting, Path(tempfile.mkdtemp(prefix="attacked-world-")))
    try:
        yield world
    finally:
        world.close()
