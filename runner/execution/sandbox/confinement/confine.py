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
    TIED,
    close_memory,
    end,
    go_first,
    is_alone,
    only_this_thread,
    tie,
)
from runner.execution.sandbox.confinement.report import Report, Result, complete, missing, partial
from runner.execution.sandbox.confinement.spec import Spec
from runner.execution.sandbox.confinement.steps import Refused, Step, Steps, said
from runner.execution.sandbox.confinement.syscall_filter import LoadedProgram, Program, assemble

NULL = "/dev/null"

FILTER = "system calls"

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
    steps: Steps
    """What a worker does to confine itself."""
    results: list[Result]
    """What that achieves if the kernel refuses none of it."""

    def close(self) -> None:
        """Let go of the descriptor."""
        if self.ruleset != NO_RULESET:
            os.close(self.ruleset)


NO_RULESET = -1
NO_FOLDER = "it cannot be written"
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
NO_SUCH_CALL = frozenset({errno.ENOSYS, errno.EINVAL})


class Confinement:
    """What tasks are confined to, and all that can be prepared for it once."""

    def __init__(self, spec: Spec, kernel: Kernel | None = None) -> None:
        """The confinement of `spec`. Nothing is confined yet."""
        self._spec = spec
        self._kernel = kernel or Kernel()
        self._landlock = Landlock(self._kernel)
        self._zygote: int | None = None
        self._report = Report()
        self._worker_filter: LoadedProgram | None = None
        self._worker_limits: Limits | None = None
        self._filters_by_prctl = False
        self._paths: list[tuple[str, int]] = []
        self._names_home = False
        self._filtered = complete(FILTER, "")
        self._files_confined = complete("files", f"Landlock, ABI {self._landlock.abi}")

    def confine_zygote(self) -> Report:
        """Confine this process as far as it can go and still fork workers. Once; nothing is raised."""
        spec, kernel = self._spec, self._kernel
        os.umask(0o077)
        victim = go_first()
        user = leave_root(spec.user, spec.folders)  # capabilities are needed for it
        before = baseline()
        results = [user, drop_capabilities(kernel), forbid_new_privileges(kernel), close_memory(kernel)]
        limits = zygote_limits()
        refused = self._take(tie(kernel), *limits.steps())
        results += [_tied(refused), victim, *limits.results(refused)]
        self._paths = [
            *((path, rights_for(path, READ)) for path in spec.read),
            *((path, rights_for(path, WRITE)) for path in (*spec.write, NULL)),
        ]
        results.append(self._files((spec.folders, WRITE)))
        network = rules.NETWORK if spec.network else rules.NO_NETWORK
        filtered = self._filter(self._assembled((*rules.ZYGOTE, *network)))
        results += [filtered, self._network(filtered)]
        program = self._assembled(self._worker_rules())
        if program is not None:
            self._worker_filter = LoadedProgram(program)
            self._filtered = self._filtered._replace(why=f"a filter of {len(program.instructions)} steps")
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
        self._names_home = self._names_home or "HOME" not in environment
        self.name(folder, environment)
        if not os.access(folder, os.W_OK | os.X_OK):
            nowhere = missing("folder", f"{folder}: {NO_FOLDER}")
            return self._place(folder, NO_RULESET, missing("files", NO_FOLDER), nowhere)
        try:
            ruleset = self._ruleset((folder, WRITE))
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                raise
            return self._place(folder, NO_RULESET, self._without_landlock(error), complete("folder", folder))
        return self._place(folder, ruleset, self._files_confined, complete("folder", folder))

    def name(self, folder: str, environment: MutableMapping[str, str]) -> None:
        """Tell tasks by their environment that this is their temporary folder."""
        environment["TMPDIR"] = folder
        if self._names_home:
            environment["HOME"] = folder

    def confine_worker(self, place: Place) -> list[Result]:
        """Confine this process to one task, and return what was achieved, layer by layer, on top of the zygote's."""
        zygote, process = self._zygote, os.getpid()
        if zygote is None:
            raise AssertionError("a worker is what a confined zygote has forked, or has become")
        if self._worker_filter is not None:
            for fill in self._worker_filter.fills:
                fill(process)
        _, _, files, own, steps, results = place
        refused = steps.take()
        if os.getppid() != zygote and process != zygote:
            end()
        if refused:
            results = self._results(files, own, refused)
        if zygote != process or is_alone():  # a process that was just forked has one thread
            return results
        return [*_with_reservations(self.report(results))]

    def report(self, results: Iterable[Result]) -> Report:
        """All that was achieved for a worker: the zygote's part, and then the `results` of its own."""
        return self._report.and_then(results)

    def tie_to_zygote(self) -> None:
        """Have this process, which the zygote has forked for work of its own, not outlive it."""
        self._take(tie(self._kernel))
        if os.getppid() != self._zygote:
            end()

    def _take(self, *steps: Step) -> Refused:
        return self._steps(steps).take()

    def _steps(self, steps: Iterable[Step]) -> Steps:
        return Steps(steps, self._kernel.last_error)

    def _place(self, folder: str, ruleset: int, files: Result, own: Result) -> Place:
        """A place with the steps and the results of a worker that has it, worked out beforehand."""
        steps = [tie(self._kernel)]
        if ruleset != NO_RULESET:
            steps.append(self._landlock.enforcing("files", ruleset))
        if self._worker_limits is not None:
            steps += self._worker_limits.steps()
        if self._worker_filter is not None:
            steps.append(self._installing(self._worker_filter))
        return Place(folder, ruleset, files, own, self._steps(steps), self._results(files, own, {}))

    def _results(self, files: Result, own: Result, refused: Refused) -> list[Result]:
        """What a worker achieves, layer by layer, if the kernel refuses some of its steps."""
        if "files" in refused:
            files = self._without_landlock(refused["files"])
        limits = [] if self._worker_limits is None else self._worker_limits.results(refused)
        shared = own if files.achieved == own.achieved else _shared(own)
        return [_tied(refused), files, shared, *limits, self._filter_result(self._worker_filter, refused)]

    def _files(self, *more: tuple[str, int]) -> Result:
        """Confine this process to its paths and `more`."""
        try:
            ruleset = self._ruleset(*more)
        except OSError as error:
            return self._without_landlock(error)
        refused = self._take(self._landlock.enforcing("files", ruleset))
        os.close(ruleset)
        return self._without_landlock(refused["files"]) if refused else self._files_confined

    def _ruleset(self, *more: tuple[str, int]) -> int:
        """The rules for the paths of all tasks and `more`. Raises OSError."""
        return self._landlock.ruleset((*self._paths, *more), network=self._spec.network)

    def _without_landlock(self, error: Exception) -> Result:
        return missing("files", self._landlock.why or f"Landlock refuses: {said(error)}")

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
        return (*rules.WORKER, *old_landlock)

    def _assembled(self, which: Iterable[rules.Rule]) -> Program | None:
        return assemble(self._kernel, which) if self._kernel.is_known else None

    def _filter(self, program: Program | None) -> Result:
        """Have the system calls of this process filtered, and see how this kernel wants to be told."""
        if program is None:
            return self._filter_result(None, {})
        loaded = LoadedProgram(program)
        for fill in loaded.fills:
            fill(os.getpid())
        refused = self._take(self._installing(loaded))
        if getattr(refused.get(FILTER), "errno", 0) in NO_SUCH_CALL:
            self._filters_by_prctl = True
            refused = self._take(self._installing(loaded))
        return self._filter_result(loaded, refused)

    def _installing(self, program: LoadedProgram) -> Step:
        return program.installing(FILTER, self._kernel, by_prctl=self._filters_by_prctl)

    def _filter_result(self, program: LoadedProgram | None, refused: Refused) -> Result:
        if program is None:
            return missing(FILTER, "a filter needs Linux, in 64 bit, on x86_64 or aarch64")
        if FILTER in refused:
            return missing(FILTER, f"the kernel takes no filter: {said(refused[FILTER])}")
        return self._filtered


def _tied(refused: Refused) -> Result:
    return missing(TIED.layer, said(refused[TIED.layer])) if TIED.layer in refused else TIED


def _shared(own: Result) -> Result:
    """What is achieved for a folder when files are not confined, or it cannot be written at all."""
    if own.achieved != "complete":
        return own
    return partial("folder", f"{own.why}, but those of other tasks are open as well")


def _with_reservations(report: Report) -> Iterator[Result]:
    for result in report:
        yield only_this_thread(result) if result.layer in PER_THREAD else result
