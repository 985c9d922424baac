"""In the middle of what a runner may be told to stop, as a table. It has to end in time all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import attrs

from tests.chaos.on_the_machine import NOT_STARTED
from tests.chaos.on_the_network import FAILED, LOST
from tests.chaos.proxy import BOTH, Way
from tests.chaos.world import World

ENDLESS = "import time\ntime.sleep(1000)"
DEAF_TO_SIGNALS = "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(1000)"


@attrs.frozen
class Moment:
    """A moment to be told to stop.

    Parameters:
        prepare: brings it about; SIGTERM follows at once.
    """

    name: str
    what: str
    prepare: Callable[[World], Awaitable[None]]

    def __str__(self) -> str:
        return self.name


async def at_rest(world: World) -> None:
    await world.tiny(10)


async def at_work(world: World) -> None:
    for code in (ENDLESS, DEAF_TO_SIGNALS):
        await world.under_way(code)


async def under_load(world: World) -> None:
    for _ in range(50):
        world.request("return _items")
    await world.tiny(10)


async def while_nothing_passes(world: World) -> None:
    await at_work(world)
    world.proxy.stall(BOTH)


async def while_the_broker_takes_nothing(world: World) -> None:
    world.proxy.stall(frozenset({Way.TO_BROKER}))


async def before_the_next_attempt(world: World) -> None:
    await at_work(world)
    await world.lose_broker(LOST)


async def in_an_attempt(world: World) -> None:
    mark = world.runner.log.mark()
    world.proxy.stall()
    world.proxy.reset()
    await world.runner.log.says(LOST, mark)
    await world.proxy.arrived()


async def after_a_failed_attempt(world: World) -> None:
    await world.lose_broker(FAILED)


async def while_a_zygote_starts(world: World) -> None:
    await at_work(world)
    for zygote in world.runner.zygotes():
        os.kill(zygote, signal.SIGKILL)
    world.request("return []")


async def while_no_zygote_can_be_started(world: World) -> None:
    mark = world.runner.log.mark()
    limits = world.runner.limit_descriptors()
    for zygote in world.runner.zygotes():
        os.kill(zygote, signal.SIGKILL)
    await world.runner.log.says(NOT_STARTED, mark)
    world.request("return []")
    world.runner.lift_descriptors(limits)  # without any, it cannot even look into its folder to remove it


async def while_the_zygote_hangs(world: World) -> None:
    await at_work(world)
    for zygote in world.runner.zygotes():
        os.kill(zygote, signal.SIGSTOP)


MOMENTS = (
    Moment("at rest", "registered, with nothing to do", at_rest),
    Moment("at work", "tasks that never end, and one that no signal reaches", at_work),
    Moment("under load", "tasks end and begin all the time", under_load),
    Moment("half-open", "nothing passes any more, and tasks run", while_nothing_passes),
    Moment("mute", "the broker hears nothing any more", while_the_broker_takes_nothing),
    Moment("lost", "the connection is lost, and the next attempt far away", before_the_next_attempt),
    Moment("connecting", "an attempt that nobody answers", in_an_attempt),
    Moment("failed", "an attempt has failed", after_a_failed_attempt),
    Moment("zygote starting", "its predecessor was killed with its tasks", while_a_zygote_starts),
    Moment("no zygote", "there were no descriptors for one", while_no_zygote_can_be_started),
    Moment("zygote hangs", "with tasks that only it can end", while_the_zygote_hangs),
)
