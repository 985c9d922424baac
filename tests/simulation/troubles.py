"""The troublemaker: from time to time, one of the troubles of a table happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from runner.protocol.codec import encode
from runner.protocol.messages import ACKNOWLEDGEMENT_WINDOW_ELAPSED, Info
from tests.simulation.connection import Connection
from tests.simulation.n8n import Reach
from tests.simulation.network import TO_BROKER, TO_RUNNER, Armed
from tests.simulation.plan import Trouble, log_uniform, weighted
from tests.simulation.world import OWN

if TYPE_CHECKING:
    from tests.simulation.run import Simulation

_T = Trouble

KINDS = {
    TO_RUNNER: (
        "broker:inforequest",
        "broker:runnerregistered",
        "broker:taskofferaccept",
        "broker:tasksettings",
        "broker:taskcancel",
        "broker:drain",
        "",
    ),
    TO_BROKER: (
        "runner:info",
        "runner:taskoffer",
        "runner:taskaccepted",
        "runner:taskdone",
        "runner:taskerror",
        "runner:rpc",
        "",
    ),
}
"""The messages that something may happen to on their way; the empty name is for any."""

MALFORMED = (
    b"",
    b"no JSON",
    b"[]",
    b'"broker:drain"',
    b"{}",
    b'{"type":5}',
    b'{"type":"broker:taskofferaccept"}',
    b'{"type":"broker:tasksettings","taskId":7,"settings":{}}',
    b'{"type":"broker:taskcancel","taskId":"\xff","reason":""}',
    b'{"type":"broker:runnerregistered"',
    b"[" * 100_000,
)

CODES = (1001, 1002, 1006, 1007, 1009, 1011, 4000)


class Rival:
    """The peer of a second runner, which says nothing after its info."""

    def send(self, frame: bytes) -> None: ...

    def close(self, code: int, why: str) -> None: ...


class Troublemaker:
    """Makes trouble at random intervals."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._network = sim.network
        self._entropy = sim.entropy

    async def run(self) -> None:
        """Make trouble for ever."""
        while True:
            await asyncio.sleep(self._entropy.expovariate(1 / self._sim.plan.trouble_interval))
            trouble = weighted(self._entropy, {each: weight for each, (weight, _) in TROUBLES.items()})
            TROUBLES[trouble][1](self, trouble)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], trouble: Trouble) -> None:
        self._sim.spawn(coroutine, OWN + trouble.name)

    # While it connects

    def answer(self, trouble: Trouble) -> None:
        """The next requests get an answer of their own; mostly there is a next one soon."""
        self._network.answers.extend([trouble] * self._entropy.randrange(1, 4))
        if self._entropy.random() < 0.7:
            self.break_off(_T.RESET)

    # On the way of a message

    def arm(self, trouble: Trouble) -> None:
        direction = self._entropy.choice((TO_RUNNER, TO_BROKER))
        self._network.armed.append(Armed(trouble, direction, self._entropy.choice(KINDS[direction])))

    def slow_down(self, trouble: Trouble) -> None:
        self._network.slow_until = self._sim.now + log_uniform(self._entropy, 1, 120)
        self._network.disturb(trouble)

    def let_chaos_reign(self, trouble: Trouble) -> None:
        self._network.chaos_until = self._sim.now + log_uniform(self._entropy, 1, 60)
        self._network.disturb(trouble)

    def stall(self, trouble: Trouble) -> None:
        connection = self._network.current
        if connection is not None:
            connection.steady_since = self._sim.now + log_uniform(self._entropy, 0.1, 30)
            self._network.disturb(trouble)

    # The end of a connection

    def break_off(self, trouble: Trouble) -> None:
        connection = self._network.current
        if connection is not None:
            self._network.disturb(trouble)
            connection.break_off()

    def fall_silent(self, trouble: Trouble) -> None:
        connection = self._network.current
        if connection is not None:
            self._network.disturb(trouble)
            connection.fall_silent(trouble)

    def hang_up(self, trouble: Trouble) -> None:
        connection = self._network.current
        if connection is not None:
            self._network.disturb(trouble)
            connection.rules.disconnect(connection.peer)
            connection.peer.close(self._entropy.choice(CODES), "as it was told to")

    def evict(self, trouble: Trouble) -> None:
        connection = self._network.current
        if connection is not None:
            rival, rules = Rival(), connection.rules
            self._network.disturb(trouble, connection.runner_id)
            rules.connect(connection.runner_id, rival)
            rules.receive(rival, encode(Info("rival", ["python"])))
            connection.later(log_uniform(self._entropy, 0.1, 60), lambda: rules.disconnect(rival))

    # What the broker says

    def say(self, trouble: Trouble) -> None:
        connection = self._network.current
        if connection is not None:
            frame = self._words(trouble, connection)
            self._network.meddled.add(trouble)
            self._network.disturb(trouble, frame)
            connection.carry_to_runner(frame)

    def _words(self, trouble: Trouble, connection: Connection) -> bytes | None:
        match trouble:
            case _T.UNKNOWN_MESSAGE:
                return b'{"type":"broker:somethingnew","taskId":"x"}'
            case _T.MALFORMED_MESSAGE:
                return self._entropy.choice(MALFORMED)
            case _T.INFO_AGAIN:
                return b'{"type":"broker:inforequest"}'
            case _T.REGISTERED_AGAIN:
                return b'{"type":"broker:runnerregistered"}'
            case _T.STRAY_MESSAGE:
                return self._stray(connection)
            case _:
                return None  # a frame that is not text

    def _stray(self, connection: Connection) -> bytes:
        """A message about a task, or an offer, that the broker has nothing to do with; or that it said before."""
        conversation = self._sim.ledger.on(connection)
        stray = f"stray-{self._sim.now}"  # no name of a task comes twice
        task = self._entropy.choice([stray, *conversation.running])
        offer = self._entropy.choice(["stray", *conversation.open])
        return self._entropy.choice(
            [
                b'{"type":"broker:taskofferaccept","taskId":"%b","offerId":"%b"}' % (stray.encode(), offer.encode()),
                b'{"type":"broker:taskofferaccept","taskId":"%b","offerId":"%b"}' % (task.encode(), offer.encode()),
                b'{"type":"broker:tasksettings","taskId":"%b","settings":{}}' % task.encode(),
                b'{"type":"broker:taskcancel","taskId":"%b","reason":"stray"}' % task.encode(),
                b'{"type":"broker:taskcancel","taskId":"stray","reason":"%b"}'
                % ACKNOWLEDGEMENT_WINDOW_ELAPSED.encode(),
                b'{"type":"broker:rpcresponse","callId":"x","taskId":"%b","status":"error"}' % task.encode(),
                b'{"type":"broker:drain"}',
            ]
        )

    def cancel(self, trouble: Trouble) -> None:
        if self._sim.requester.cancel_one():
            self._sim.story.count(trouble.name)

    # The broker

    def end_broker(self, trouble: Trouble) -> None:
        if self._sim.broker.is_reachable:
            self._network.disturb(trouble)
            reach = Reach.VANISHED if trouble is _T.BROKER_VANISHED else Reach.DOWN
            self._sim.broker.go_down(reach)
            self._spawn(self._come_back(), trouble)

    def drain_broker(self, trouble: Trouble) -> None:
        if self._sim.broker.is_reachable:
            self._network.disturb(trouble)
            self._spawn(self._drain(), trouble)

    async def _drain(self) -> None:
        await self._sim.broker.rules.drain()
        await asyncio.sleep(self._entropy.random())
        self._sim.broker.go_down(Reach.DOWN)
        await self._come_back()

    async def _come_back(self) -> None:
        await asyncio.sleep(log_uniform(self._entropy, 0.01, 120))
        self._sim.broker.come_up()


TROUBLES: dict[Trouble, tuple[float, Callable[[Troublemaker, Trouble], None]]] = {
    _T.ANSWER_401: (0.15, Troublemaker.answer),
    _T.ANSWER_403: (0.4, Troublemaker.answer),
    _T.ANSWER_404: (1, Troublemaker.answer),
    _T.ANSWER_429: (1, Troublemaker.answer),
    _T.ANSWER_500: (1, Troublemaker.answer),
    _T.ANSWER_503: (1, Troublemaker.answer),
    _T.NO_ANSWER: (1, Troublemaker.answer),
    _T.NO_TOKEN: (1, Troublemaker.answer),
    _T.LOSE: (4, Troublemaker.arm),
    _T.DUPLICATE: (4, Troublemaker.arm),
    _T.DELAY: (4, Troublemaker.arm),
    _T.SLOW: (2, Troublemaker.slow_down),
    _T.CHAOS: (1, Troublemaker.let_chaos_reign),
    _T.STALL: (1, Troublemaker.stall),
    _T.RESET: (2, Troublemaker.break_off),
    _T.HALF_OPEN: (2, Troublemaker.fall_silent),
    _T.DEAF_BROKER: (1, Troublemaker.fall_silent),
    _T.DEAF_RUNNER: (1, Troublemaker.fall_silent),
    _T.HANG_UP: (1, Troublemaker.hang_up),
    _T.EVICTION: (1, Troublemaker.evict),
    _T.UNKNOWN_MESSAGE: (1, Troublemaker.say),
    _T.MALFORMED_MESSAGE: (1, Troublemaker.say),
    _T.BINARY_MESSAGE: (1, Troublemaker.say),
    _T.STRAY_MESSAGE: (3, Troublemaker.say),
    _T.INFO_AGAIN: (1, Troublemaker.say),
    _T.REGISTERED_AGAIN: (1, Troublemaker.say),
    _T.CANCEL: (5, Troublemaker.cancel),
    _T.BROKER_KILLED: (1, Troublemaker.end_broker),
    _T.BROKER_VANISHED: (1, Troublemaker.end_broker),
    _T.BROKER_DRAINED: (1, Troublemaker.drain_broker),
}
"""How often each trouble happens, relative to the others, and what makes it; the owner and the executor have more."""
