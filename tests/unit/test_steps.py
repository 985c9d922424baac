"""Calls of the kernel that are prepared, and what becomes of those that it refuses."""

from __future__ import annotations

import ctypes
import errno
import os

from runner.execution.sandbox.confinement.kernel import Kernel
from runner.execution.sandbox.confinement.process import SET_DUMPABLE
from runner.execution.sandbox.confinement.steps import Step, Steps, said

NO_SUCH_OPTION = 1 << 30


def failing() -> int:
    raise ValueError("not that much")


def test_all_steps_are_taken_whatever_becomes_of_one() -> None:
    taken: list[str] = []
    steps = [
        Step("a", lambda: taken.append("a")),
        Step("b", failing),
        Step("c", lambda: len(taken)),  # a number of a thread, as from seccomp
        Step("d", lambda: taken.append("d")),
    ]
    refused = Steps(steps, lambda: 0).take()
    assert taken == ["a", "d"]
    assert {layer: said(error) for layer, error in refused.items()} == {
        "b": "not that much",
        "c": os.strerror(errno.EBUSY),
    }


def test_a_call_that_the_kernel_refuses_says_why() -> None:
    kernel = Kernel()
    steps = [
        Step("fine", kernel.prepared("prctl", SET_DUMPABLE, 1)),
        Step("refused", kernel.prepared("prctl", NO_SUCH_OPTION)),
    ]
    ctypes.set_errno(0)
    refused = Steps(steps, kernel.last_error).take()
    assert {layer: getattr(error, "errno", None) for layer, error in refused.items()} == {"refused": errno.EINVAL}


def test_a_call_that_is_not_known_here_is_refused() -> None:
    kernel = Kernel("riscv64")
    refused = Steps([Step("any", kernel.prepared("prctl", 3))], kernel.last_error).take()
    assert getattr(refused["any"], "errno", None) == errno.ENOSYS
