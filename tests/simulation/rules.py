"""What only a simulation can see, as rules: each one sentence, and a check that says so.

They stand beside the rules of the connection lifecycle, `statemachine.testing.CONNECTION_RULES`, which the same
simulation holds the runner against after each step. A check is made a rule by `@_rule`: the name of the function is the
name of the rule, its docstring the sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from runner import Count
from runner.connection.effects import REGISTRATION_TIMEOUT
from runner.connection.retry import RETRY_DELAY
from runner.connection.websocket import CONNECT_TIMEOUT
from statemachine import ConnectionState
from statemachine.testing.rules import must
from tests.simulation.ledger import Conversation
from tests.simulation.plan import Trouble

if TYPE_CHECKING:
    from tests.simulation.run import Simulation

_S, _T = ConnectionState, Trouble

OFFER = "runner:taskoffer"
ACCEPTED = "runner:taskaccepted"
REJECTED = "runner:taskrejected"
DONE = "runner:taskdone"
ERROR = "runner:taskerror"
CALL = "runner:rpc"

PATIENCE = 1.0
"""How long a free slot may be without an open offer, in seconds."""

WINDOW = 2.0
"""How long the broker waits for the answer to an accept, in seconds."""

SLACK = 0.05
"""What is added to every bound for what the runner's own timers are rounded by, in seconds."""


class Moment(Enum):
    """When a rule is checked."""

    SAID = "the runner says something"
    CLOSING = "the runner closes a connection"
    STEP = "a step has been performed"
    REGULARLY = "every few seconds"
    ENDED = "start() has ended"
    END = "the simulation ends"


Check = Callable[["Simulation"], None]


@attrs.frozen
class SimulationRule:
    """One thing that holds at some moments. `check` raises AssertionError with the details when it does not.

    `about` are the types of message that it is about, if it is about what the runner says.
    """

    name: str
    statement: str
    moment: Moment
    check: Check
    about: tuple[str, ...] = ()


_rules: list[SimulationRule] = []


def _rule(moment: Moment, *about: str) -> Callable[[Check], Check]:
    def make(check: Check) -> Check:
        _rules.append(SimulationRule(check.__name__, check.__doc__ or "", moment, check, about))
        return check

    return make


def _steady(sim: Simulation, conversation: Conversation, patience: float) -> bool:
    """Whether a connection has taken all that the runner says, for a while."""
    connection = conversation.connection
    return connection.lost is None and not connection.let_go and connection.steady_since <= sim.now - patience


# What the runner says


@_rule(Moment.SAID, DONE, ERROR)
def one_terminal_message(sim: Simulation) -> None:
    """A task has one terminal message, and no second."""
    said = sim.ledger.said
    task = sim.ledger.tasks.get(said.taskId)
    must(task is None or task.ends == 0, f"{said.taskId} has had its terminal message")


@_rule(Moment.SAID, DONE, ERROR)
def accepted_before_it_ends(sim: Simulation) -> None:
    """A task has its terminal message after it was accepted."""
    said = sim.ledger.said
    must(said.taskId in sim.ledger.tasks, f"{said.taskId} was never accepted")


@_rule(Moment.SAID, ACCEPTED, DONE, ERROR, CALL)
def tasks_stay_on_their_connection(sim: Simulation) -> None:
    """What concerns a task is said on the connection that it came by, and on no other."""
    conversation, said = sim.ledger.spoken_on, sim.ledger.said
    task = sim.ledger.tasks.get(said.taskId)
    if task is not None:
        came_by, now_on = task.connection.number, conversation.connection.number
        must(task.connection is conversation.connection, f"{said.type} of connection {came_by} on {now_on}")


@_rule(Moment.SAID, OFFER)
def never_above_the_slots(sim: Simulation) -> None:
    """Open offers and running tasks of a type together are never more than its slots."""
    conversation, task_type = sim.ledger.spoken_on, sim.ledger.said.taskType
    if _steady(sim, conversation, 10):
        conversation.prune(sim.now)
        slots = sim.plan.slots_of.get(task_type, 0)
        taken, offered = conversation.taken(task_type), conversation.offered(task_type) + 1
        must(taken + offered <= slots, f"{offered} offers and {taken} tasks for {slots} slots of {task_type}")


@_rule(Moment.SAID, OFFER)
def offers_while_listening(sim: Simulation) -> None:
    """An offer is made in listening."""
    conversation = sim.ledger.spoken_on
    if _steady(sim, conversation, 10):
        # what was said in the moment of leaving is on its way
        state = sim.runner.state
        must(state is _S.LISTENING or sim.entered_at == sim.now, f"it was made in {state.value}")


@_rule(Moment.SAID, ACCEPTED, REJECTED)
def accepts_are_answered_in_time(sim: Simulation) -> None:
    """An accept is answered within two seconds."""
    conversation, said = sim.ledger.spoken_on, sim.ledger.said
    if _steady(sim, conversation, WINDOW):
        waited = sim.now - conversation.asked.get(said.taskId, sim.now)
        must(waited <= WINDOW, f"{said.taskId} waited {waited:.3f} s")


@_rule(Moment.CLOSING)
def results_before_the_end(sim: Simulation) -> None:
    """A connection is closed when every task on it has had its terminal message."""
    conversation = sim.ledger.conversation
    if conversation is not None and _steady(sim, conversation, PATIENCE):
        must(not conversation.running, f"{sorted(conversation.running)} had none")


# What has to go on


@_rule(Moment.REGULARLY)
def every_accept_is_answered(sim: Simulation) -> None:
    """No accept is left without an answer."""
    conversation = sim.ledger.conversation
    if conversation is not None and _steady(sim, conversation, WINDOW):
        late = {task_id: came for task_id, came in conversation.asked.items() if sim.now - came > WINDOW}
        must(not late, f"at {sim.now:.3f} s these wait: {late}")


@_rule(Moment.REGULARLY)
def every_free_slot_is_offered(sim: Simulation) -> None:
    """While listening, to a broker that drains as well, no slot is free for over a second without an open offer."""
    conversation = sim.ledger.conversation
    if conversation is None or sim.runner.state is not _S.LISTENING or sim.entered_at > sim.now - PATIENCE:
        return
    if _steady(sim, conversation, PATIENCE):
        for task_type, slots in sim.plan.slots_of.items():
            covered = conversation.covered(task_type, sim.now, PATIENCE)
            must(covered >= slots, f"{covered} of {slots} slots of {task_type} are taken or on offer")


@_rule(Moment.REGULARLY)
def every_task_has_an_end(sim: Simulation) -> None:
    """A task that had no terminal message holds its slot."""
    conversation = sim.ledger.conversation
    if conversation is not None and _steady(sim, conversation, PATIENCE):
        forgotten = conversation.running.keys() - sim.runner._workload._tasks.keys()
        must(not forgotten, f"the runner has forgotten {sorted(forgotten)}")


@_rule(Moment.REGULARLY)
def every_attempt_ends(sim: Simulation) -> None:
    """Connecting, waiting for the registration, and waiting for the next attempt all end in bounded time."""
    bounds = {
        _S.CONNECTING: 4 * CONNECT_TIMEOUT,  # a token exchange and an upgrade, twice
        _S.AUTHENTICATED: REGISTRATION_TIMEOUT,
        _S.BACKOFF: RETRY_DELAY + sim.plan.retry_spread,
    }
    state, waited = sim.runner.state, sim.now - sim.entered_at
    if sim.is_running and state in bounds:
        must(waited <= bounds[state] + SLACK, f"{state.value} has lasted {waited:.3f} s")


@_rule(Moment.REGULARLY)
def back_in_listening(sim: Simulation) -> None:
    """A runner that can connect is listening within five seconds, and what connecting takes."""
    since = sim.undisturbed_since()
    if since is None or sim.runner.state is _S.LISTENING:
        return
    begun_before = sim.runner.state is not _S.BACKOFF and sim.attempt_began_at <= since
    if not begun_before:  # an attempt that began in trouble may yet fail of it
        bound = RETRY_DELAY + sim.plan.retry_spread + sim.connect_time
        waited = sim.now - max(since, sim.attempt_due_from)
        must(waited <= bound + SLACK, f"it is in {sim.runner.state.value} after {waited:.3f} s without trouble")


@_rule(Moment.REGULARLY)
def readiness_is_the_truth(sim: Simulation) -> None:
    """A runner that does not listen is not ready, and one that has listened for a while, in good health, is."""
    conversation, readiness = sim.ledger.conversation, sim.runner.readiness
    listening = sim.runner.state is _S.LISTENING
    must(listening or not readiness.is_ready, f"it is in {sim.runner.state.value}, and calls itself ready")
    if listening and conversation is not None and sim.entered_at <= sim.now - PATIENCE:
        well = _steady(sim, conversation, 2 * sim.plan.heartbeat_interval) and not conversation.connection.is_silent
        must(readiness.is_ready or not well, f"it is well, and says {readiness.reasons}")


@_rule(Moment.REGULARLY)
def nothing_crashes(sim: Simulation) -> None:
    """No exception is left to those who handle what nobody else does, but for the executor's own."""
    crashes = sim.runner.counters[Count.CRASHES]
    must(crashes <= sim.executor.crashes, f"{crashes} crashes, {sim.executor.crashes} of them the executor's")
    must(not sim.loop.problems, f"{sim.loop.problems}")


@_rule(Moment.STEP)
def refused_by_401_and_403_alone(sim: Simulation) -> None:
    """A credential counts as refused when the broker has said 401 or 403, and for nothing else."""
    if sim.runner.state is _S.AUTH_FAILED:
        must(sim.broker.refusals > 0, "it never did")


# The end


@_rule(Moment.ENDED)
def nothing_is_left(sim: Simulation) -> None:
    """When start() has ended, nothing of the runner is alive: no coroutine, no timer, no socket, no task."""
    left = [
        *sim.world.coroutines(),
        *(f"timer of {timer.callback}" for timer in sim.clock.timers),
        *(f"socket {connection.number}" for connection in sim.network.open),
        *(["a task in the executor"] if sim.executor.running else []),
    ]
    must(not left, f"{left}")


@_rule(Moment.ENDED)
def each_task_is_told_finished_once(sim: Simulation) -> None:
    """Observers are told once that a task has ended, for each that was accepted and for no other."""
    said, told = sim.ledger.accepted, sim.told_finished
    must(not said - told, f"not told of {sorted(said - told)}")
    # an acceptance is not seen on the wire when its connection breaks off in that moment
    accepted = sim.runner.counters[Count.TASKS_ACCEPTED]
    must(told.total() == accepted, f"told of {told.total()} ends of {accepted} tasks, among them {told - said}")


@_rule(Moment.ENDED)
def stop_ends_in_time(sim: Simulation) -> None:
    """stop() ends within the graceful timeout, and the time that killing, closing and the owner's handlers take."""
    if sim.stop_called_at is not None:
        took = sim.now - sim.stop_called_at
        must(took <= sim.stop_bound + SLACK, f"it took {took:.3f} s, and {sim.stop_bound:.3f} s are allowed")


EXPLANATIONS: dict[str, frozenset[Trouble]] = {
    "its info twice": frozenset({_T.INFO_AGAIN, _T.DUPLICATE}),
    "the offer ": frozenset({_T.DUPLICATE}),
    "a rejection for": frozenset({_T.DUPLICATE, _T.DELAY, _T.LOSE, _T.STRAY_MESSAGE}),
    "an acceptance for": frozenset({_T.DUPLICATE, _T.DELAY, _T.LOSE, _T.STRAY_MESSAGE}),
    "a terminal message for": frozenset({_T.DUPLICATE, _T.DELAY, _T.LOSE, _T.STRAY_MESSAGE}),
    "a call of ": frozenset({_T.DUPLICATE, _T.DELAY, _T.LOSE, _T.STRAY_MESSAGE}),
    "a TaskDataRequest for ": frozenset({_T.DUPLICATE, _T.DELAY, _T.LOSE, _T.STRAY_MESSAGE}),
    "before it was registered": frozenset({_T.DELAY, _T.LOSE, _T.DUPLICATE, _T.REGISTERED_AGAIN}),
}
"""What a violation says, and which troubles explain it. What is not here is never the network's doing."""


@_rule(Moment.END)
def no_violations(sim: Simulation) -> None:
    """The broker has nothing to complain about that the network did not do."""
    for violation in sim.broker.violations:
        causes = next((why for words, why in EXPLANATIONS.items() if words in violation.what), frozenset())
        must(bool(causes & sim.network.meddled), f"{violation.what}, after {sim.network.meddled}")


@_rule(Moment.END)
def results_reach_their_requesters(sim: Simulation) -> None:
    """What a requester gets is the result of its own request."""
    must(not sim.requester.mixed_up, f"{sim.requester.mixed_up}")


SIMULATION_RULES = tuple(_rules)
"""What only a simulation can see."""
