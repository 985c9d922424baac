"""The memory of this process: what is where, and the calls that change it. Addresses and sizes are in bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

LARGE, SMALL = 2 * 1024**2, 4096
"""A large page, in bytes, which begins at a multiple of that, and any other. Some machines have other sizes."""

ENTRY = 8
"""What the kernel tells of each page, in bytes."""

HEAP = "[heap]"
"""The C library's memory, as proc(5) calls it. It grows at its end."""

READ, WRITE, EXECUTE = 1, 2, 4

_PRIVATE, _UNLESS_TAKEN, _IN_PLACE_OF, _IN_LARGE_PAGES = 0x22, 0x100000, 3, 25
"""For mmap(2), mremap(2) and madvise(2). The module `mmap`, which knows most of them, is a library in each fork."""

_NONE = 2**64 - 1


class Range(NamedTuple):
    """Memory of one kind."""

    start: int
    end: int
    permissions: str
    name: str
    """A file, or what is in brackets; empty for all other."""


def ranges() -> Iterator[Range]:
    """The memory of this process, from the lowest address to the highest.

    Raises:
        OSError: it cannot be read.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123 - `pathlib` is large
        for line in lines:
            addresses, permissions, _, _, _, *name = line.split(maxsplit=5)
            start, _, end = addresses.partition("-")
            yield Range(int(start, 16), int(end, 16), permissions, "".join(name).strip())


def present(start: int, end: int) -> int:
    """How much of this memory is there, in bytes: what comes from a file is there once it was used, or its neighbours.

    Raises:
        OSError: that cannot be looked at.
    """
    with open("/proc/self/pagemap", "rb", buffering=0) as pages:  # noqa: PTH123
        pages.seek(start // SMALL * ENTRY)
        entries = pages.read((end - start) // SMALL * ENTRY)
    return SMALL * sum(byte >> 7 for byte in entries[ENTRY - 1 :: ENTRY])  # the highest bit of each


class Memory:
    """Calls about memory, of this process's C library."""

    def __init__(self) -> None:
        """Look them up.

        Raises:
            ImportError: this Python cannot call C.
            AttributeError: one of the calls is missing.
        """
        import ctypes

        library = ctypes.CDLL(None)
        address, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        self._map = _call(library.mmap, address, address, size, number, number, number, ctypes.c_long)
        self._remap = _call(library.mremap, address, address, size, size, number, address)
        self._unmap = _call(library.munmap, number, address, size)
        self._protect = _call(library.mprotect, number, address, size, number)
        self._advise = _call(library.madvise, number, address, size, number)
        self._break = _call(library.sbrk, address, ctypes.c_long)
        self._copy = ctypes.memmove

    def take(self, start: int, end: int) -> bool:
        """Take new memory where it was free; false if it was not."""
        at = self._map(start, end - start, READ | WRITE, _PRIVATE | _UNLESS_TAKEN, -1, 0)
        if at not in (start, _NONE):  # before 4.17, Linux puts it somewhere else
            self.let_go(at, at + end - start)
        return bool(at == start)

    def let_go(self, start: int, end: int) -> None:
        """Let go of memory."""
        if start < end:
            self._unmap(start, end - start)

    def put_in_large_pages(self, start: int, end: int) -> bool:
        """Put memory in large pages, as it is; false if that did not work. It takes a millisecond for each."""
        return bool(self._advise(start, end - start, _IN_LARGE_PAGES) == 0)

    def replace_by_copies(self, memory: Sequence[tuple[int, int]], allowed: int) -> bool:
        """Replace memory that nobody writes to by copies, which lie side by side in large pages; false if it stays.

        Parameters:
            memory: from where to where, in whole pages. What begins and ends with large pages comes first.
            allowed: what can be done with it afterwards.
        """
        used = sum(end - start for start, end in memory)
        if not used:
            return False
        size = -(-used // LARGE) * LARGE
        free = self._map(None, size + LARGE, READ | WRITE, _PRIVATE, -1, 0)
        if free == _NONE:
            return False
        copies = copy = -(-free // LARGE) * LARGE
        for start, end in memory:
            self._copy(copy, start, end - start)
            copy += end - start
        done = self.put_in_large_pages(copies, copies + size) and self._protect(copies, used, allowed) == 0
        copy = copies
        for start, end in memory if done else ():
            # What makes this call may be what it replaces: when the call returns, it is there again.
            if self._remap(copy, end - start, end - start, _IN_PLACE_OF, start) != start:
                self.let_go(copy, copy + end - start)
            copy += end - start
        self.let_go(free, copies)
        self.let_go(copy, free + size + LARGE)
        return done

    def end_of_heap(self) -> int:
        """Where the C library's memory ends now."""
        return int(self._break(0))


def _call(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function
