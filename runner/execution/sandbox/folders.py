"""The folder in which the temporary folders of tasks lie: made by a runner, and removed with all that is in it.

A runner that was killed leaves its folder behind. The next one finds it: it is locked as long as its runner lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from runner.execution.sandbox.child.sweep import sweep

PREFIX = "n8n-runner-"
LOCK = "lock"
TASKS = "tasks"


class Folder:
    """A folder of this runner's, locked as long as it is used."""

    def __init__(self) -> None:
        """Make it.

        Raises:
            OSError: the temporary folder of the machine cannot be written.
        """
        while True:
            self._place = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._lock = os.open(self._place / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if (self._place / LOCK).exists():
                break
            os.close(self._lock)  # another runner has taken it for an abandoned one in just this moment
        self._place.chmod(0o711)  # tasks may be another user's, and have to get at their own
        self.tasks = self._place / TASKS
        self.tasks.mkdir(0o700)

    def remove(self) -> None:
        """Remove it. To be called when no task is left; takes as long as there are files."""
        _remove(self._place)
        os.close(self._lock)


def remove_abandoned() -> int:
    """Remove the folders of this user's runners that are gone, and say how many there were."""
    count = 0
    for place in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if place.is_symlink() or place.lstat().st_uid != os.getuid():
                continue
            lock = os.open(place / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(place)
                count += 1
            finally:
                os.close(lock)
    return count


def _remove(place: Path) -> None:
    with contextlib.suppress(OSError):
        for folder in (place / TASKS).iterdir():
            sweep(str(folder))
    shutil.rmtree(place, ignore_errors=True)
