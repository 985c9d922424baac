"""The confinement of tasks, applied in two moments.

    confinement = Confinement(spec)
    confinement.confine_zygote()
    ...
    if os.fork() == 0:
        report = confinement.confine_worker(folder, os.environ)

Both may be called in one process, one after the other. There must be no other thread: most of this holds for a thread
and what it starts. And no descriptor that a task is not to use: what is open stays open, whatever its path.

The zygote may fork, wait, use the sockets it has, make pairs, write below the folder of the tasks' folders, and import
what may be read. It may start no program and use no `pidfd`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, MutableMapping

from runner.execution.sandbox.confinement import rules
from runner.execution.sandbox.confinement.kernel import Kernel
from runner.execution.sandbox.confinement.landlock import READ, WRITE, Landlock, rights_for
from runner.execution.sandbox.confinement.limits import Limits, baseline, worker_limits, zygote_limits
from runner.execution.sandbox.confinement.privileges import drop_capabilities, forbid_new_privileges, leave_root
from runner.execution.sandbox.confinement.process import (
    close_memory,
    die_with_parent,
    go_first,
    is_alone,
    only_this_thread,
)
from runner.execution.sandbox.confinement.report import Report, Result, complete, missing, partial
from runner.execution.sandbox.confinement.spec import Spec
from runner.execution.sandbox.confinement.syscall_filter import Program, assemble

NULL = "/dev/null"

PER_THREAD = ("capabilities", "privileges", "files", "folder")
"""The layers that threads do not share."""


class Confinement:
    """What tasks are confined to, and all that can be prepared for it once."""

    def __init__(self, spec: Spec, kernel: Kernel | None = None) -> None:
        """The confinement of `spec`. Nothing is confined yet."""
        self._spec = spec
        self._kernel = kernel or Kernel()
        self._landlock = Landlock(self._kernel)
        self._zygote: int | None = None
        self._report = Report()
        self._worker_filter: Program | None = None
        self._worker_limits: Limits | None = None
        self._paths: list[tuple[str, int]] = []

    def confine_zygote(self) -> Report:
        """Confine this process as far as it can go and still fork workers. Once; nothing is raised."""
        spec, kernel = self._spec, self._kernel
        victim = go_first()
        user = leave_root(spec.user, spec.folders)  # capabilities are needed for it
        before = baseline()
        results = [user, drop_capabilities(kernel), forbid_new_privileges(kernel), close_memory(kernel)]
        results += [die_with_parent(kernel, None), victim, *zygote_limits().set()]
        self._paths = [
            *((path, rights_for(path, READ)) for path in spec.read),
            *((path, rights_for(path, WRITE)) for path in (*spec.write, NULL)),
        ]
        results.append(self._files((spec.folders, WRITE)))
        network = rules.NETWORK if spec.network else rules.NO_NETWORK
        filtered = self._filter(self._assembled((*rules.ZYGOTE, *network)))
        results += [filtered, self._network(filtered)]
        self._worker_filter = self._assembled(self._worker_rules())
        self._worker_limits = worker_limits(spec, before)
        self._zygote = os.getpid()
        self._report = Report(results)
        return self._report

    def confine_worker(self, folder: str, environment: MutableMapping[str, str]) -> Report:
        """Confine this process to one task, whose temporary folder is there already; report of all layers.

        Parameters:
            folder: below `Spec.folders`, made since the zygote was confined and by it, or else owned by the same user.
            environment: where the task looks for it, as TMPDIR, and as HOME if there is none.
        """
        if self._zygote is None or self._worker_limits is None:
            raise AssertionError("a worker is what a confined zygote has forked, or has become")
        os.umask(0o077)
        environment["TMPDIR"] = folder
        environment.setdefault("HOME", folder)
        parent = None if self._zygote == os.getpid() else self._zygote
        results = [die_with_parent(self._kernel, parent)]
        files = self._files((folder, WRITE))
        results += [files, self._folder(folder, files), *self._worker_limits.set()]
        results.append(self._filter(self._worker_filter))
        report = self._report.and_then(results)
        return report if is_alone() else Report(_with_reservations(report))

    def tie_to_zygote(self) -> None:
        """Have this process, which the zygote has forked for work of its own, not outlive it."""
        die_with_parent(self._kernel, self._zygote)

    def _files(self, *more: tuple[str, int]) -> Result:
        """Confine this process to its paths and `more`."""
        if not self._landlock.abi:
            return missing("files", self._landlock.why)
        try:
            self._landlock.restrict((*self._paths, *more), network=self._spec.network)
        except OSError as error:
            return missing("files", f"Landlock refuses: {error.strerror}")
        return complete("files", f"Landlock, ABI {self._landlock.abi}")

    @staticmethod
    def _folder(folder: str, files: Result) -> Result:
        if not os.access(folder, os.W_OK | os.X_OK):
            return missing("folder", f"{folder} cannot be written")
        if files.achieved == "missing":
            return partial("folder", f"{folder}, but those of other tasks are open as well")
        return complete("folder", folder)

    def _network(self, filtered: Result) -> Result:
        if self._spec.network:
            if filtered.achieved == "complete":
                return complete("network", "allowed: outgoing TCP and UDP")
            return partial("network", f"allowed, and not limited: {filtered.why}")
        if filtered.achieved == "complete":
            return complete("network", "none")
        if self._landlock.abi >= 4:
            return partial("network", "no TCP, by Landlock; but all else")
        return missing("network", filtered.why)

    def _worker_rules(self) -> tuple[rules.Rule, ...]:
        old_landlock = rules.OLD_LANDLOCK if 0 < self._landlock.abi < 3 else ()
        return (*rules.WORKER, *rules.METADATA, *old_landlock)

    def _assembled(self, which: Iterable[rules.Rule]) -> Program | None:
        return assemble(self._kernel, which) if self._kernel.is_known else None

    def _filter(self, program: Program | None) -> Result:
        layer = "system calls"
        if program is None:
            return missing(layer, "a filter needs Linux, in 64 bit, on x86_64 or aarch64")
        try:
            program.apply(self._kernel, os.getpid())
        except OSError as error:
            return missing(layer, f"the kernel takes no filter: {error.strerror}")
        return complete(layer, f"a filter of {len(program.instructions)} steps")


def _with_reservations(report: Report) -> Iterator[Result]:
    for result in report:
        yield only_this_thread(result) if result.layer in PER_THREAD else result
