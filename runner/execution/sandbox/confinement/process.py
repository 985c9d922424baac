"""What ties a process to others: who may look into it, whose end is its own, who is to go first, its threads."""

from __future__ import annotations

import os
import signal

from runner.execution.sandbox.confinement.kernel import Kernel
from runner.execution.sandbox.confinement.report import Result, complete, missing, partial
from runner.execution.sandbox.confinement.steps import Step

SET_SIGNAL_AT_PARENTS_DEATH = 1
SET_DUMPABLE = 4

TIED = complete("parent", "killed at its parent's death")

OOM_SCORE = "/proc/self/oom_score_adj"
OOM_SCORE_ADDED, OOM_SCORE_MOST = 500, 1000


def close_memory(kernel: Kernel) -> Result:
    """Have this process read and debugged by none but root, and leave no core dump.

    What stands below /proc/self belongs to root from here on, also for the process itself, and what looks into other
    processes (py-spy, gdb, the memory maps) needs root. How much memory it takes is still to be seen by all.
    """
    try:
        kernel.prctl(SET_DUMPABLE, 0)
    except OSError as error:
        return missing("memory privacy", error.strerror or str(error))
    return complete("memory privacy", "no dumps, no debuggers")


def tie(kernel: Kernel) -> Step:
    """Be killed when the thread that forked this process ends, unless it has ended already: see `end`.

    Becoming another user and forking both undo it, so it is asked for after the one, and in each child.
    """
    return Step(TIED.layer, kernel.prepared("prctl", SET_SIGNAL_AT_PARENTS_DEATH, int(signal.SIGKILL)))


def end() -> None:
    """What a process does that finds itself with another parent than the one that it wants to be tied to."""
    os.kill(os.getpid(), signal.SIGKILL)


def go_first() -> Result:
    """Be what the kernel kills, rather than the runner or n8n, when memory runs out. To be done while /proc is open."""
    try:
        with open(OOM_SCORE, encoding="ascii") as file:  # noqa: PTH123
            wanted = min(int(file.read()) + OOM_SCORE_ADDED, OOM_SCORE_MOST)
        with open(OOM_SCORE, "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(str(wanted))
    except (OSError, ValueError) as error:
        return missing("victim", f"{OOM_SCORE} cannot be written: {error}")
    return complete("victim", f"goes at a score of {wanted}")


def is_alone() -> bool:
    """Whether this process has one thread. Most of confinement holds for a thread and for what it starts."""
    try:
        return os.stat("/proc/self/task").st_nlink <= 2 + 1  # noqa: PTH116 - a folder for each, and two names of its own
    except OSError:
        return True


def only_this_thread(result: Result) -> Result:
    """A result, with the reservation that there are threads which started before."""
    if result.achieved != "complete":
        return result
    return partial(result.layer, f"{result.why}, but not for threads that were there before")
