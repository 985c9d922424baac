"""The faults, as a table: what each does, how it ends, and what it may cost the tasks that are there meanwhile."""

from __future__ import annotations

import attrs

from runner.broker import TaskEnd
from tests.chaos import on_the_machine as machine
from tests.chaos import on_the_network as network
from tests.chaos.on_the_network import Inflict
from tests.chaos.proxy import UPGRADE, Way

NOTHING: frozenset[TaskEnd] = frozenset()
CONNECTION = frozenset({TaskEnd.RUNNER_LOST})
SILENCE = frozenset({TaskEnd.RUNNER_LOST, TaskEnd.TASK_TIMEOUT})
"""What a task says of its end does not arrive, and the broker's timer may be the first to ring."""

NO_HANGMAN = frozenset({TaskEnd.TASK_TIMEOUT})
"""A task that has timed out is told of when it is gone, and there is nobody to kill it."""

BROKER = frozenset({TaskEnd.RUNNER_LOST, TaskEnd.DRAINING})
PROCESS = frozenset({TaskEnd.ERROR})
TOKEN = b"POST "
NOT_HTTP = b"\x16\x03\x01 220 mail.example.com ESMTP ready\r\n\r\n"
NO_TOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<h1>Hi</h"


@attrs.frozen
class Fault:
    """One thing that can happen.

    Parameters:
        does: what happens.
        until: how it ends; the time in which all has to be well again counts from there.
        inflict: makes it happen, and returns when it has ended.
        toll: how tasks may end that are there meanwhile, if not as they should.
        needs: what the machine has to have for it, as in the markers of the tests.
        small_disk: whether it is about the disk: done where the temporary folder is a small one.
        quiet: whether it can only be done where nothing else is going on but tasks that say which process they are.
    """

    name: str
    does: str
    until: str
    inflict: Inflict
    toll: frozenset[TaskEnd] = NOTHING
    needs: tuple[str, ...] = ()
    small_disk: bool = False
    quiet: bool = False

    def __str__(self) -> str:
        return self.name


AT_ONCE = "at once"
NOTICED = "when the runner has noticed"
TRIED = "when the runner has tried to connect"

FAULTS = (
    # The network
    Fault("reset", "RST on both sides", NOTICED, network.reset, CONNECTION),
    Fault("closed", "FIN on both sides", NOTICED, network.close, CONNECTION),
    Fault("half-open", "nothing passes any more", NOTICED, network.silence(), SILENCE),
    Fault("deaf", "nothing reaches the runner", NOTICED, network.silence(frozenset({Way.TO_RUNNER})), SILENCE),
    Fault("mute", "nothing reaches the broker", NOTICED, network.silence(frozenset({Way.TO_BROKER})), SILENCE),
    Fault("hiccup", "nothing passes", "before the heartbeat notices", network.hiccup),
    Fault("cut", "all comes in two halves", "when some tasks are done", network.cut),
    Fault("delay", "all comes late", "when some tasks are done", network.delay),
    Fault("garbled to the runner", "bytes that are no frame", NOTICED, network.garble(Way.TO_RUNNER), CONNECTION),
    Fault("garbled to the broker", "bytes that are no frame", NOTICED, network.garble(Way.TO_BROKER), CONNECTION),
    Fault("nonsense", "frames that no broker sends", "when all are heard", network.nonsense, quiet=True),
    # What answers in place of a broker
    Fault("no answer", "lost; nobody answers the next attempt", TRIED, network.no_answer, CONNECTION),
    Fault("not HTTP", "lost; another server answers", TRIED, network.answer(NOT_HTTP), CONNECTION),
    Fault("no token", "lost; a web page answers", TRIED, network.answer(NO_TOKEN, TOKEN), CONNECTION),
    Fault("token 503", "lost; no token to be had", TRIED, network.status(503, TOKEN), CONNECTION),
    Fault("upgrade 404", "lost; no broker at this path", TRIED, network.status(404, UPGRADE), CONNECTION),
    Fault("upgrade 429", "lost; too many attempts", TRIED, network.status(429, UPGRADE), CONNECTION),
    Fault("upgrade 500", "lost; a broker that fails", TRIED, network.status(500, UPGRADE), CONNECTION),
    Fault("upgrade 503", "lost; a broker that starts", TRIED, network.status(503, UPGRADE), CONNECTION),
    # The broker
    Fault("broker restarted", "killed, started again", NOTICED, network.restart_of_the_broker, BROKER),
    Fault("broker away", "killed, started later", TRIED, network.absence_of_the_broker, BROKER),
    # Processes
    Fault("zygote killed", "SIGKILL", NOTICED, machine.death_of_the_zygote, PROCESS),
    Fault("zygotes killed", "SIGKILL, three times in a row", NOTICED, machine.deaths_of_zygotes, PROCESS),
    Fault("workers killed", "SIGKILL for half of them", AT_ONCE, machine.deaths_of_workers, PROCESS),
    Fault("waiting workers killed", "SIGKILL", AT_ONCE, machine.deaths_of_waiting_workers, quiet=True),
    Fault("runner stopped", "SIGSTOP past the heartbeat", "SIGCONT", machine.a_stopped_runner, SILENCE),
    Fault("log unread", "more than is kept for it", "read on", machine.an_unread_log),
    Fault("zygote stopped", "SIGSTOP for a second", "SIGCONT", machine.a_stopped_zygote, NO_HANGMAN),
    Fault("zygote hangs", "SIGSTOP, and a reset", NOTICED, machine.a_zygote_stopped_for_good, CONNECTION | PROCESS),
    # The machine
    Fault("clock", "a day forward, two back, right again", AT_ONCE, machine.steps_of_the_clock, quiet=True),
    Fault("no descriptors", "limit of the runner", "lifted", machine.no_descriptors, PROCESS),
    Fault("no descriptor to connect", "and a reset", "lifted", machine.no_descriptors_to_connect, CONNECTION | PROCESS),
    Fault("no descriptors for a zygote", "killed", "lifted", machine.no_descriptors_for_a_zygote, PROCESS),
    Fault("full disk", "no space left", "freed", machine.full_disk, PROCESS, ("mount",), small_disk=True),
    Fault("no files", "no inodes; zygote killed", "freed", machine.no_more_files, PROCESS, ("mount",), small_disk=True),
    Fault("hogs", "tasks that take all their memory", "when they have failed", machine.hogs),
)
