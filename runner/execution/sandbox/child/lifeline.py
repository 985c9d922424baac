"""The child's tie to the runner: when the runner is gone, however it went, the child is killed.

The lifeline is the reading end of a pipe that nobody writes to and whose other end the runner alone holds. The kernel
is asked to send SIGKILL when anything happens to it. So there is no thread in the way of code that forks or uses
signals, and code that never gives Python a turn is killed as well.
"""

from __future__ import annotations

import _thread
import fcntl
import os
import signal


def hold(lifeline: int) -> None:
    """From here on, this process and its group do not outlive the runner."""
    try:
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    except (AttributeError, OSError):
        _watch_in_a_thread(lifeline)
        return
    try:
        os.read(lifeline, 1)
    except BlockingIOError:
        return
    _end()  # the runner was gone before the kernel was asked


def _watch_in_a_thread(lifeline: int) -> None:
    """The same, as well as it can be done where the kernel does not help."""
    os.set_blocking(lifeline, True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # signals are for the user's code
    _thread.start_new_thread(_wait_for_the_end, (lifeline,))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_for_the_end(lifeline: int) -> None:
    try:
        os.read(lifeline, 1)
    except OSError:
        return  # the code has closed it
    _end()


def _end() -> None:
    os.killpg(0, signal.SIGKILL)
