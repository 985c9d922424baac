"""Why the user's code has failed, in words for its author: what happened, where, and what can be done about it.

Runs in the child.
"""

from __future__ import annotations

import errno
import linecache
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from runner.execution.sandbox.child.failures import CodeFailed, text_of
from runner.execution.sandbox.child.user_code import FILE_NAME, FUNCTION_NAME

FRAMES_SHOWN = 20
MIB = 1024**2
DENIED = frozenset({errno.EPERM, errno.EACCES})
MOST_CAUSES = 10
"""How far the causes of an exception are followed."""


class Surroundings(NamedTuple):
    """What a task was given, for those who ran into its walls."""

    memory: int
    """In bytes."""
    network: bool


ANYWHERE = Surroundings(0, network=True)
"""No walls."""


def failure_of(error: BaseException, around: Surroundings = ANYWHERE) -> CodeFailed:
    """What the user is told of an exception that has come out of the code, whatever it is."""
    frames = _user_frames(error)
    line = frames[-1].tb_lineno if frames else None
    if isinstance(error, SystemExit):
        return CodeFailed(f"Process exited with code {text_of(error.code)}", line=line)
    name, text = type(error).__name__, text_of(error)
    trace = [_shown_frame(frame) for frame in frames[-FRAMES_SHOWN:]]
    trace.append(f"{name}: {text}" if text else name)
    description = _own_description(error) or _advice(error, around)
    if isinstance(error, MemoryError) and around.memory:
        text = f"Out of memory: a task may take {around.memory // MIB} MiB"
    return CodeFailed(text or name, description, trace="\n".join(trace), line=line)


def _advice(error: BaseException, around: Surroundings) -> str | None:
    """What can be done about an error that a wall around the task has caused."""
    if isinstance(error, MemoryError) and around.memory:
        return "N8N_RUNNERS_TASK_MEMORY_LIMIT (MiB) sets how much it may take."
    for cause in _causes(error):
        number = getattr(cause, "errno", None) if isinstance(cause, OSError) else None
        if number == errno.EFBIG:
            return "N8N_RUNNERS_TASK_FILE_SIZE (MiB) sets how large a file of a task may become."
        if number == errno.EMFILE:
            return "N8N_RUNNERS_TASK_OPEN_FILES sets how many open files a task may have."
        if number in DENIED and getattr(cause, "filename", None) is not None:
            return "Tasks reach their own temporary folder, and what N8N_RUNNERS_FS_READ and N8N_RUNNERS_FS_WRITE name."
        if number in DENIED and not around.network:
            return (
                "Tasks open no connections and start no programs here. "
                "N8N_RUNNERS_NETWORK=allow on the runner allows connections."
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, what caused it, what caused that, and so on."""
    step: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if step is None:
            return
        yield step
        step = step.__cause__ or step.__context__


def _own_description(error: BaseException) -> str | None:
    """The `description` that the exception of a user may have."""
    try:
        description = getattr(error, "description", None)
    except BaseException:  # noqa: BLE001 - it is the user's code
        return None
    return description if isinstance(description, str) and description else None


def _user_frames(error: BaseException) -> list[TracebackType]:
    """The part of the traceback that lies in the user's code."""
    frames = []
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == FILE_NAME:
            frames.append(step)
        step = step.tb_next
    return frames


def _shown_frame(frame: TracebackType) -> str:
    where = frame.tb_frame.f_code.co_name
    inside = "" if where == FUNCTION_NAME else f", in {where}"
    return f"Line {frame.tb_lineno}{inside}: {linecache.getline(FILE_NAME, frame.tb_lineno).strip()}"
