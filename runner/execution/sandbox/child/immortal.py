"""Objects that nobody counts the users of, so that a worker that uses them does not write to them.

Python counts who uses an object in the object, so each that a worker uses has the kernel copy a page for it. From 3.12
on Python leaves the count of some objects alone: those that it marks as immortal (PEP 683), such as None. What is in
the zygote when it begins to fork is never let go of either, neither there nor in a worker, which ends with its task.
So it gets the same mark. There is no call for it: the mark is written to where the count is.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

PROBES = 3
"""How often an object that was marked is used once more, to see whether its users are still counted."""


def make_immortal() -> int:
    """Mark all that the garbage collector knows, and all that is reached from there.

    Returns how many objects were marked; 0 if this Python knows no mark, or its counts are not where they are looked
    for. It takes a microsecond for each. To be called just before `gc.freeze`: the collector should not meet them.
    """
    try:
        from ctypes import c_uint32  # not there in every Python
    except ImportError:
        return 0
    count_at = c_uint32.from_address
    if sys.implementation.name != "cpython" or sys.byteorder != "little" or sys.maxsize < 2**32:
        return 0
    mark = count_at(id(None)).value
    if not _is_mark(mark) or not _is_heeded(mark, count_at):
        return 0
    marked = 0
    nearest: list[Any] = gc.get_objects()
    while nearest:
        new = []
        for each in nearest:
            count = count_at(id(each))
            if not _is_mark(count.value):
                count.value = mark
                new.append(each)
        marked += len(new)
        nearest = gc.get_referents(*new)
    return marked


def _is_mark(count: int) -> bool:
    """Whether a count says that it is none: as a signed number of 32 bits it is negative."""
    return count >= 2**31


def _is_heeded(mark: int, count_at: Any) -> bool:
    """Whether the users of an object are counted where we look, and no longer once it is marked there."""
    probe = object()
    users = [probe] * PROBES
    if count_at(id(probe)).value != sys.getrefcount(probe) - 1:
        return False
    count_at(id(probe)).value = mark
    users += [probe] * PROBES
    return bool(count_at(id(probe)).value == mark)
