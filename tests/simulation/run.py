"""One simulation: all its parts, the rules that it is held against, and what came of it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from runner import Count, Executor, FunctionExecutor, Observer, TaskFinished, TaskRunner, TaskRunnerConfig
from runner.broker import BrokerLimits
from runner.execution.executor import PYTHON
from statemachine import ConnectionMachine, ConnectionState, ConnectionStep
from statemachine.testing import CONNECTION_RULES, check_rules
from tests.simulation.clock import SimulatedClock
from tests.simulation.connection import Connection
from tests.simulation.executor import SimulatedExecutor
from tests.simulation.ledger import Ledger
from tests.simulation.loop import Deadlock, Livelock, SimulatedLoop
from tests.simulation.n8n import SimulatedBroker, SimulatedTransport
from tests.simulation.network import Network
from tests.simulation.owner import Owner
from tests.simulation.plan import AUTH_TOKEN, OTHER, Plan, drawn_plan
from tests.simulation.requester import Requester
from tests.simulation.rules import SIMULATION_RULES, SLACK, Moment, SimulationRule
from tests.simulation.story import Story
from tests.simulation.troubles import Troublemaker
from tests.simulation.world import OWN, SimulatedWorld

INSPECTION_INTERVAL = 8.0
"""Between two looks at what has to go on, in seconds."""

RULES_AT = {moment: tuple(rule for rule in SIMULATION_RULES if rule.moment is moment) for moment in Moment}
RULES_ABOUT = {
    kind: tuple(rule for rule in RULES_AT[Moment.SAID] if kind in rule.about)
    for kind in {kind for rule in SIMULATION_RULES for kind in rule.about}
}
"""The rules about what the runner says, by the type of the message."""


@attrs.frozen
class Broken:
    """A rule that did not hold."""

    rule: str
    statement: str
    found: str
    time: float

    def __str__(self) -> str:
        return f"{self.rule}: {self.statement} At {self.time:.3f} s: {self.found}"


@attrs.frozen
class Report:
    """What came of a simulation."""

    seed: int
    plan: Plan
    seconds: float
    story: Story
    states: Counter[str]
    ends: Counter[str]
    counters: Counter[str]
    broken: Broken | None


class Told(Observer):
    """Whoever observes a runner: how often each task was told to have ended."""

    def __init__(self) -> None:
        self.finished: Counter[str] = Counter()

    def on_task_finished(self, task: TaskFinished) -> None:
        self.finished[task.task.task_id] += 1


class Simulation:
    """One seed's world. Everything that is drawn comes from `entropy`."""

    def __init__(
        self, seed: int, hours: float | None = None, *, plan: Plan | None = None, keep: int | None = 0
    ) -> None:
        """A world in which nothing has happened; `keep` is how many lines of its story are kept, None for all."""
        self.seed = seed
        self.entropy = random.Random(seed)
        self.plan = plan or drawn_plan(self.entropy, hours)
        self.loop = SimulatedLoop()
        self.story = Story(self.loop, keep)
        self.network = Network(self.loop, self.plan, self.entropy, self.story)
        self.network.observer = self
        self.clock = SimulatedClock(self.loop)
        limits = BrokerLimits(grant_token_lifetime=self.plan.token_lifetime, task_timeout=self.plan.task_timeout)
        self.broker = SimulatedBroker(SimulatedClock(self.loop), limits, self.entropy, self.network)
        self.requester = Requester(self.broker, self.plan, self.entropy, self.story)
        self.executor = SimulatedExecutor(self.plan, self.story, self.entropy)
        self.broken: Broken | None = None
        self.states: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()
        self.entered_at = 0.0
        """When the runner's state was entered."""
        self.attempt_due_from = 0.0
        """From when the time until the runner is listening again is counted: a start, a loss, or a renewal."""
        self.attempt_began_at = 0.0
        self.stop_called_at: float | None = None
        self.stop_bound = 0.0
        self._own: set[asyncio.Task[None]] = set()
        self.make_runner()

    @property
    def now(self) -> float:
        """Simulated seconds since the beginning."""
        return self.loop._now

    # The runner

    def make_runner(self) -> None:
        """Another runner takes the place of the one before."""
        self._count_up()
        plan = self.plan
        grant_token = None if plan.by_auth_token else self.broker.grant_token()
        config = TaskRunnerConfig(
            auth_token=AUTH_TOKEN if grant_token is None else "",
            grant_token=grant_token or "",
            runner_id="the only one" if plan.fixed_id else "",
            max_concurrency=plan.slots,
            task_timeout=plan.task_timeout,
            auto_shutdown_timeout=plan.idle_timeout,
            graceful_shutdown_timeout=plan.graceful_timeout,
            heartbeat_interval=plan.heartbeat_interval,
            max_connection_age=plan.connection_age,
            retry_spread=plan.retry_spread,
        )
        transport = SimulatedTransport(self.broker, self.network, grant_token, lambda: self.machine.number)
        self.executor.crashes = 0
        self.ledger = Ledger(self.story)
        executors: dict[str, Executor] = {PYTHON: self.executor}
        if plan.other_slots:
            executors[OTHER] = FunctionExecutor(self.executor.function, concurrency=plan.other_slots)
        self.runner = TaskRunner(
            config, executors=executors, transport=transport, clock=self.clock, entropy=self.entropy
        )
        told = Told()
        self.runner.observe(told)
        self.told_finished = told.finished
        self.world = SimulatedWorld(self.runner, self.clock, self.network, self._judge)
        self.machine: ConnectionMachine = self.world.machine

    def _count_up(self) -> None:
        """Add what the runner that leaves has counted."""
        if hasattr(self, "runner"):
            self.counters.update({count.name: self.runner.counters[count] for count in Count})

    def start(self) -> asyncio.Task[None]:
        """Call start()."""
        self.story.tell("owner", "calls start()")
        self.entered_at = self.attempt_due_from = self.now
        start = self.spawn(self.runner.start(), OWN + "start()")
        self.world.started(start)
        return start

    def stop_is_called(self, bound: float) -> None:
        """The owner ends the run, and it has to be over in `bound` seconds."""
        self.stop_called_at = self.now
        self.stop_bound = bound

    @property
    def is_running(self) -> bool:
        """Whether the runner is there to connect: started, ready, and not told to stop."""
        start = self.world.start
        going_on = start is not None and not start.done() and self.stop_called_at is None
        return going_on and self.executor.ready and self.runner.state is not ConnectionState.SHUTTING_DOWN

    @property
    def connect_time(self) -> float:
        """What connecting and registering takes at most, without trouble: two requests, and three messages."""
        return 7 * self.plan.latency * (1 + self.plan.jitter)

    def undisturbed_since(self) -> float | None:
        """Since when nothing keeps a running runner from connecting; None while something does."""
        network = self.network
        silent = any(connection.is_silent for connection in network.open)
        if not self.is_running or not self.broker.is_reachable or network.answers or silent:
            return None
        since = max(network.calm_since, self.broker.reachable_since, self.executor.ready_since)
        return since if since <= self.now else None

    # What is observed, and judged

    def sent(self, connection: Connection, frame: bytes) -> None:
        """The runner says something."""
        self.ledger.sent(connection, frame)
        self._check(RULES_ABOUT.get(self.ledger.said.type, ()))
        self.ledger.enter(self.now)

    def delivered(self, connection: Connection, frame: bytes) -> None:
        """The runner hears something."""
        self.ledger.delivered(connection, frame, self.now)

    def closing(self, connection: Connection) -> None:
        """The runner closes a connection."""
        self.story.tell("runner", f"closes {connection.number}")
        self.check(Moment.CLOSING)

    def ended(self, connection: Connection) -> None:
        """The runner learns of the end of a connection."""
        self.story.tell("runner", f"learns that {connection.number} has ended:", str(connection.lost))
        self.network.disturbed_at = self.now

    def _judge(self, world: SimulatedWorld, machine: ConnectionMachine, step: ConnectionStep) -> None:
        """Hold the runner against the rules of its connection's lifecycle, after a step."""
        if step.before is not step.after:
            self.states[step.after.value] += 1
            self.entered_at = self.now
            if step.after is ConnectionState.BACKOFF or step.before is ConnectionState.LISTENING:
                self.attempt_due_from = self.now
            elif step.after is ConnectionState.CONNECTING:
                self.attempt_began_at = self.now
        try:
            check_rules(CONNECTION_RULES, world, machine, step)
        except AssertionError as error:
            name, _, found = str(error).partition(": ")
            self.broke(name, "", found)
        self.check(Moment.STEP)

    def check(self, moment: Moment) -> None:
        """Hold the world against the rules of a moment."""
        self._check(RULES_AT[moment])

    def _check(self, rules: tuple[SimulationRule, ...]) -> None:
        for rule in rules:
            try:
                rule.check(self)
            except AssertionError as error:
                self.broke(rule.name, rule.statement, str(error))

    def broke(self, rule: str, statement: str, found: str) -> None:
        """A rule does not hold. The first one counts; the simulation ends with it."""
        if self.broken is None:
            self.broken = Broken(rule, statement, found, self.now)
            self.story.tell("rule", f"{rule} is broken:", found)
            self.loop.stop()

    def _inspect(self) -> None:
        self.check(Moment.REGULARLY)
        self.loop.call_later(INSPECTION_INTERVAL, self._inspect)

    # Running

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a coroutine of the simulation's own."""
        task = self.loop.create_task(coroutine, name=name)
        self._own.add(task)
        task.add_done_callback(self._own.discard)
        return task

    def run(self) -> Report:
        """Let it happen."""
        with quiet():
            try:
                self._run()
            except (Deadlock, Livelock) as stuck:
                self.broke(type(stuck).__name__.lower(), "Something can always happen.", str(stuck))
            finally:
                self.loop.abandon()
        self._count_up()
        self.requester.look_at_ends()
        if self.broken is None:
            self.check(Moment.END)
        ends = Counter({end.name: amount for end, amount in self.requester.ends.items()})
        return Report(self.seed, self.plan, self.now, self.story, self.states, ends, self.counters, self.broken)

    def _run(self) -> None:
        owner = self.spawn(Owner(self).run(), OWN + "owner")
        self.spawn(self.requester.run(), OWN + "requester")
        if self.plan.trouble_interval:
            self.spawn(Troublemaker(self).run(), OWN + "troublemaker")
        self.loop.call_later(INSPECTION_INTERVAL + SLACK, self._inspect)
        owner.add_done_callback(lambda _: self.loop.stop())
        self.loop.run_forever()
        if self.broken is None:
            owner.result()


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is logged: a simulation tells its own story."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def simulate(seed: int, hours: float | None = None, *, plan: Plan | None = None, keep: int | None = 0) -> Report:
    """Run the simulation of a seed."""
    return Simulation(seed, hours, plan=plan, keep=keep).run()
