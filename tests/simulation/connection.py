"""One simulated connection: a socket for the runner, a peer for the broker, and a network between them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from runner import ConnectionLost, SignOfLife
from runner.broker import TaskBroker
from runner.connection.websocket import CLOSE_TIMEOUT
from tests.simulation.network import TO_BROKER, TO_RUNNER, Network
from tests.simulation.plan import Trouble

Item = bytes | SignOfLife | ConnectionLost | None
"""What arrives at a runner: a text frame, a heartbeat, the end, or a frame that is not text."""

BROKER_HEARTBEAT = 30.0
"""How often the broker looks for pongs, in seconds."""


class BrokerEnd:
    """The broker's end of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, frame: bytes) -> None:
        self._connection.carry_to_runner(frame)

    def close(self, code: int, why: str) -> None:
        connection = self._connection
        connection.network.story.tell("broker", f"closes connection {connection.number} with {code}:", why)
        connection.carry_to_runner(ConnectionLost(f"{why} (code {code})", code))
        connection.later(CLOSE_TIMEOUT, connection.broker_learns_of_the_end)


class Connection:
    """One connection, from its upgrade until both ends have forgotten it; the runner's end is its methods."""

    def __init__(self, network: Network, rules: TaskBroker, runner_id: str, number: int) -> None:
        self.network = network
        self.rules = rules
        self.runner_id = runner_id
        self.number = number
        self.peer = BrokerEnd(self)
        self.runner_deaf = False
        self.broker_deaf = False
        self.handed_over = False
        """Whether the runner has it: until then it is a part of an attempt."""
        self.let_go = False
        """Whether the runner has let go of it."""
        self.lost: ConnectionLost | None = None
        """What the runner has learnt of its end."""
        self.steady_since = 0.0
        """Since when it takes what the runner sends; in the future while it does not."""
        self._inbox: deque[Item] = deque()
        self._something_came: asyncio.Future[None] | None = None
        self._to_runner_due = 0.0
        self._to_broker_due = 0.0

    # The runner's end

    async def receive(self) -> bytes | SignOfLife | None:
        while not self._inbox:
            self._something_came = self.network.loop.create_future()
            await self._something_came
        item = self._inbox[0]
        if isinstance(item, ConnectionLost):
            if self.lost is None:
                self.lost = item
                self.network.observer.ended(self)
            raise ConnectionLost(str(item), item.code)
        self._inbox.popleft()
        if isinstance(item, bytes):
            self.network.observer.delivered(self, item)
        return item

    async def send(self, frame: bytes) -> None:
        while self.steady_since > self.network.loop._now and self.lost is None:
            await asyncio.sleep(min(0.1, self.steady_since - self.network.loop._now))
        if self.lost is not None:
            raise ConnectionLost("the connection broke off while sending")
        self.network.observer.sent(self, frame)
        self._carry_to_broker(frame)

    async def close(self) -> None:
        self.network.observer.closing(self)
        healthy = self.lost is None and not self.broker_deaf and not self.runner_deaf
        try:
            await asyncio.sleep(min(CLOSE_TIMEOUT, 2 * self.network.latency()) if healthy else CLOSE_TIMEOUT)
        finally:
            await self.drop()

    async def drop(self) -> None:
        if self.let_go:
            return
        self.let_go = True
        del self.network.open[self]
        if not self.broker_deaf:
            self.later(self.network.latency(), self.broker_learns_of_the_end)

    # What is on its way

    def later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call back after a while: the world's own timers are not the runner's."""
        self.network.loop.call_later(delay, callback)

    def beat(self) -> None:
        """A heartbeat comes, and the next one in a while, until there are none any more."""
        if not self.runner_deaf and not self.let_go:
            self._put(SignOfLife.HEARTBEAT)
            self.later(self.network.plan.heartbeat_interval, self.beat)

    def carry_to_runner(self, item: Item) -> None:
        """Something is sent to the runner."""
        if self.runner_deaf or self.let_go:
            return
        network = self.network
        due = self._to_runner_due = max(network.loop._now + network.latency(), self._to_runner_due)
        for when in network.arrivals(TO_RUNNER, item, due):
            network.loop.call_at(when, self._arrive_at_runner, item)

    def _carry_to_broker(self, frame: bytes) -> None:
        if self.broker_deaf:
            return
        network = self.network
        due = self._to_broker_due = max(network.loop._now + network.latency(), self._to_broker_due)
        for when in network.arrivals(TO_BROKER, frame, due):
            network.loop.call_at(when, self._arrive_at_broker, frame)

    def _arrive_at_runner(self, item: Item) -> None:
        if not self.runner_deaf:
            self._put(item)

    def _put(self, item: Item) -> None:
        """Put something where the runner's reader finds it."""
        if self.let_go:
            return
        self._inbox.append(item)
        if self._something_came is not None and not self._something_came.done():
            self._something_came.set_result(None)

    def _arrive_at_broker(self, frame: bytes) -> None:
        if not self.broker_deaf:
            self.rules.receive(self.peer, frame)

    # How it ends

    def break_off(self) -> None:
        """Both ends learn, each after a while, that there is no connection any more."""
        self.carry_to_runner(ConnectionLost("the connection broke off (code 1006)", 1006))
        self.later(self.network.latency(), self.broker_learns_of_the_end)

    def fall_silent(self, trouble: Trouble) -> None:
        """Nothing arrives any more at one end or at both. Heartbeats will tell, in time; nothing else will."""
        self.runner_deaf = self.runner_deaf or trouble is not Trouble.DEAF_BROKER
        self.broker_deaf = self.broker_deaf or trouble is not Trouble.DEAF_RUNNER
        entropy, interval = self.network.entropy, self.network.plan.heartbeat_interval
        if self.runner_deaf:
            # the runner pings an interval after the last thing that came, and waits half an interval for the pong
            self.later((0.5 + entropy.random()) * interval, self._runner_misses_the_pong)
        if trouble is not Trouble.BROKER_VANISHED:
            self.later((1 + entropy.random()) * BROKER_HEARTBEAT, self._broker_misses_the_pong)

    def _runner_misses_the_pong(self) -> None:
        self._put(ConnectionLost("no pong came (code 1006)", 1006))

    def _broker_misses_the_pong(self) -> None:
        self.rules.disconnect(self.peer)
        self.peer.close(1002, "no pong came")

    def broker_learns_of_the_end(self) -> None:
        """The broker's side is over."""
        self.rules.disconnect(self.peer)

    @property
    def is_silent(self) -> bool:
        """Whether an end waits for what will never come, and has not been told."""
        return (self.runner_deaf or self.broker_deaf) and self.lost is None and not self.let_go
