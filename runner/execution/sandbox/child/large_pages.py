"""Large pages for what the zygote shares with its workers, so that a fork and an end have less to go through.

A fork writes down each page that the zygote has, and the end of the worker crosses it out again, one by one: a tenth of
a microsecond each, most of it for the kernel's own records, which are all over the memory and in no cache. And what
comes from a file, such as the interpreter's code, is mapped again in each worker, sixteen pages at a time.
Linux can put 512 pages that lie side by side in a large one (madvise(2), MADV_COLLAPSE, since 6.1). That is one entry,
and when it is taken apart again, since some of it is written to, its records still lie side by side.

Nothing depends on it: where there are no large pages, all is as it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from runner.execution.sandbox.child.memory import EXECUTE, HEAP, LARGE, READ, SMALL, Memory, Range, present, ranges

WORTH_IT = LARGE // 4
"""So much of a large page has to be there before, in bytes: the rest is memory that nobody asked for."""


class LargePages:
    """The large pages of a process."""

    def __init__(self) -> None:
        """Look at what there is. To be made before the process is confined."""
        self._ranges: Sequence[Range] = ()
        self._kept: dict[int, int] = {}
        """The large pages with objects in them, and where these ended when they were put there."""
        try:
            if os.sysconf("SC_PAGE_SIZE") == SMALL:
                self._memory = Memory()
                self._ranges = [*ranges()]
        except (ImportError, AttributeError, OSError):
            return  # there are none here

    def keep_code(self) -> int:
        """Put copies of the code that was loaded so far in large pages, in place of what comes from files.

        A library is one mapping then where it was four, each of which every fork has to make anew. What lies between
        its code and cannot be written, such as its constants, could be executed as well.

        Returns of how many files that is.
        """
        if not self._ranges or os.uname().machine != "x86_64":  # others have to be told that what was written is code
            return 0
        files = [*_files_with_code(self._ranges)]
        try:
            pieces = [piece for file in files for piece in _worth_copying(file)]
        except OSError:  # it cannot be seen what is in use
            return 0
        pieces.sort(key=lambda piece: piece[1] - piece[0] < LARGE)  # whole large pages first: they stay whole
        return len(files) if self._memory.replace_by_copies(pieces, READ | EXECUTE) else 0

    def keep_objects(self) -> int:
        """Put what was there at first in large pages, and what the C library's memory has now.

        When it is called again, only what is new: what was put there before is shared with workers that live.

        Returns how many large pages were made.
        """
        made = 0
        for start, end, permissions, name in self._ranges:
            if permissions == "rw-p" and name in ("", HEAP):
                until = self._memory.end_of_heap() if name == HEAP else end
                for at in _large_pages_of(start, until):
                    is_new = min(until, at + LARGE) - self._kept.get(at, start) >= WORTH_IT
                    if is_new and self._put_in_one(at, start, until):
                        self._kept[at] = min(until, at + LARGE)
                        made += 1
        return made

    def _put_in_one(self, at: int, start: int, end: int) -> bool:
        """Put what there is from `start` to `end` in the large page that begins at `at`, as far as it belongs there.

        What is missing is taken for as long as that lasts. False if it did not work.
        """
        memory = self._memory
        missing = [(since, until) for since, until in ((at, start), (end, at + LARGE)) if since < until]
        taken = [each for each in missing if memory.take(*each)]
        done = taken == missing and memory.put_in_large_pages(at, at + LARGE)
        for each in taken:
            memory.let_go(*each)
        return done


def _files_with_code(memory: Sequence[Range]) -> Iterator[Range]:
    """What cannot be written and lies side by side, for each file with something in it that can be executed."""
    found = Range(0, 0, "", "")
    for each in (*memory, Range(0, 0, "", "")):
        if each.permissions[:2] == "r-" and each.name == found.name and each.start == found.end:
            found = found._replace(end=each.end, permissions=found.permissions + each.permissions)
        else:
            if found.name.startswith("/") and "x" in found.permissions and "w" not in found.permissions:
                yield found
            found = each


def _worth_copying(file: Range) -> Iterator[tuple[int, int]]:
    """What is to be copied of a file: all of it if it is small, else those large pages that are in use."""
    if file.end - file.start <= LARGE:
        yield file.start, file.end
        return
    for at in range(file.start // LARGE * LARGE, file.end, LARGE):
        start, end = max(file.start, at), min(file.end, at + LARGE)
        if present(start, end) > (end - start) // 2:
            yield start, end


def _large_pages_of(start: int, end: int) -> Iterator[int]:
    """Where the large pages begin that have enough in them."""
    for at in range(start // LARGE * LARGE, end, LARGE):
        if min(end, at + LARGE) - max(start, at) >= WORTH_IT:
            yield at
