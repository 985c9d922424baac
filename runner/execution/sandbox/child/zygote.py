"""The zygote: imports once what tasks need, confines itself, and forks a worker for each task. Started as a file.

It does what the runner says on the control line and nothing else: it reads nothing that a worker has written. When
the runner is gone, so is the line, the zygote ends, and with it, by the kernel, all that it has forked.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Started as `python -I .../zygote.py`: the package around it has to be found, and user code should not see how.
    _root = os.path.abspath(__file__)  # noqa: PTH100
    for _ in range(5):
        _root = os.path.dirname(_root)  # noqa: PTH120
    sys.path.insert(0, _root)

from runner.execution.sandbox.child.arenas import Arenas

if __name__ == "__main__":
    _arenas = Arenas()  # before anything else is imported, which is to be in large pages

import _signal  # type: ignore[import-not-found]
import _socket  # what `socket` adds would be in every fork: twenty classes, `selectors`, and a library for arrays
import contextlib
import gc
import io
import json
import select
import signal
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from runner.execution.sandbox import wire
from runner.execution.sandbox.child import quick
from runner.execution.sandbox.child.explaining import Surroundings
from runner.execution.sandbox.child.gaps import use_up_gaps
from runner.execution.sandbox.child.immortal import make_immortal
from runner.execution.sandbox.child.large_pages import LargePages
from runner.execution.sandbox.child.preload import FOR_LIBRARIES, LeavesThreads, preload
from runner.execution.sandbox.child.rehearsal import TIMES, rehearse, rehearse_quick
from runner.execution.sandbox.child.sweep import sweep
from runner.execution.sandbox.child.worker import Terms, Worker
from runner.execution.sandbox.confinement.confine import Confinement, Place
from runner.execution.sandbox.confinement.readable import readable_paths
from runner.execution.sandbox.confinement.report import Result
from runner.execution.sandbox.confinement.spec import Spec
from runner.execution.sandbox.confinement.steps import Step, Steps
from runner.execution.sandbox.language.policy import Policy
from runner.execution.sandbox.order import Order

if __name__ == "__main__":
    sys.path.remove(_root)

WORKERS_LINE = 3
"""Where a worker has its line. Nothing else is open in it but 0 to 2."""

HIGHEST_DESCRIPTOR = 1 << 30

DESCRIPTORS = struct.Struct("3i")
"""Those of a worker, as they come along with FORK."""

DESCRIPTORS_SPACE = _socket.CMSG_SPACE(DESCRIPTORS.size)

# What is said and heard of each worker has its forms here, since all that is looked up is copied after each fork.
HEADER_SIZE = wire.HEADER.size
NOT_CONFINED = wire.EXIT_NOT_CONFINED
leave = os._exit
WAIT_FOR_ALL = _socket.MSG_WAITALL
FORKED = partial(struct.Struct("!BII").pack, wire.FORKED, wire.NUMBER.size)
"""A whole frame that says the number of a worker."""
ENDED = partial(struct.Struct("!BIIi").pack, wire.ENDED, wire.END.size)
"""A whole frame that says the number of a worker, and its wait status."""


SELDOM = 10_000
"""After so many new objects that may be garbage, it is looked for in a task. Python's own 700 are there by the time the
code begins: to look through all that has been made so far took a short task 90 microseconds."""

A_SECOND = 10**9
"""In nanoseconds."""


class Untouched(NamedTuple):
    """A place whose folder nobody has put anything in."""

    place: Place
    made: int
    """When the folder was changed last, as far as it says: a second before it was made, in nanoseconds."""
    confines: bool
    """Whether a worker is confined as it was promised if the kernel refuses none of the steps."""


class Zygote:
    """The zygote, from its order on."""

    def __init__(self, line: _socket.socket, order: Order, large_pages: LargePages) -> None:
        """A zygote at the end of a control `line`. Nothing is imported or confined yet."""
        self._line = line
        self._large_pages = large_pages
        self._descriptor = line.fileno()
        self._order = order
        self._living: dict[int, Untouched] = {}
        """The place of each worker, as it was before that had it."""
        self._achieved: list[str] = []
        """How far each layer of a worker's confinement gets, which is what users are promised."""
        self._places: list[Untouched] = []
        self._places_made = 0
        self._to_sweep = [entry.path for entry in os.scandir(order.folders)]
        """Folders that tasks have left; at first those of a zygote that has died, if this one takes its place."""
        self._sweeper = 0
        self._sweeping: list[str] = []
        """What the sweeper is at, if there is one."""

    def prepare(self) -> None:
        """Import what is to be imported, confine this process, try a worker out, and say what came of it all."""
        os.environ.update(FOR_LIBRARIES)
        problems = preload(self._order.preload, lambda name: self._say(wire.IMPORTING, name.encode()))
        os.environ.clear()
        os.environ.update(self._order.environment)
        time.tzset()
        policy = Policy.from_plain(self._order.policy)
        given = self._order.spec
        read = (*readable_paths(network=given["network"], extras=given["read"]),)
        spec = Spec.of({**given, "folders": self._order.folders, "read": read})
        self._confinement = Confinement(spec)
        self._confinement.confine_zygote()
        results = self._try_out()
        terms = Terms.of(policy, Surroundings(spec.memory, network=spec.network), self._order.max_prints)
        rehearse(terms)
        self._rehearse_settling(self._places[-1])
        self._worker = Worker(WORKERS_LINE, terms)
        self._arrange_memory()
        gc.disable()  # a worker enables it when the code of its task begins
        gc.set_threshold(SELDOM)
        document = {"report": list(self._confinement.report(results)), "problems": problems}
        self._say(wire.READY, json.dumps(document).encode("ascii"))

    def serve(self) -> None:
        """Fork workers and tell of their ends until the runner is gone."""
        waker, awakened = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(awakened, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._line, select.POLLIN)
        poll.register(waker, select.POLLIN)
        if self._to_sweep:
            self._start_sweeper()
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == waker:
                    os.read(waker, 4096)
                    self._reap()
                else:
                    self._obey()

    def _obey(self) -> None:
        """Take one frame, and the descriptors that may come along with its header."""
        header, along, _, _ = self._line.recvmsg(HEADER_SIZE, DESCRIPTORS_SPACE, WAIT_FOR_ALL)
        if not header:
            raise EOFError
        kind, length = wire.HEADER.unpack(header)
        if kind == wire.FORK:
            self._fork(DESCRIPTORS.unpack(along[0][2]))
        elif kind == wire.KILL:
            self._kill(wire.NUMBER.unpack(self._line.recv(length, WAIT_FOR_ALL))[0])
        elif kind == wire.LARGE:
            self._prepare_for_large()

    def _say(self, kind: int, payload: bytes) -> None:
        wire.write_frame(self._descriptor, kind, payload)

    def _prepare_for_large(self) -> None:
        """Have workers find what reads and writes much JSON, which tiny tasks should not pay for unless it is used."""
        with contextlib.suppress(MemoryError):  # then there is none of it, and nobody depends on it
            quick.load()
            rehearse_quick()
        self._arrange_memory()

    def _arrange_memory(self) -> None:
        """Have all that there is so far shared with workers for as little as possible."""
        gc.collect()
        make_immortal()
        use_up_gaps()
        gc.freeze()
        self._large_pages.keep_objects()

    # Workers

    def _fork(self, descriptors: tuple[int, ...]) -> None:
        """Fork a worker that is to have these descriptors."""
        try:
            if not self._places:
                self._places.append(self._new_place())
            untouched = self._places[-1]
            self._confinement.name(untouched.place.folder, os.environ)
            settle, take_one = self._settle, self._worker.take_one  # here, since the child copies what it looks up
            worker = os.fork()
            if not worker:
                _become_worker(settle, take_one, untouched, descriptors)
            self._living[worker] = self._places.pop()
            os.write(self._descriptor, FORKED(worker))
        except (OSError, MemoryError) as error:
            self._say(wire.NOT_FORKED, str(error).encode("utf-8", "replace"))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _settle(self, untouched: Untouched, descriptors: tuple[int, ...], close_from: int) -> bool:
        """Leave behind what is the zygote's, and be confined; whether that is as it was promised.

        Parameters:
            close_from: this descriptor is closed, and all above it.
        """
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # `signal` would make enumerations of the numbers
        place, _, confines = untouched  # all of it at once: each attribute of a named tuple is an object to look up
        _, _, _, _, _, expected = place
        results = self._confinement.confine_worker(place)
        nothing, written, line = descriptors
        os.dup2(nothing, 0)
        os.dup2(written, 1)
        os.dup2(written, 2)
        os.dup2(line, WORKERS_LINE, False)
        os.closerange(close_from, HIGHEST_DESCRIPTOR)
        return confines if results is expected else self._is_as_promised(results)

    def _rehearse_settling(self, untouched: Untouched) -> None:
        """Settle in this process a few times, with steps that do nothing and descriptors that are there already."""
        place = untouched.place._replace(steps=Steps([Step("rehearsal", int)], int))
        line = os.dup(WORKERS_LINE)
        for _ in range(TIMES):
            self._settle(untouched._replace(place=place), (0, 1, line), HIGHEST_DESCRIPTOR)
        os.close(line)

    def _is_as_promised(self, results: list[Result]) -> bool:
        return [result.achieved for result in results] == self._achieved

    def _kill(self, worker: int) -> None:
        """Kill a worker that has not been reaped, so that its number is still its own."""
        if worker in self._living:
            os.kill(worker, signal.SIGKILL)

    def _reap(self) -> None:
        """Tell of the workers that have ended."""
        while self._living or self._sweeper:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            if child == self._sweeper:
                self._sweeper = 0
                if status:  # killed: with the next one that ends, or it might be killed again and again
                    self._to_sweep += self._sweeping
                    continue
            else:
                before = self._living.pop(child)
                os.write(self._descriptor, ENDED(child, status))
                self._reuse(before)
            if self._to_sweep and not self._sweeper:
                self._start_sweeper()

    # Folders

    def _new_place(self) -> Untouched:
        self._places_made += 1
        name = f"task-{os.getpid()}-{self._places_made}"  # not one of the zygote whose place this may have taken
        folder = os.path.join(self._order.folders, name)  # noqa: PTH118
        os.mkdir(folder, 0o700)  # noqa: PTH102
        # most kernels note times in steps of some milliseconds: what a task did at once would be of the same time
        made = os.stat(folder).st_mtime_ns - A_SECOND  # noqa: PTH116
        os.utime(folder, ns=(made, made))
        place = self._confinement.prepare(folder, os.environ)
        return Untouched(place, os.stat(folder).st_mtime_ns, self._is_as_promised(place.results))  # noqa: PTH116

    def _reuse(self, before: Untouched) -> None:
        """Keep a folder that is as it was for another task, and have any other one swept."""
        if os.stat(before.place.folder).st_mtime_ns == before.made:  # noqa: PTH116
            self._places.append(before)
        else:
            before.place.close()
            self._to_sweep.append(before.place.folder)

    def _start_sweeper(self) -> None:
        """Sweep in a process of its own, since what a task has left may be a million files."""
        try:
            self._sweeper = os.fork()
        except OSError:
            return  # with the next one that ends
        self._sweeping, self._to_sweep = self._to_sweep, []
        if not self._sweeper:
            try:
                self._confinement.tie_to_zygote()
                for folder in self._sweeping:
                    sweep(folder)
            finally:
                os._exit(0)

    def _try_out(self) -> list[Result]:
        """What a worker achieves, as one that gets no task says."""
        untouched = self._new_place()
        reading, writing = os.pipe()
        probe = os.fork()
        if not probe:
            try:
                results = self._confinement.confine_worker(untouched.place)
                os.write(writing, json.dumps(results).encode("ascii"))
            finally:
                os._exit(0)
        os.close(writing)
        with io.FileIO(reading) as pipe:
            document = pipe.readall()
        os.waitpid(probe, 0)
        if not document:
            raise OSError("a worker could not be confined")
        results = [Result(*result) for result in json.loads(document)]
        self._achieved = [result.achieved for result in results]
        self._places.append(untouched._replace(confines=self._is_as_promised(untouched.place.results)))
        return results


def _become_worker(
    settle: Callable[[Untouched, tuple[int, ...], int], bool],
    take_one: Callable[[], None],
    untouched: Untouched,
    descriptors: tuple[int, ...],
) -> None:
    """Go on as a worker, in the child; never returns. What is not needed here has been done before the fork.

    Parameters:
        descriptors: what it is to have as its standard input and output and as its line; all above these.
    """
    status = NOT_CONFINED
    try:
        if settle(untouched, descriptors, WORKERS_LINE + 1):
            status = 1
            take_one()
            status = 0
    except BaseException:  # noqa: BLE001 - this process must never go on as the zygote that it is a copy of
        sys.excepthook(*sys.exc_info())
    finally:
        leave(status)


def _nothing(*_: object) -> None:
    """Handle a signal that is only to wake the zygote up."""


def main(descriptor: int, arenas: Arenas) -> None:
    """Be a zygote, until the runner is gone."""
    os.set_inheritable(descriptor, False)
    line = _socket.socket(fileno=descriptor)
    while os.open(os.devnull, os.O_RDONLY) < WORKERS_LINE:
        pass  # so that what a worker gets is never where it belongs already
    large_pages = LargePages()
    large_pages.keep_code()
    _, payload = wire.read_frame(descriptor)
    try:
        zygote = Zygote(line, Order.from_json(payload), large_pages)
        zygote.prepare()
        arenas.as_before()
    except LeavesThreads as left:
        wire.write_frame(descriptor, wire.LEFT_THREADS, left.module.encode())
        return
    except OSError as error:  # what the machine lacks, such as space on the disk: where it was missed says nothing
        sys.stderr.write(f"{error}\n")
        return
    zygote.serve()


if __name__ == "__main__":
    number = int(sys.argv.pop())
    try:
        main(number, _arenas)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the runner is gone
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
