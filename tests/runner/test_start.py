"""The contract of `start()`: connect, retry, refuse, stop. A real runner, real WebSockets, time turned by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from msgspec import Raw

from runner import (
    AlreadyStarted,
    AuthenticationFailed,
    ConfigurationError,
    Count,
    NoIdleTimeoutHandlerError,
    TaskRequest,
    TaskRunner,
    TaskRunnerConfig,
)
from runner.broker import EmbeddedBroker
from statemachine import ConnectionState
from tests.scripted_broker import ScriptedBroker
from tests.support import AUTH_TOKEN, ManualClock, code_settings, config_for, eventually, result_of, run_code, settle

S = ConnectionState
LIFE = (S.DISCONNECTED, S.CONNECTING, S.AUTHENTICATED, S.LISTENING, S.BACKOFF, S.SHUTTING_DOWN)


def config(uri: str, **more: object) -> TaskRunnerConfig:
    return TaskRunnerConfig(**{"auth_token": AUTH_TOKEN, "task_broker_uri": uri, **more})  # type: ignore[arg-type]


@asynccontextmanager
async def started(runner: TaskRunner) -> AsyncIterator[asyncio.Task[None]]:
    """`start()` under way, and nothing of it left afterwards."""
    task = asyncio.get_running_loop().create_task(runner.start())
    try:
        yield task
    finally:
        await runner.stop()
        await asyncio.gather(task, return_exceptions=True)


async def test_start_blocks_until_stop(broker: EmbeddedBroker) -> None:
    runner = TaskRunner(config_for(broker))
    async with started(runner) as task:
        await runner.reached(S.LISTENING)
        assert not task.done()
        await runner.stop()
        await task
    assert runner.path == ("disconnected", "connecting", "authenticated", "listening", "shutting_down", "disconnected")


async def test_the_token_travels_as_bearer_and_the_id_in_the_query(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(TaskRunnerConfig(grant_token="granted", task_broker_uri=scripted.uri, runner_id="me & you"))
    async with started(runner):
        connection = await scripted.accept()
        assert connection.authorization == "Bearer granted"
        assert connection.runner_id == "me & you"
        assert connection.url.startswith("/runners/_ws?id=")


async def test_info_names_the_runner_and_the_type_python(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri))
    async with started(runner):
        connection = await scripted.accept()
        info = await connection.register()
        assert info == {"type": "runner:info", "name": "n8n-runner", "types": ["python"]}
        await runner.reached(S.LISTENING)


async def test_nothing_is_offered_before_the_registration(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri))
    async with started(runner):
        connection = await scripted.accept()
        await connection.say("broker:inforequest")
        assert (await connection.receive() or {})["type"] == "runner:info"
        await connection.ping_answered()
        assert connection.heard("runner:taskoffer") == []
        assert runner.state is S.AUTHENTICATED


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_grant_token_raises_with_its_status_and_cause(
    scripted: ScriptedBroker, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.statuses.append(status)
    runner = TaskRunner(TaskRunnerConfig(grant_token="spent-token", task_broker_uri=scripted.uri))
    with pytest.raises(AuthenticationFailed) as caught:
        await runner.start()
    assert caught.value.status == status
    assert isinstance(caught.value.__cause__, aiohttp.ClientResponseError)
    assert runner.state is S.AUTH_FAILED
    assert scripted.attempts == 1
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [f"Authentication failed with status {status}" in record.getMessage() for record in errors] == [True]
    assert "spent-token" not in caplog.text + repr(caught.value) + repr(caught.value.__cause__)


async def test_a_refused_auth_token_raises_without_an_upgrade(scripted: ScriptedBroker) -> None:
    scripted.auth_statuses.append(403)
    runner = TaskRunner(config(scripted.uri))
    with pytest.raises(AuthenticationFailed, match="status 403"):
        await runner.start()
    assert (scripted.exchanges, scripted.attempts) == (1, 0)


async def test_with_an_auth_token_one_403_is_forgiven_with_a_fresh_token(scripted: ScriptedBroker) -> None:
    scripted.statuses.append(403)
    runner = TaskRunner(config(scripted.uri))
    async with started(runner):
        connection = await scripted.accept()
        assert connection.authorization == "Bearer grant-2"
        await connection.register()
        await runner.reached(S.LISTENING)


async def test_with_an_auth_token_a_second_403_is_final(scripted: ScriptedBroker) -> None:
    scripted.statuses.extend([403, 403])
    with pytest.raises(AuthenticationFailed):
        await TaskRunner(config(scripted.uri)).start()
    assert scripted.attempts == 2


async def test_after_a_refusal_start_may_be_called_again(scripted: ScriptedBroker) -> None:
    scripted.statuses.append(401)
    runner = TaskRunner(config(scripted.uri))
    with pytest.raises(AuthenticationFailed):
        await runner.start()
    async with started(runner):
        await (await scripted.accept()).register()
        await runner.reached(S.LISTENING)


async def test_stop_after_a_refusal_leads_to_disconnected(scripted: ScriptedBroker) -> None:
    scripted.statuses.append(401)
    runner = TaskRunner(config(scripted.uri))
    with pytest.raises(AuthenticationFailed):
        await runner.start()
    await runner.stop()
    assert runner.state is S.DISCONNECTED
    assert runner.path[-3:] == ("auth_failed", "shutting_down", "disconnected")


@pytest.mark.parametrize("status", [400, 404, 429, 500, 502, 503])
async def test_every_other_status_is_retried_after_five_seconds(
    scripted: ScriptedBroker, clock: ManualClock, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.statuses.append(status)
    runner = TaskRunner(config(scripted.uri), clock=clock)
    async with started(runner):
        await runner.reached(S.BACKOFF)
        assert f"Failed to connect to broker: HTTP {status}" in caplog.text
        await clock.advance(4.9)
        assert (runner.state, scripted.attempts) == (S.BACKOFF, 1)
        await clock.advance(0.1)
        await (await scripted.accept()).register()
        await runner.reached(S.LISTENING)


async def test_a_broker_that_is_down_is_tried_every_five_seconds_for_ever(clock: ManualClock) -> None:
    async with ScriptedBroker() as gone:
        uri = gone.uri
    runner = TaskRunner(config(uri), clock=clock)
    async with started(runner):
        for attempts in range(1, 50):
            await runner.reached(S.BACKOFF)
            assert runner.counters[Count.CONNECTIONS_UNREACHABLE] == attempts
            waiting = asyncio.get_running_loop().create_task(runner.reached(S.CONNECTING))
            await clock.advance(5)
            await waiting


async def test_every_attempt_has_a_fresh_grant_token(scripted: ScriptedBroker, clock: ManualClock) -> None:
    runner = TaskRunner(config(scripted.uri), clock=clock)
    async with started(runner):
        for number in range(1, 4):
            connection = await scripted.accept()
            assert connection.authorization == f"Bearer grant-{number}"
            await connection.socket.close()
            await runner.reached(S.BACKOFF)
            await clock.advance(5)


async def test_a_spent_grant_token_ends_start_after_the_connection_is_lost(
    broker: EmbeddedBroker, clock: ManualClock
) -> None:
    runner = TaskRunner(config_for(broker, grant_token=broker.grant_token()), clock=clock)
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.LISTENING)
    await broker.drop_connections()
    await runner.reached(S.BACKOFF)
    await clock.advance(5)
    with pytest.raises(AuthenticationFailed) as caught:
        await task
    assert caught.value.status == 403


async def test_the_runner_comes_back_after_a_restart_of_the_broker(clock: ManualClock) -> None:
    broker = EmbeddedBroker(AUTH_TOKEN)
    async with broker:
        runner = TaskRunner(config_for(broker), clock=clock)
        task = asyncio.get_running_loop().create_task(runner.start())
        await runner.reached(S.LISTENING)
    await runner.reached(S.BACKOFF)
    async with broker:
        await clock.advance(5)
        await runner.reached(S.LISTENING)
        assert result_of(await run_code(broker, "return {'back': True}")) == [{"json": {"back": True}}]
        await runner.stop()
        await task
    assert broker.violations == []


async def test_a_connection_that_is_never_registered_is_lost_after_ten_seconds(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    runner = TaskRunner(config(scripted.uri), clock=clock)
    async with started(runner):
        connection = await scripted.accept()
        await connection.say("broker:inforequest")
        await connection.expect("runner:info")
        await clock.advance(9.9)
        assert runner.state is S.AUTHENTICATED
        await clock.advance(0.1)
        await runner.reached(S.BACKOFF)
        await connection.over.wait()


async def test_a_half_open_connection_is_noticed_by_our_own_pings(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri, heartbeat_interval=0.05))
    async with started(runner):
        connection = await scripted.accept()
        await connection.register()
        await runner.reached(S.LISTENING)
        transport = connection.socket._req.transport  # type: ignore[union-attr]
        transport.pause_reading()  # type: ignore[union-attr]  # the broker hears nothing any more, and says nothing
        await runner.reached(S.BACKOFF)
        transport.resume_reading()  # type: ignore[union-attr]


async def test_a_message_above_the_limit_costs_the_connection(scripted: ScriptedBroker, clock: ManualClock) -> None:
    runner = TaskRunner(config(scripted.uri, max_payload_size=10_000), clock=clock)
    async with started(runner):
        connection = await scripted.accept()
        await connection.register()
        await runner.reached(S.LISTENING)
        await connection.say("broker:noise", noise="x" * 9_000)
        await connection.ping_answered()
        await connection.say("broker:noise", noise="x" * 11_000)
        await runner.reached(S.BACKOFF)
        assert connection.socket.close_code == 1009


async def test_an_eviction_is_named_and_a_generated_id_renewed(
    broker: EmbeddedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    runner = TaskRunner(config_for(broker), clock=clock)
    async with started(runner):
        await runner.reached(S.LISTENING)
        (first_id,) = broker.rules.runner_ids
        rival = TaskRunner(config_for(broker, runner_id=first_id))
        async with started(rival):
            await rival.reached(S.LISTENING)
            await runner.reached(S.BACKOFF)
            assert "Another runner has connected with the id of this one" in caplog.text
            await clock.advance(5)
            await runner.reached(S.LISTENING)
            assert len(set(broker.rules.runner_ids)) == 2
            assert rival.state is S.LISTENING


async def test_an_eviction_from_a_configured_id_says_which_variable_sets_it(
    broker: EmbeddedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    runner = TaskRunner(config_for(broker, runner_id="mine"), clock=clock)
    async with started(runner):
        await runner.reached(S.LISTENING)
        async with started(TaskRunner(config_for(broker, runner_id="mine"))) as _:
            await runner.reached(S.BACKOFF)
            assert "N8N_RUNNERS_ID" in caplog.text


async def test_a_connection_that_breaks_off_is_not_taken_for_an_eviction(
    broker: EmbeddedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    runner = TaskRunner(config_for(broker), clock=clock)
    async with started(runner):
        await runner.reached(S.LISTENING)
        await broker.drop_connections()
        await runner.reached(S.BACKOFF)
    assert "Another runner" not in caplog.text


async def test_two_runners_get_different_ids(broker: EmbeddedBroker) -> None:
    first, second = TaskRunner(config_for(broker)), TaskRunner(config_for(broker))
    async with first, second:
        await first.reached(S.LISTENING)
        await second.reached(S.LISTENING)
        assert len(set(broker.rules.runner_ids)) == 2


async def test_auto_shutdown_without_a_handler_is_refused_before_anything_happens(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri, auto_shutdown_timeout=300))
    with pytest.raises(NoIdleTimeoutHandlerError):
        await runner.start()
    assert (scripted.exchanges, runner.path) == (0, ())


async def test_an_idle_runner_calls_the_handler_and_stops(broker: EmbeddedBroker, clock: ManualClock) -> None:
    called: list[float] = []

    async def on_idle() -> None:
        called.append(clock.now())

    runner = TaskRunner(config_for(broker, auto_shutdown_timeout=30), clock=clock)
    runner.on_idle_timeout = on_idle
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.LISTENING)
    began = clock.now()
    await clock.advance(20)
    assert result_of(await run_code(broker, "return {}")) == [{"json": {}}]
    await eventually(lambda: runner.running_tasks == 0)
    await clock.advance(29.9)
    assert (called, task.done()) == ([], False)
    await clock.advance(0.1)
    await task
    assert called == [began + 50]
    assert runner.state is S.DISCONNECTED


async def test_auto_shutdown_without_a_time_comes_at_the_first_idle_moment(
    broker: EmbeddedBroker, clock: ManualClock
) -> None:
    runner = TaskRunner(config_for(broker, is_auto_shutdown_enabled=True), clock=clock)
    with pytest.raises(NoIdleTimeoutHandlerError):
        await runner.start()

    async def on_idle() -> None: ...

    runner.on_idle_timeout = on_idle
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.LISTENING)
    await clock.advance(0)
    await task


async def test_a_running_task_is_not_idleness(broker: EmbeddedBroker, clock: ManualClock) -> None:
    async def on_idle() -> None:
        raise AssertionError("a task was running")

    runner = TaskRunner(config_for(broker, auto_shutdown_timeout=1, task_timeout=10_000), clock=clock)
    runner.on_idle_timeout = on_idle
    async with started(runner):
        await runner.reached(S.LISTENING)
        task = broker.request(code_settings("import time\ntime.sleep(600)"))
        await eventually(lambda: runner.running_tasks == 1)
        await clock.advance(500)
        assert runner.state is S.LISTENING
        broker.rules.cancel(task)
        await eventually(lambda: runner.running_tasks == 0)


async def test_the_idle_handler_may_call_stop_itself(broker: EmbeddedBroker, clock: ManualClock) -> None:
    after_stop: list[ConnectionState] = []
    runner = TaskRunner(config_for(broker, auto_shutdown_timeout=1), clock=clock)

    async def on_idle() -> None:
        await runner.stop()
        after_stop.append(runner.state)

    runner.on_idle_timeout = on_idle
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.LISTENING)
    await clock.advance(1)
    await task
    assert after_stop == [S.DISCONNECTED]


async def test_an_idle_handler_that_raises_is_logged_and_the_runner_stops(
    broker: EmbeddedBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_idle() -> None:
        raise RuntimeError("the handler's own bug")

    runner = TaskRunner(config_for(broker, auto_shutdown_timeout=1), clock=clock)
    runner.on_idle_timeout = on_idle
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.LISTENING)
    await clock.advance(1)
    await task
    assert "the handler's own bug" in caplog.text


@pytest.mark.parametrize("state", LIFE[1:5], ids=lambda state: state.value)
@pytest.mark.parametrize("times", [1, 2])
async def test_stop_works_from_every_state(
    scripted: ScriptedBroker, clock: ManualClock, state: ConnectionState, times: int
) -> None:
    if state is S.BACKOFF:
        scripted.statuses.append(503)
    runner = TaskRunner(config(scripted.uri), clock=clock)
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.CONNECTING)
    if state in {S.AUTHENTICATED, S.LISTENING}:
        connection = await scripted.accept()
        if state is S.LISTENING:
            await connection.register()
    await runner.reached(state)
    async with asyncio.timeout(5):
        await asyncio.gather(*(runner.stop() for _ in range(times)))
        await task
    assert runner.state is S.DISCONNECTED
    assert clock.pending == []


async def test_stop_before_the_first_start_makes_it_return_at_once(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri))
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.stop()
    await task
    assert (scripted.exchanges, runner.state) == (0, S.DISCONNECTED)


async def test_stop_on_a_stopped_runner_does_nothing_and_it_can_start_again(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri))
    for _ in range(2):
        async with started(runner):
            await (await scripted.accept()).register()
            await runner.reached(S.LISTENING)
            await runner.stop()
            await runner.stop()


async def test_start_on_a_running_runner_is_refused(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri))
    async with started(runner):
        await runner.reached(S.CONNECTING)
        with pytest.raises(AlreadyStarted):
            await runner.start()


async def test_a_socket_that_opens_just_when_stop_is_called_is_closed(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri))
    task = asyncio.get_running_loop().create_task(runner.start())
    connection = await scripted.accept()
    await runner.stop()
    await task
    async with asyncio.timeout(5):
        await connection.over.wait()


async def test_the_close_of_a_stopped_runner_says_1000(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri))
    async with started(runner):
        connection = await scripted.accept()
        await connection.register()
        await runner.reached(S.LISTENING)
        await runner.stop()
        await connection.over.wait()
        assert connection.socket.close_code == 1000


async def test_cancelling_start_ends_everything_and_is_not_swallowed(
    broker: EmbeddedBroker, clock: ManualClock
) -> None:
    runner = TaskRunner(config_for(broker), clock=clock)
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.LISTENING)
    running = broker.request(code_settings("import time\ntime.sleep(600)"))
    await eventually(lambda: runner.running_tasks == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (runner.state, runner.running_tasks) == (S.DISCONNECTED, 0)
    assert clock.pending == []
    assert (await running.end()).error is not None


@pytest.mark.parametrize("state", [S.CONNECTING, S.AUTHENTICATED, S.BACKOFF], ids=lambda state: state.value)
async def test_cancelling_start_works_from_every_state(
    scripted: ScriptedBroker, clock: ManualClock, state: ConnectionState
) -> None:
    if state is S.BACKOFF:
        scripted.statuses.append(503)
    runner = TaskRunner(config(scripted.uri), clock=clock)
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(state)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (runner.state, clock.pending) == (S.DISCONNECTED, [])


async def test_the_context_manager_starts_and_stops(broker: EmbeddedBroker) -> None:
    async with TaskRunner(config_for(broker)) as runner:
        await runner.reached(S.LISTENING)
        assert result_of(await run_code(broker, "return {'n': 1}")) == [{"json": {"n": 1}}]
    assert runner.state is S.DISCONNECTED


async def test_a_refusal_comes_out_of_the_context_manager_and_ends_its_block(scripted: ScriptedBroker) -> None:
    scripted.statuses.append(401)
    with pytest.raises(AuthenticationFailed):
        async with TaskRunner(config(scripted.uri)):
            await asyncio.Event().wait()


async def test_an_error_in_the_block_stops_the_runner_and_comes_out(broker: EmbeddedBroker) -> None:
    runner = TaskRunner(config_for(broker))
    with pytest.raises(ZeroDivisionError):
        async with runner:
            await runner.reached(S.LISTENING)
            raise ZeroDivisionError
    assert runner.state is S.DISCONNECTED


@pytest.mark.needs("ipv6")
async def test_a_broker_on_ipv6_is_reached() -> None:
    async with EmbeddedBroker(AUTH_TOKEN, host="::1") as broker, TaskRunner(config_for(broker)) as runner:
        await runner.reached(S.LISTENING)


async def test_a_broker_below_another_path_is_reached() -> None:
    async with EmbeddedBroker(AUTH_TOKEN, path="/n8n/other") as broker:
        configuration = TaskRunnerConfig(
            auth_token=AUTH_TOKEN, task_broker_uri=broker.uri + "/n8n/", broker_path="/other"
        )
        async with TaskRunner(configuration) as runner:
            await runner.reached(S.LISTENING)


def test_a_configuration_without_any_credential_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="N8N_RUNNERS_GRANT_TOKEN is required"):
        TaskRunnerConfig()


async def test_nothing_of_a_run_is_left_in_the_event_loop(broker: EmbeddedBroker) -> None:
    before = asyncio.all_tasks()
    async with TaskRunner(config_for(broker)) as runner:
        await runner.reached(S.LISTENING)
        await run_code(broker, "return []")
        await broker.drop_connections()
        await runner.reached(S.BACKOFF)
    await settle()
    await eventually(lambda: asyncio.all_tasks() <= before, "tasks left behind")


# Whoever interrupts whom


@pytest.mark.parametrize("moment", ["listening", "draining"])
async def test_cancelling_start_twice_still_leaves_nothing_behind(
    broker: EmbeddedBroker, clock: ManualClock, moment: str
) -> None:
    runner = TaskRunner(config_for(broker), clock=clock)
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.LISTENING)
    broker.request(code_settings("import time\ntime.sleep(600)"))
    await eventually(lambda: runner.running_tasks == 1)
    if moment == "draining":
        runner.request_stop("the test")
        await runner.reached(S.SHUTTING_DOWN)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (runner.state, runner.running_tasks, clock.pending) == (S.DISCONNECTED, 0, [])
    async with started(runner):
        await runner.reached(S.LISTENING)


async def test_a_context_manager_that_is_left_at_once_starts_nothing_however_often(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri))
    for _ in range(3):
        async with runner:
            pass
    async with runner:
        await (await scripted.accept()).register()
        await runner.reached(S.LISTENING)
    async with runner:
        pass
    assert runner.state is S.DISCONNECTED


async def test_stop_after_a_start_that_was_refused_does_not_spoil_the_next(scripted: ScriptedBroker) -> None:
    runner = TaskRunner(config(scripted.uri, auto_shutdown_timeout=300))
    with pytest.raises(NoIdleTimeoutHandlerError):
        await runner.start()
    await runner.stop()

    async def on_idle() -> None: ...

    runner.on_idle_timeout = on_idle
    async with started(runner):
        await (await scripted.accept()).register()
        await runner.reached(S.LISTENING)


class SlowToStart:
    """An executor that takes its time, as one that starts a process does."""

    def __init__(self) -> None:
        self.starting = asyncio.Event()
        self.may_start = asyncio.Event()
        self.closed = 0

    async def start(self) -> None:
        self.starting.set()
        await self.may_start.wait()

    async def execute(self, request: TaskRequest) -> Raw:
        raise AssertionError("no task is given")

    async def close(self) -> None:
        await settle()
        self.closed += 1


async def test_stop_is_heard_while_the_executor_starts(scripted: ScriptedBroker) -> None:
    executor = SlowToStart()
    runner = TaskRunner(config(scripted.uri), executor=executor)
    task = asyncio.get_running_loop().create_task(runner.start())
    await executor.starting.wait()
    stopping = asyncio.get_running_loop().create_task(runner.stop())
    await runner.stop()
    await stopping
    await task
    assert (runner.state, executor.closed) == (S.DISCONNECTED, 1)
    assert runner.path == ()


async def test_stop_of_a_runner_that_starts_again_after_a_refusal_leads_to_disconnected(
    scripted: ScriptedBroker,
) -> None:
    executor = SlowToStart()
    executor.may_start.set()
    runner = TaskRunner(config(scripted.uri), executor=executor)
    scripted.auth_statuses.append(403)
    with pytest.raises(AuthenticationFailed):
        await runner.start()
    executor.may_start.clear()
    executor.starting.clear()
    task = asyncio.get_running_loop().create_task(runner.start())
    await executor.starting.wait()
    await runner.stop()
    await task
    assert (runner.state, executor.closed) == (S.DISCONNECTED, 2)


async def test_an_executor_whose_start_times_out_by_itself_is_not_taken_for_a_stop(scripted: ScriptedBroker) -> None:
    class TooSlow(SlowToStart):
        async def start(self) -> None:
            raise TimeoutError("the executor's own")

    with pytest.raises(TimeoutError, match="the executor's own"):
        await TaskRunner(config(scripted.uri), executor=TooSlow()).start()


async def test_cancelling_start_while_the_executor_starts_closes_it(scripted: ScriptedBroker) -> None:
    executor = SlowToStart()
    runner = TaskRunner(config(scripted.uri), executor=executor)
    task = asyncio.get_running_loop().create_task(runner.start())
    await executor.starting.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert executor.closed == 1


async def test_a_context_manager_that_is_cancelled_while_it_stops_leaves_nothing_behind(
    broker: EmbeddedBroker, clock: ManualClock
) -> None:
    runner = TaskRunner(config_for(broker), clock=clock)

    async def use() -> None:
        async with runner:
            await runner.reached(S.LISTENING)
            broker.request(code_settings("import time\ntime.sleep(600)"))
            await eventually(lambda: runner.running_tasks == 1)

    task = asyncio.get_running_loop().create_task(use())
    await runner.reached(S.SHUTTING_DOWN)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (runner.state, runner.running_tasks, clock.pending) == (S.DISCONNECTED, 0, [])


async def test_cancelling_start_does_not_wait_for_the_idle_handler(broker: EmbeddedBroker, clock: ManualClock) -> None:
    called = asyncio.Event()
    ended: list[str] = []

    async def on_idle() -> None:
        called.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("handler")

    runner = TaskRunner(config_for(broker, auto_shutdown_timeout=1), clock=clock)
    runner.on_idle_timeout = on_idle
    task = asyncio.get_running_loop().create_task(runner.start())
    await runner.reached(S.LISTENING)
    await clock.advance(1)
    await called.wait()
    task.cancel()
    async with asyncio.timeout(2):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended == ["handler"]


async def test_stop_from_elsewhere_waits_for_the_idle_handler(broker: EmbeddedBroker, clock: ManualClock) -> None:
    called, may_end = asyncio.Event(), asyncio.Event()

    async def on_idle() -> None:
        called.set()
        await may_end.wait()

    runner = TaskRunner(config_for(broker, auto_shutdown_timeout=1), clock=clock)
    runner.on_idle_timeout = on_idle
    async with started(runner):
        await runner.reached(S.LISTENING)
        await clock.advance(1)
        await called.wait()
        stopping = asyncio.get_running_loop().create_task(runner.stop())
        await runner.reached(S.DISCONNECTED)
        await settle()
        assert not stopping.done()
        may_end.set()
        await stopping


async def test_no_token_is_reachable_from_a_refusal(scripted: ScriptedBroker) -> None:
    scripted.statuses.append(403)
    runner = TaskRunner(TaskRunnerConfig(grant_token="the-spent-token", task_broker_uri=scripted.uri))
    with pytest.raises(AuthenticationFailed) as caught:
        await runner.start()
    todo: list[BaseException | None] = [caught.value]
    seen: list[BaseException] = []
    while todo:
        error = todo.pop()
        if error is not None and error not in seen:
            seen.append(error)
            todo += [error.__cause__, error.__context__]
    assert len(seen) > 1
    assert [error for error in seen if "the-spent-token" in repr(error)] == []
