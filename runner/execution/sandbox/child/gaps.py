"""Uses up what is free between objects, so that what a worker makes lies together.

A process that has imported and let go of much has free blocks everywhere, and the next objects are put there. Each is
on another page then, and each page that a worker writes to has the kernel copy it. What is free at the end of the heap,
or in a pool that has just begun, lies side by side.
"""

from __future__ import annotations

import os

POOL, POOL_HEADER = 16 * 1024, 48
"""Python takes blocks of one size from a pool of so many bytes, of which the first are its own: see obmalloc.c."""

SIZES = range(16, 512 + 1, 16)
"""The sizes of such blocks, in bytes."""

BYTES_HAVE = 33
"""What an object of bytes takes beside its bytes."""

LARGER_SIZES = (*range(65536, 4096, -4096), *range(4096, 1024, -256), *range(1040, 512, -16))
"""Blocks of these sizes, in bytes, are the C library's. The largest first, or they would be cut up for the others."""

MOST_CACHED = 1040
"""Up to this size, in bytes, a block that is given back is not joined with the end of the heap, but a gap again."""

C_HEADER = 8
"""What it adds to a block, in bytes."""

AT_THE_END = 100 * 1024
"""A block of this size, in bytes, is larger than a gap, and not so large that it is given pages of its own."""

MOST = 4 * 1024**2
"""How much is used up of each kind, in bytes: what has more gaps keeps some."""

_held: list[object] = []
"""What the gaps are filled with."""


def use_up_gaps() -> None:
    """Use up the free blocks of this process, for good: less than a megabyte, as a rule, in a millisecond."""
    _use_up_the_c_librarys()
    _use_up_pythons()


def _use_up_pythons() -> None:
    """Make objects of each size until two of them are the first of a pool: one alone may be a gap there."""
    for size in SIZES:
        first = 0
        for number in range(MOST // len(SIZES) // size):
            filling = _of_size(size, number)
            _held.append(filling)
            if first and id(filling) == first + size:
                break
            first = id(filling) if id(filling) % POOL == POOL_HEADER else 0


def _of_size(size: int, number: int) -> object:
    """A new object that takes a block of this size."""
    if size == SIZES[0]:
        return object()
    if size == SIZES[1]:
        return 2**29 + number  # not one of the small ones that are there already
    return bytes(size - BYTES_HAVE)


def _use_up_the_c_librarys() -> None:
    """Take blocks of each size until there is one at the end of the heap."""
    if not _is_glibc():
        return
    try:
        import ctypes  # not there in every Python
    except ImportError:
        return
    library = ctypes.CDLL(None)
    library.malloc_trim(0)  # pages that are free, and that each fork would write down and cross out again
    take, give_back = library.malloc, library.free
    take.restype, take.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    give_back.restype, give_back.argtypes = None, (ctypes.c_void_p,)
    end, left = take(AT_THE_END), MOST
    give_back(end)
    for size in LARGER_SIZES:
        block = take(size - C_HEADER)
        while block and block < end and left > 0:
            left -= size
            block = take(size - C_HEADER)
        if size > MOST_CACHED:
            give_back(block)


def _is_glibc() -> bool:
    """Whether the C library is one that looks for the block that fits best, and cuts what it lacks from the end."""
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError, OSError):
        return False
