"""Landlock: files by their paths, TCP by its ports, signals and abstract sockets by who made them.

What is handled is denied unless a rule allows it, for a process and all its children, for ever. A second set of rules
narrows the first. What a kernel does not know is left out: the table says which ABI knows what.

Not handled by any ABI: looking whether a file is there, how large and how old it is, and going into a folder; and
modes, owners, times and attributes, which are the filter's (see `rules`).
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import NamedTuple

from runner.execution.sandbox.confinement.kernel import Buffer, Kernel
from runner.execution.sandbox.confinement.steps import Step


class Right(NamedTuple):
    """Something that can be done to a file or a folder, and the first ABI that knows of it."""

    name: str
    since: int
    of_files: bool
    """Whether it makes sense for a single file, and not for folders alone."""
    written: bool
    """Whether it belongs to writing."""


RIGHTS = (
    Right("execute", 1, of_files=True, written=False),
    Right("write_file", 1, of_files=True, written=True),
    Right("read_file", 1, of_files=True, written=False),
    Right("read_dir", 1, of_files=False, written=False),
    Right("remove_dir", 1, of_files=False, written=True),
    Right("remove_file", 1, of_files=False, written=True),
    Right("make_char", 1, of_files=False, written=False),
    Right("make_dir", 1, of_files=False, written=True),
    Right("make_reg", 1, of_files=False, written=True),
    Right("make_sock", 1, of_files=False, written=False),
    Right("make_fifo", 1, of_files=False, written=True),
    Right("make_block", 1, of_files=False, written=False),
    Right("make_sym", 1, of_files=False, written=True),
    Right("refer", 2, of_files=False, written=True),
    Right("truncate", 3, of_files=True, written=True),
    Right("ioctl_dev", 5, of_files=True, written=False),
)
"""In the order of their bits. Programs and devices are handled and allowed nowhere."""

TCP_SINCE, TCP_BIND, TCP_CONNECT = 4, 1, 2
SCOPES_SINCE, SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 6, 1, 2

VERSION = 1
PATH_BENEATH = 1

RULE = struct.Struct("=Qi")
"""Rights, and a descriptor of where they hold."""

OF_FILES = sum(1 << bit for bit, right in enumerate(RIGHTS) if right.of_files)
READ = sum(1 << bit for bit, right in enumerate(RIGHTS) if right.name in {"read_file", "read_dir"})
WRITE = READ | sum(1 << bit for bit, right in enumerate(RIGHTS) if right.written)

ATTRIBUTE_SIZES = ((SCOPES_SINCE, 24), (TCP_SINCE, 16), (1, 8))
"""How much of the attributes of a set of rules an ABI takes, in bytes."""


def handled(abi: int) -> int:
    """All rights that an ABI knows of."""
    return sum(1 << bit for bit, right in enumerate(RIGHTS) if right.since <= abi)


class Landlock:
    """Landlock as this kernel has it. `abi` is 0 where there is none, and `why` says what the kernel said."""

    def __init__(self, kernel: Kernel) -> None:
        """Ask the kernel."""
        self._kernel = kernel
        self.why = ""
        try:
            self.abi = kernel.call("landlock_create_ruleset", 0, 0, VERSION)
        except OSError as error:
            self.abi = 0
            self.why = REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
        self._handled = handled(self.abi)
        self._rule = Buffer(bytes(RULE.size)) if self.abi else None

    def attributes(self, *, network: bool) -> bytes:
        """What a set of rules handles. Where the network is allowed, opening connections is not handled."""
        tcp = TCP_BIND if network else TCP_BIND | TCP_CONNECT
        full = struct.pack("=QQQ", self._handled, tcp, SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS)
        return full[: next(size for since, size in ATTRIBUTE_SIZES if self.abi >= since)]

    def ruleset(self, rules: Iterable[tuple[str, int]], *, network: bool) -> int:
        """A descriptor of rules: paths with rights, and no TCP unless it is allowed.

        Raises:
            OSError: the kernel refuses it. A path that is not there, or out of reach, is left out.
        """
        if not self.abi:
            raise OSError(errno.ENOSYS, self.why)
        attributes = self.attributes(network=network)
        buffer = Buffer(attributes)
        ruleset = self._kernel.call("landlock_create_ruleset", buffer.address, len(attributes), 0)
        try:
            for path, rights in rules:
                self._allow(ruleset, path, rights & self._handled)
        except BaseException:
            os.close(ruleset)
            raise
        return ruleset

    def enforcing(self, layer: str, ruleset: int) -> Step:
        """What confines this thread, and all that it starts, to what the rules allow."""
        return Step(layer, self._kernel.prepared("landlock_restrict_self", ruleset))

    def _allow(self, ruleset: int, path: str, rights: int) -> None:
        if self._rule is None:
            raise AssertionError("there is no set of rules without Landlock")
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            RULE.pack_into(self._rule.memory, 0, rights, descriptor)
            self._kernel.call("landlock_add_rule", ruleset, PATH_BENEATH, self._rule.address, 0)
        finally:
            os.close(descriptor)


def rights_for(path: str, rights: int) -> int:
    """Those of the rights that make sense for what is at a path; all, if nothing is there yet."""
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return rights
    return rights if is_folder else rights & OF_FILES


REASONS = {
    errno.ENOSYS: "the kernel has no Landlock; Linux has it from 5.13 on",
    errno.EOPNOTSUPP: "Landlock is switched off in this kernel; its boot parameter `lsm=` has to name it",
    errno.EPERM: "the container that this runs in does not permit Landlock",
}
