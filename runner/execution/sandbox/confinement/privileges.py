"""Who a task is: not root, without capabilities, and without a way to either."""

from __future__ import annotations

import errno
import os
import struct

from runner.execution.sandbox.confinement.kernel import Buffer, Kernel
from runner.execution.sandbox.confinement.report import Result, complete, missing, partial
from runner.execution.sandbox.confinement.steps import said

SET_NO_NEW_PRIVILEGES = 38
DROP_FROM_BOUNDING_SET = 24
AMBIENT, CLEAR_ALL_AMBIENT = 47, 4

CAPABILITY_VERSION = 0x2008_0522
CAPABILITY_SETS = struct.Struct("=6I")
"""Effective, permitted and inheritable, of the lower 32 capabilities, and then of the others."""

MOST_CAPABILITIES = 64


def drop_capabilities(kernel: Kernel) -> Result:
    """Drop all capabilities of this thread, and all that could ever be gained.

    Only who has capabilities can take them from the bounding set. Who has none keeps a bounding set that means
    nothing, since none can be gained any more.
    """
    layer = "capabilities"
    try:
        for capability in range(MOST_CAPABILITIES):
            kernel.prctl(DROP_FROM_BOUNDING_SET, capability)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EPERM}:  # the last one was dropped, or there were none to drop with
            return missing(layer, said(error))
    header = Buffer(struct.pack("=Ii", CAPABILITY_VERSION, 0))
    sets = Buffer(CAPABILITY_SETS.pack(0, 0, 0, 0, 0, 0))
    try:
        kernel.call("capset", header.address, sets.address)
        kernel.call("prctl", AMBIENT, CLEAR_ALL_AMBIENT, 0, 0, 0)
        kernel.call("capget", header.address, sets.address)
    except OSError as error:
        return partial(layer, said(error))
    if any(CAPABILITY_SETS.unpack(sets.memory)):
        return missing(layer, "some are still there")
    return complete(layer, "none left")


def forbid_new_privileges(kernel: Kernel) -> Result:
    """From here on no program that is started has more rights than the one that starts it."""
    try:
        kernel.prctl(SET_NO_NEW_PRIVILEGES, 1)
    except OSError as error:
        return missing("privileges", said(error))
    return complete("privileges", "none can be gained")


def leave_root(user: int, folders: str) -> Result:
    """Become another user if this is root.

    Groups are left in any case, and `folders` becomes the other user's. Root stays root when the other user could not
    read the interpreter, which would not import a module any more: an interpreter below /root, for example.
    """
    layer = "user"
    if not hasattr(os, "setresuid"):
        return missing(layer, "this system cannot tell")
    if 0 not in os.getresuid():
        return complete(layer, f"user {os.getuid()}, as the runner")
    try:
        os.setgroups([])
        problem = _in_the_way_of(user)
        if problem:
            return partial(layer, f"still root, with no capabilities: {problem}")
        os.chown(folders, user, user)
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError as error:
        return partial(layer, f"still root, with no capabilities: {said(error)}")
    if os.getresuid() != (user, user, user):
        return missing(layer, "the kernel did not do it")
    return complete(layer, f"user {user}, no longer root")


def _in_the_way_of(user: int) -> str:
    """Why another user could not run this interpreter; nothing if it could."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    os.setresgid(-1, user, -1)
    os.setresuid(-1, user, -1)  # with the capabilities gone for so long
    try:
        os.listdir(library)  # noqa: PTH208
    except OSError:
        return f"user {user} may not read {library}"
    finally:
        os.setresuid(-1, 0, -1)
        os.setresgid(-1, 0, -1)
    return ""
