"""What a task is confined to, in plain values that go through JSON unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MIB = 1024**2

OWN_USER = 65_533
"""Not 65,534, which is `nobody`: other programs run under that one, and what one user runs and owns is counted and
reached as a whole."""


class Spec(NamedTuple):
    """What a task may reach and use. Lists of paths may name what does not exist; it is left out."""

    folders: str
    """The folder in which the temporary folder of each task lies. It becomes the user's (see `user`)."""
    read: tuple[str, ...] = ()
    """Files, and folders with all that is in them, that may be read."""
    write: tuple[str, ...] = ()
    """Files and folders that may be read and written, beside the task's own temporary folder."""
    network: bool = False
    """Whether connections may be opened. Listening is never possible."""
    memory: int = 512 * MIB
    """How much memory a task may take, in bytes, beyond what the zygote already has."""
    cpu: int = 300
    """How much processor time, all threads together, in seconds."""
    files: int = 256
    """How many open files."""
    file_size: int = 64 * MIB
    """The size of one file, in bytes."""
    threads: int = 256
    """How many threads the user may have in all tasks together, beyond those that it has at the start."""
    user: int = OWN_USER
    """The user and the group to become when started as root."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Spec:
        """From what `_asdict` gave, through JSON or not."""
        given: dict[str, Any] = {**values, "read": tuple(values["read"]), "write": tuple(values["write"])}
        return cls(**given)
