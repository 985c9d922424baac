"""System calls by name, without a library in between."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import partial

from runner.execution.sandbox.confinement.syscalls import ARCHITECTURES, NUMBERS

Syscall = Callable[..., int]
"""Takes a number and up to six arguments, returns what the kernel returns; -1 if it refuses, and errno says why."""

MOST_ARGUMENTS = 6


class Kernel:
    """The kernel below this process, or one that a test has made up."""

    def __init__(self, machine: str | None = None, syscall: Syscall | None = None) -> None:
        """The kernel of an architecture.

        Parameters:
            machine: its name as in `uname -m`; None for this machine's.
            syscall: what makes a system call; None for the C library's `syscall`. It may raise OSError as well.
        """
        self.machine = _machine() if machine is None else machine
        self._numbers = (
            {name: numbers[ARCHITECTURES.index(self.machine)] for name, numbers in NUMBERS.items()}
            if self.is_known
            else dict.fromkeys(NUMBERS)
        )
        self._syscall = syscall or (_syscall() if self.is_known else None) or _unknown

    @property
    def is_known(self) -> bool:
        """Whether the numbers of its system calls are known here."""
        return self.machine in ARCHITECTURES

    def number(self, name: str) -> int | None:
        """The number of a system call; None if there is no such call."""
        return self._numbers[name]

    def call(self, name: str, *arguments: int) -> int:
        """Make a system call.

        Raises:
            OSError: the kernel refuses it, or does not know it.
        """
        number = self._numbers[name]
        if number is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        result = self._syscall(*_padded(number, arguments))
        if result == -1:
            code = self.last_error()
            raise OSError(code, os.strerror(code))
        return result

    def prepared(self, name: str, *arguments: int) -> Callable[[], int]:
        """A system call to be made later: see `steps`."""
        number = self._numbers[name]
        return partial(_unknown, 0) if number is None else partial(self._syscall, *_padded(number, arguments))

    @staticmethod
    def last_error() -> int:
        """The errno of the call that was refused last."""
        import ctypes

        return ctypes.get_errno()

    def prctl(self, option: int, argument: int = 0) -> int:
        """Call prctl."""
        return self.call("prctl", option, argument)


def _machine() -> str:
    """The architecture of this machine; none unless this is a 64-bit process on Linux."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return ""
    return os.uname().machine


def _unknown(number: int, *arguments: int) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _padded(number: int, arguments: tuple[int, ...]) -> tuple[int, ...]:
    """A number and all arguments that there can be: some calls insist on zeros for those that they do not take."""
    return (number, *arguments, *[0] * (MOST_ARGUMENTS - len(arguments)))


def _syscall() -> Syscall | None:
    """The C library's `syscall`."""
    try:
        import ctypes  # takes some milliseconds, and is not there in every Python
    except ImportError:
        return None
    prototype = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * (1 + MOST_ARGUMENTS), use_errno=True)
    function: Syscall = prototype(("syscall", ctypes.CDLL(None)))
    return function


class Buffer:
    """Bytes at an address that the kernel can be given."""

    def __init__(self, content: bytes | bytearray) -> None:
        """A copy of `content`, which stays where it is as long as this object lives."""
        import ctypes

        self.memory = (ctypes.c_char * len(content)).from_buffer_copy(content)
        self.address: int = ctypes.addressof(self.memory)
