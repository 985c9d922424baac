"""How much memory the C library keeps of what has been let go of."""

from __future__ import annotations

import contextlib
import functools

TRIM_THRESHOLD, KEPT = -1, 16 * 1024**2
"""How many bytes at the end of the heap it keeps for later, and its own number for that."""

MMAP_THRESHOLD, OWN = -3, 8 * 1024**2
"""From how many bytes on a block is one of its own, which the kernel takes back at once."""


@functools.cache
def keep_for_the_next() -> None:
    """Have buffers of some megabytes kept for those of the next task, and larger ones given back at once.

    As it is, glibc learns from the blocks that come first. It then asks the kernel for the pages of each message again
    or, after one of tens of megabytes, keeps as much for good; and what grows there is copied again and again, where
    the kernel could move it. Called with the first task that is large: it takes some milliseconds.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError, TypeError):  # other libraries know nothing of it
        import ctypes

        tune = ctypes.CDLL(None).mallopt
        tune(TRIM_THRESHOLD, KEPT)
        tune(MMAP_THRESHOLD, OWN)
