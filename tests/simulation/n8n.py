"""The simulated n8n: the embedded broker's own rules and admission, without its server; and the transport to it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from enum import Enum

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from runner import Refused, Unreachable
from runner.broker import BrokerLimits, TaskBroker, Violation
from runner.broker.admission import GrantTokens, RateLimit
from runner.connection.failures import failure_of
from runner.connection.websocket import CONNECT_TIMEOUT, with_grant_token
from tests.simulation.clock import SimulatedClock
from tests.simulation.connection import Connection
from tests.simulation.network import Network
from tests.simulation.plan import AUTH_TOKEN, Trouble

STATUSES = {
    Trouble.ANSWER_401: 401,
    Trouble.ANSWER_403: 403,
    Trouble.ANSWER_404: 404,
    Trouble.ANSWER_429: 429,
    Trouble.ANSWER_500: 500,
    Trouble.ANSWER_503: 503,
}

NOWHERE = URL("http://simulated")


class Reach(Enum):
    """How a broker answers those who come."""

    UP = "answers"
    DOWN = "refuses connections"
    VANISHED = "does not answer at all"


class SimulatedBroker:
    """A task broker that can be killed and started again; what it has decided, `rules`, is lost with it."""

    def __init__(self, clock: SimulatedClock, limits: BrokerLimits, entropy: random.Random, network: Network) -> None:
        self.limits = limits
        self._clock = clock
        self._entropy = entropy
        self._network = network
        self.past_violations: list[Violation] = []
        self.refusals = 0
        """How often a credential was refused, with 401 or 403."""
        self.reach = Reach.UP
        self.reachable_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self.rules = TaskBroker(self._clock, self.limits, self._entropy)
        self._tokens = GrantTokens(AUTH_TOKEN, self.limits.grant_token_lifetime, self._clock, self._entropy)
        self._exchanges = RateLimit(self.limits.attempts_per_second, self._clock)
        self._upgrades = RateLimit(self.limits.attempts_per_second, self._clock)

    @property
    def violations(self) -> list[Violation]:
        """What runners sent against the rules, to this broker and to those before it."""
        return self.past_violations + self.rules.violations

    @property
    def is_reachable(self) -> bool:
        """Whether a runner that comes now is let in."""
        return self.reach is Reach.UP and not self.rules.draining

    def grant_token(self) -> str:
        """A grant token, as a launcher would hand it over."""
        return self._tokens.issue()

    # Restarts

    def go_down(self, reach: Reach) -> None:
        """End, as a process that is killed; or, if it vanishes, as a machine that loses its power."""
        for connection in tuple(self._network.open):
            if connection.rules is self.rules:
                if reach is Reach.VANISHED:
                    connection.fall_silent(Trouble.BROKER_VANISHED)
                else:
                    connection.break_off()
                    connection.broker_deaf = True
        self.reach = reach
        self.past_violations += self.rules.violations
        self.rules.violations = []
        self.rules.close()

    def come_up(self) -> None:
        """Begin again, and know nothing."""
        self._begin()
        self.reach = Reach.UP
        self.reachable_since = self._clock.now()
        self._network.story.tell("broker", "is up")

    # What it answers, in n8n's order of checks

    def exchange(self, token: str) -> int | str:
        """An auth token for a grant token; or a status."""
        if not self._exchanges.admits():
            return 429
        return self._tokens.issue() if self._tokens.knows(token) else 403

    def upgrade(self, runner_id: str, token: str, number: int) -> int | Connection:
        """A grant token for a connection; or a status."""
        if not self._upgrades.admits():
            return 429
        if self.rules.draining:
            return 503
        if not self._tokens.take(token):
            handed_over = not self._network.plan.by_auth_token
            self._network.story.count((Trouble.TOKEN_USED if handed_over else Trouble.TOKEN_EXPIRED).name)
            return 403
        connection = Connection(self._network, self.rules, runner_id, number)
        self._network.open[connection] = None
        self._network.story.tell("broker", f"accepts connection {connection.number} of", runner_id)
        self.rules.connect(runner_id, connection.peer)
        return connection


class SimulatedTransport:
    """A runner's way to the simulated broker.

    Parameters:
        grant_token: the one that it was given, if it was.
        number: the number of the connection that is being opened.
    """

    def __init__(
        self, broker: SimulatedBroker, network: Network, grant_token: str | None, number: Callable[[], int] = lambda: 0
    ) -> None:
        self._number = number
        self._broker = broker
        self._network = network
        self._grant_token = grant_token

    async def open(self, runner_id: str) -> Connection:
        async def upgrade(token: str) -> Connection:
            answer = await self._ask("the upgrade", lambda: self._broker.upgrade(runner_id, token, self._number()))
            if not isinstance(answer, Connection):
                raise AssertionError("an upgrade is answered with a connection or with a status")
            return answer

        connection = await with_grant_token(self._token, upgrade, renewable=self._grant_token is None)
        connection.handed_over = True
        connection.later(self._network.plan.heartbeat_interval, connection.beat)
        return connection

    async def _token(self) -> str:
        if self._grant_token is not None:
            return self._grant_token
        answer = await self._ask("the token exchange", lambda: self._broker.exchange(AUTH_TOKEN))
        if not isinstance(answer, str):
            raise Unreachable("the answer to the token exchange has no token in it")
        return answer

    async def _ask(self, what: str, serve: Callable[[], int | str | Connection]) -> str | Connection | None:
        """One HTTP request. An answer that comes too late, or to nobody, leaves no connection behind."""
        answer: int | str | Connection | None = None
        failure: Refused | Unreachable
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await asyncio.sleep(self._network.latency())
                answer = await self._answer(what, serve)
                await asyncio.sleep(self._network.latency())
        except BaseException as error:
            if isinstance(answer, Connection):
                await answer.drop()
            if not isinstance(error, TimeoutError):
                raise
            failure = failure_of(error)
        else:
            if not isinstance(answer, int):
                return answer
            failure = self._failure(what, answer)
        raise failure

    async def _answer(self, what: str, serve: Callable[[], int | str | Connection]) -> int | str | Connection | None:
        """What comes back: what the broker says, unless something is in the way."""
        trouble = self._network.answers.popleft() if self._network.answers else None
        if trouble is not None:
            self._network.disturb(trouble, f"to {what}")
        if trouble is Trouble.NO_ANSWER or self._broker.reach is Reach.VANISHED:
            await asyncio.Event().wait()
        if self._broker.reach is Reach.DOWN:
            raise Unreachable("connection refused")
        if trouble in STATUSES:
            return STATUSES[trouble]
        return None if trouble is Trouble.NO_TOKEN and what == "the token exchange" else serve()

    def _failure(self, what: str, status: int) -> Refused | Unreachable:
        """What the runner makes of a status: its own judgement, not ours."""
        self._broker.refusals += status in (401, 403)
        self._network.story.tell("broker", f"answers {what} with", status)
        request = aiohttp.RequestInfo(NOWHERE, "GET", CIMultiDictProxy(CIMultiDict()), NOWHERE)
        return failure_of(aiohttp.ClientResponseError(request, (), status=status))
