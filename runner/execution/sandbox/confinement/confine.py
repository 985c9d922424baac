"""The confinement of tasks, applied in two moments.

    confinement = Confinement(spec)
    confinement.confine_zygote()
    place = confinement.prepare(folder, os.environ)
    ...
    if os.fork() == 0:
        results = confinement.confine_worker(place)

Both may be called in one process, one after the other. There must be no other thread: most of this holds for a thread
and what it starts. And no descriptor that a task is not to use: what is open stays open, whatever its path.

What can be done before the fork is done there: each page of memory that a fresh process writes to has to be copied
first, and that takes most of the time of a short task.

The zygote may fork, wait, use the sockets it has, make pairs, write below the folder of the tasks' folders, and import
what may be read. It may start no program and use no `pidfd`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, MutableMapping
from typing import NamedTuple

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


class Place(NamedTuple):
    """The temporary folder of a task, and what confines a worker to it. For any number of workers, one at a time."""

    folder: str
    ruleset: int
    """The descriptor of Landlock's rules; NO_RULESET where there are none."""
    files: Result
    """What is achieved for files when these rules are followed, or why there are none."""
    own: Result
    """What is achieved for the folder if files are confined."""

    def close(self) -> None:
        """Let go of the descriptor."""
        if self.ruleset != NO_RULESET:
            os.close(self.ruleset)


NO_RULESET = -1
NO_FOLDER = "it cannot be written"
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


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
        self._home = ""
        self._filtered = complete("system calls", "")
        self._files_confined = complete("files", f"Landlock, ABI {self._landlock.abi}")

    def confine_zygote(self) -> Report:
        """Confine this process as far as it can go and still fork workers. Once; nothing is raised."""
        spec, kernel = self._spec, self._kernel
        os.umask(0o077)
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
        if self._worker_filter is not None:
            self._worker_filter.load()
            self._filtered = self._filtered._replace(why=f"a filter of {len(self._worker_filter.instructions)} steps")
        self._worker_limits = worker_limits(spec, before)
        self._zygote = os.getpid()
        self._report = Report(results)
        return self._report

    def prepare(self, folder: str, environment: MutableMapping[str, str]) -> Place:
        """Prepare for workers whose temporary folder this is.

        Parameters:
            folder: below `Spec.folders`, made since the zygote was confined and by it, or else owned by the same user.
            environment: where the tasks look for it, as TMPDIR, and as HOME if there is none.

        Raises:
            OSError: there is no such folder, or there are no descriptors left.
        """
        self.name(folder, environment)
        if not os.access(folder, os.W_OK | os.X_OK):
            return Place(folder, NO_RULESET, missing("files", NO_FOLDER), missing("folder", f"{folder}: {NO_FOLDER}"))
        try:
            ruleset = self._ruleset((folder, WRITE))
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                raise
            return Place(folder, NO_RULESET, self._without_landlock(error), complete("folder", folder))
        return Place(folder, ruleset, self._files_confined, complete("folder", folder))

    def name(self, folder: str, environment: MutableMapping[str, str]) -> None:
        """Tell tasks by their environment that this is their temporary folder."""
        environment["TMPDIR"] = folder
        if environment.get("HOME", self._home) == self._home:
            environment["HOME"] = self._home = folder

    def confine_worker(self, place: Place) -> list[Result]:
        """Confine this process to one task, and return what was achieved, layer by layer, on top of the zygote's."""
        if self._zygote is None or self._worker_limits is None:
            raise AssertionError("a worker is what a confined zygote has forked, or has become")
        is_forked = self._zygote != os.getpid()
        tied = die_with_parent(self._kernel, self._zygote if is_forked else None)
        files = self._confine_files(place)
        results = [
            tied,
            files,
            place.own if files.achieved == place.own.achieved else _shared(place),
            *self._worker_limits.set(),
            self._filter(self._worker_filter),
        ]
        if is_forked or is_alone():  # a process that was just forked has one thread
            return results
        return [*_with_reservations(self.report(results))]

    def report(self, results: Iterable[Result]) -> Report:
        """All that was achieved for a worker: the zygote's part, and then the `results` of its own."""
        return self._report.and_then(results)

    def tie_to_zygote(self) -> None:
        """Have this process, which the zygote has forked for work of its own, not outlive it."""
        die_with_parent(self._kernel, self._zygote)

    def _files(self, *more: tuple[str, int]) -> Result:
        """Confine this process to its paths and `more`."""
        try:
            ruleset = self._ruleset(*more)
            try:
                self._landlock.enforce(ruleset)
            finally:
                os.close(ruleset)
        except OSError as error:
            return self._without_landlock(error)
        return self._files_confined

    def _ruleset(self, *more: tuple[str, int]) -> int:
        """The rules for the paths of all tasks and `more`. Raises OSError."""
        return self._landlock.ruleset((*self._paths, *more), network=self._spec.network)

    def _without_landlock(self, error: OSError) -> Result:
        return missing("files", self._landlock.why or f"Landlock refuses: {error.strerror}")

    def _confine_files(self, place: Place) -> Result:
        """Confine this process to the files of a place."""
        if place.ruleset != NO_RULESET:
            try:
                self._landlock.enforce(place.ruleset)
            except OSError as error:
                return self._without_landlock(error)
        return place.files

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
        layer = self._filtered.layer
        if program is None:
            return missing(layer, "a filter needs Linux, in 64 bit, on x86_64 or aarch64")
        try:
            program.apply(self._kernel, os.getpid())
        except OSError as error:
            return missing(layer, f"the kernel takes no filter: {error.strerror}")
        return self._filtered


def _shared(place: Place) -> Result:
    """What is achieved for a folder when files are not confined, or it cannot be written at all."""
    if place.own.achieved != "complete":
        return place.own
    return partial("folder", f"{place.folder}, but those of other tasks are open as well")


def _with_reservations(report: Report) -> Iterator[Result]:
    for result in report:
        yield only_this_thread(result) if result.layer in PER_THREAD else result
