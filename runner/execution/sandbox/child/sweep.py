"""The temporary folder of a task, swept: whatever a task has left there, however deep, and whatever its modes."""

from __future__ import annotations

import contextlib
import os

TOP_NAMES = "swept-"


def sweep(folder: str) -> None:
    """Remove a folder and all that is in it; what cannot be removed stays.

    Folders are moved up to the top before they are emptied, so that no depth is too deep for a path or for the stack.
    """
    count = 0
    waiting = [""]
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)  # noqa: PTH101
    while waiting:
        place = os.path.join(folder, waiting.pop())  # noqa: PTH118
        try:
            entries = list(os.scandir(place))
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)  # noqa: PTH108
                    continue
                os.chmod(entry.path, 0o700)  # noqa: PTH101
                if entry.name.startswith(TOP_NAMES) and place == os.path.join(folder, ""):  # noqa: PTH118
                    waiting.append(entry.name)
                    continue
                count += 1
                name = f"{TOP_NAMES}{os.getpid()}-{count}"
                os.rename(entry.path, os.path.join(folder, name))  # noqa: PTH104, PTH118
                waiting.append(name)
    _remove_empty(folder)


def _remove_empty(folder: str) -> None:
    """Remove a folder in which there are, by now, only empty ones, side by side.

    Not with `shutil`: it brings libraries along, and each makes the forks of the zygote slower.
    """
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            with contextlib.suppress(OSError):
                os.rmdir(entry.path)  # noqa: PTH106
        os.rmdir(folder)  # noqa: PTH106
