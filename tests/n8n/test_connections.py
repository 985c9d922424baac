"""The command `n8n-runner start` and its connection to a real n8n that comes and goes."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time

import pytest

from runner.cli.exit_codes import ExitCode
from tests.n8n.process import Started, started
from tests.n8n.relay import Relay
from tests.n8n.server import RealN8n

pytestmark = pytest.mark.timeout(300)

PACE = 5.0
"""How long a runner waits between attempts, in seconds."""

TOLERANCE = 0.2
"""By how much a log line may be read late or early, in seconds."""


def gaps_between(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


async def test_with_a_grant_token_that_was_fetched_by_hand_and_can_be_used_once(n8n: RealN8n) -> None:
    token = await n8n.grant_token()
    environment = {"N8N_RUNNERS_TASK_BROKER_URI": n8n.broker, "N8N_RUNNERS_GRANT_TOKEN": token}
    async with started(environment) as first:
        await first.logged("Registered with broker")
        assert await n8n.double(21) == 42
        start = time.monotonic()
        async with started(environment, exit_code=ExitCode.REFUSED) as second:
            code = await second.ended(within=10)
            took = time.monotonic() - start
        print(f"\nexit code {code} after {took:.2f} s: {second.lines[-1]}")
        assert took < 3
        assert len(second.lines_with("Authentication failed with status 403")) == 1
        assert token not in "\n".join(second.lines)
        assert await n8n.double(21) == 42  # the first one is as well as before


async def test_a_wrong_auth_token_is_refused(n8n: RealN8n) -> None:
    start = time.monotonic()
    environment = n8n.environment(N8N_RUNNERS_AUTH_TOKEN="wrong")
    async with started(environment, exit_code=ExitCode.REFUSED) as runner:
        assert await runner.ended(within=10) == ExitCode.REFUSED
    print(f"\nafter {time.monotonic() - start:.2f} s: {runner.lines[-1]}")
    assert len(runner.lines_with("Authentication failed with status 403")) == 1


async def test_an_auth_token_is_good_for_many_connections(n8n: RealN8n) -> None:
    async with (
        Relay(n8n.broker) as relay,
        started(n8n.environment(N8N_RUNNERS_TASK_BROKER_URI=relay.url)) as runner,
    ):
        for number in range(6):
            await runner.logged("Registered with broker")
            assert await n8n.double(number) == 2 * number
            relay.cut()
            await runner.logged("Disconnected from broker")
        await runner.logged("Registered with broker")
        assert await n8n.double(21) == 42
    lost, back = runner.times_of("Disconnected from broker: "), runner.times_of("Registered with broker")[1:]
    waits = [registered - cut for cut, registered in zip(lost, back, strict=True)]
    print("\nback after " + ", ".join(f"{wait:.2f} s" for wait in waits))
    assert all(PACE - TOLERANCE < wait < PACE + 1 for wait in waits)


async def test_two_runners_with_one_id_swap_at_the_usual_pace_and_say_why(n8n: RealN8n) -> None:
    environment = n8n.environment(N8N_RUNNERS_ID="the-same")
    async with started(environment) as first:
        await first.logged("Registered with broker")
        async with started(environment) as second:
            await second.logged("Registered with broker")
            await asyncio.sleep(3.2 * PACE)
            assert await n8n.double(21) == 42
    for name, runner in (("first", first), ("second", second)):
        gaps = gaps_between(runner.times_of("Registered with broker"))
        said = runner.lines_with("has connected with the id of this one")
        print(f"\n{name}: registered again after {[round(gap, 2) for gap in gaps]} s, {len(said)} times: {said[:1]}")
        assert len(gaps) >= 1
        assert all(gap > PACE - TOLERANCE for gap in gaps)
        assert len(said) == len(runner.times_of("Disconnected from broker: "))
        assert "N8N_RUNNERS_ID" in said[0]
    assert 'Runner "n8n-runner" registered as "the-same", an ID another live runner holds' in n8n.log()


async def test_two_runners_with_ids_of_their_own_share_the_work(n8n: RealN8n) -> None:
    async with started(n8n.environment()) as first, started(n8n.environment()) as second:
        await first.logged("Registered with broker")
        await second.logged("Registered with broker")
        await asyncio.gather(*(n8n.items("sleep", {"s": 1}) for _ in range(10)))
        shares = [len(runner.lines_with("Completed task")) for runner in (first, second)]
        print(f"\ncompleted: {shares}")
        assert shares == [5, 5]  # each has five slots, and the work is ten tasks at once
        assert not first.lines_with("Disconnected") + second.lines_with("Disconnected")


async def test_n8n_is_stopped_while_a_task_runs(n8n: RealN8n) -> None:
    """Its result reaches the caller before n8n is gone, and the runner is back after n8n."""
    async with started(n8n.environment()) as runner:
        await runner.logged("Registered with broker")
        start = time.monotonic()
        caller = asyncio.create_task(n8n.items("sleep", {"s": 3}))
        await runner.logged("Accepted task")
        await asyncio.sleep(0.3)
        n8n.send(signal.SIGTERM)
        stopped = time.monotonic()
        await runner.logged("The broker is draining")
        told = time.monotonic() - stopped
        assert await caller == [{"slept": True}]
        answered = time.monotonic() - start
        assert n8n.is_running
        await n8n.gone()
        print(
            f"\ndrain after {told:.2f} s, answer at {answered:.2f} s, gone at {time.monotonic() - start:.2f} s", end=""
        )
        await runner.logged("Disconnected from broker")
        await is_back(n8n, runner)


async def test_n8n_is_stopped_while_executions_wait_for_a_runner(n8n: RealN8n) -> None:
    """All that n8n has taken is finished, one after the other. Without offers it would hang, and leave no answer."""
    async with started(n8n.environment(N8N_RUNNERS_MAX_CONCURRENCY="2")) as runner:
        await runner.logged("Registered with broker")
        start = time.monotonic()
        callers = [asyncio.create_task(n8n.items("sleep", {"s": 1})) for _ in range(8)]
        await runner.logged("Accepted task")
        await asyncio.sleep(0.5)
        n8n.send(signal.SIGTERM)
        assert await asyncio.gather(*callers) == [[{"slept": True}]] * 8
        answered = time.monotonic() - start
        await n8n.gone()
        print(
            f"\n8 executions in 2 slots: answered within {answered:.2f} s, n8n gone at {time.monotonic() - start:.2f} s"
        )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_n8n_is_restarted(n8n: RealN8n, how: signal.Signals) -> None:
    """The runner with the auth token is back; the one whose grant token is spent says so and ends."""
    granted = {"N8N_RUNNERS_TASK_BROKER_URI": n8n.broker, "N8N_RUNNERS_GRANT_TOKEN": await n8n.grant_token()}
    async with (
        started(n8n.environment()) as runner,
        started(granted, exit_code=ExitCode.REFUSED) as once,
    ):
        await runner.logged("Registered with broker")
        await once.logged("Registered with broker")
        await n8n.stop(how)
        await runner.logged("Disconnected from broker")
        await is_back(n8n, runner)
        print(f"\nthe grant token's: exit code {await once.ended(within=10)}, {once.lines[-1]}")
        assert len(once.lines_with("Authentication failed with status 403")) == 1


async def is_back(n8n: RealN8n, runner: Started) -> None:
    """Start n8n again, and see the runner come back in time and work."""
    await n8n.start()
    up = time.monotonic()
    await runner.logged("Registered with broker")
    took = time.monotonic() - up
    print(f"\nback {took:.2f} s after the broker was up")
    assert took < PACE + 0.5
    assert await n8n.double(21) == 42


async def test_the_runner_waits_for_an_n8n_that_starts_later(n8n: RealN8n) -> None:
    await n8n.stop()
    async with started(n8n.environment()) as runner:
        await runner.logged("Failed to connect to broker")
        await runner.logged("Failed to connect to broker")
        assert min(gaps_between(runner.times_of("Failed to connect"))) > PACE - TOLERANCE
        await is_back(n8n, runner)
        print(runner.lines_with("Failed to connect")[0])
