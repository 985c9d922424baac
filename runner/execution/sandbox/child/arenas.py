"""Has Python take the memory of its objects from the C library, so that it is in one place.

Python takes it in arenas of a megabyte (see obmalloc.c), each of which it has the kernel put somewhere between the
libraries. The C library's own memory is of one piece. This is imported before all else, and imports next to nothing.
"""

from __future__ import annotations

import sys

ARENA = 1024**2
"""In bytes."""

ALIGNED_TO = 4096
"""Arenas begin at multiples of so many bytes."""


class Arenas:
    """Where Python has its arenas from: the C library, until `as_before`. Where that cannot be, nothing changes."""

    def __init__(self) -> None:
        """Change it."""
        self._change_back = _nothing
        if sys.platform != "linux":
            return
        try:
            import ctypes  # not there in every Python

            library, python = ctypes.CDLL(None), ctypes.pythonapi
            # With a first argument that says where to begin, this is called as Python wants to. No call to let go is:
            # what is free before `as_before` stays where it is, but hardly ever is all of an arena free after imports.
            take, let_go = (ctypes.cast(each, ctypes.c_void_p) for each in (library.aligned_alloc, library.getpid))
            look_up, change = python.PyObject_GetArenaAllocator, python.PyObject_SetArenaAllocator
        except (ImportError, AttributeError):
            return
        allocator = ctypes.c_void_p * 3  # PyObjectArenaAllocator: the first argument, and two functions
        before = allocator()
        look_up(ctypes.byref(before))
        library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
        library.free.restype, library.free.argtypes = None, (ctypes.c_void_p,)
        library.free(library.malloc(2 * ARENA))  # glibc takes it that such blocks come and go, and keeps room for them
        change(ctypes.byref(allocator(ALIGNED_TO, take.value, let_go.value)))
        self._change_back = lambda: change(ctypes.byref(before))

    def as_before(self) -> None:
        """Have Python take new arenas from the kernel, and give back there what it does not need, of these as well."""
        self._change_back()


def _nothing() -> None:
    """Change nothing back."""
