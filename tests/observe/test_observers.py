"""What those who watch a runner hear, from a real runner over a real connection."""

from __future__ import annotations

import logging

import pytest
from msgspec import Raw

from runner import (
    ConnectionFailure,
    Count,
    FailureKind,
    Observer,
    OfferAccepted,
    RunningTask,
    TaskFinished,
    TaskIdentity,
    TaskOutcome,
    TaskRequest,
    TaskRunner,
    TaskRunnerConfig,
    TaskStarted,
    TaskTurnedAway,
)
from runner.broker import EmbeddedBroker
from statemachine import ConnectionState, Entry
from tests.scripted_broker import ScriptedBroker
from tests.support import AUTH_TOKEN, ManualClock, code_settings, config_for, eventually, run_code, settle


class Notes(Observer):
    """Writes down all that it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def of(self, kind: type) -> list[object]:
        return [each for each in self.heard if isinstance(each, kind)]

    def on_transition(self, entry: Entry) -> None:
        self.heard.append(entry)

    def on_connection_failed(self, failure: ConnectionFailure) -> None:
        self.heard.append(failure)

    def on_offer_accepted(self, offer: OfferAccepted) -> None:
        self.heard.append(offer)

    def on_task_rejected(self, task: TaskTurnedAway) -> None:
        self.heard.append(task)

    def on_task_started(self, task: TaskStarted) -> None:
        self.heard.append(task)

    def on_task_finished(self, task: TaskFinished) -> None:
        self.heard.append(task)

    def on_stall(self, seconds: float) -> None:
        self.heard.append(seconds)


def finished_in(notes: Notes) -> list[TaskFinished]:
    return [each for each in notes.heard if isinstance(each, TaskFinished)]


async def test_a_task_is_told_when_it_starts_and_when_it_ends(broker: EmbeddedBroker) -> None:
    runner = TaskRunner(config_for(broker))
    notes = Notes()
    runner.observe(notes)
    async with runner:
        settings = code_settings("return {'n': 1}")
        await broker.request(settings).end()
        await eventually(lambda: finished_in(notes))
    (started,) = notes.of(TaskStarted)
    (finished,) = finished_in(notes)
    assert isinstance(started, TaskStarted)
    assert started.task == finished.task
    assert finished.task == TaskIdentity(finished.task.task_id, "a2", "Code", "w1", "A workflow")
    assert started.settings_bytes == finished.settings_bytes == len(memoryview(settings))
    assert finished.outcome is TaskOutcome.DONE
    assert finished.result_bytes == len(b'[{"json":{"n":1}}]')
    assert (finished.error, finished.line) == ("", None)
    assert 0 <= finished.waited == started.waited < 10
    assert 0 < finished.duration < 10
    (offer,) = notes.of(OfferAccepted)
    assert isinstance(offer, OfferAccepted)
    assert 0 <= offer.waited < 10


async def test_a_task_that_fails_is_told_with_its_line(broker: EmbeddedBroker) -> None:
    runner = TaskRunner(config_for(broker))
    notes = Notes()
    runner.observe(notes)
    async with runner:
        await run_code(broker, "x = 0\nreturn 1 / x")
        await eventually(lambda: finished_in(notes))
    (finished,) = finished_in(notes)
    assert (finished.outcome, finished.error, finished.line) == (TaskOutcome.FAILED, "division by zero", 2)
    assert finished.result_bytes == 0


async def test_every_transition_is_told_in_order(broker: EmbeddedBroker) -> None:
    runner = TaskRunner(config_for(broker))
    notes = Notes()
    runner.observe(notes)
    async with runner:
        await runner.reached(ConnectionState.LISTENING)
    told = [entry for entry in notes.heard if isinstance(entry, Entry)]
    assert told == [entry for entry in runner.journal if not entry.ignored]
    assert [entry.target for entry in told] == list(runner.path[1:])


class Waiting:
    """An executor whose tasks last until they are cancelled."""

    async def start(self) -> None:
        pass

    async def execute(self, request: TaskRequest) -> Raw:
        import asyncio

        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody sets it")

    async def close(self) -> None:
        pass


async def test_a_lost_connection_is_told_with_its_code_and_with_its_tasks(
    scripted: ScriptedBroker, clock: ManualClock
) -> None:
    config = TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri, max_concurrency=2)
    runner = TaskRunner(config, executor=Waiting(), clock=clock)
    notes = Notes()
    runner.observe(notes)
    scripted.statuses.append(503)
    async with runner:
        await runner.reached(ConnectionState.BACKOFF)
        await clock.advance(5)
        connection = await scripted.accept()
        await connection.register()
        await connection.say("broker:taskofferaccept", taskId="started", offerId=await connection.offer())
        await connection.expect("runner:taskaccepted")
        await clock.advance(0.5)
        await connection.say("broker:tasksettings", taskId="started", settings={"nodeId": "n", "nodeName": "N"})
        await connection.say("broker:taskofferaccept", taskId="waits", offerId=await connection.offer())
        await connection.say("broker:taskofferaccept", taskId="late", offerId="none of ours")
        await connection.expect("runner:taskrejected")
        await clock.advance(2)
        assert [(each.task.task_id, each.state, each.age) for each in runner.tasks] == [
            ("started", "running", 2.5),
            ("waits", "accepted", 2.0),
        ]
        assert all(isinstance(each, RunningTask) for each in runner.tasks)
        await connection.socket.close(code=1001)
        await runner.reached(ConnectionState.BACKOFF)
        await settle()
    unreachable, lost = notes.of(ConnectionFailure)
    assert isinstance(unreachable, ConnectionFailure)
    assert isinstance(lost, ConnectionFailure)
    assert (unreachable.kind, unreachable.code) == (FailureKind.UNREACHABLE, 503)
    assert (lost.kind, lost.code) == (FailureKind.LOST, 1001)
    ends = {each.task.task_id: each for each in finished_in(notes)}
    assert {name: end.outcome for name, end in ends.items()} == {
        "started": TaskOutcome.LOST,
        "waits": TaskOutcome.LOST,
    }
    assert (ends["started"].waited, ends["started"].duration) == (0.5, 2.0)
    assert (ends["waits"].waited, ends["waits"].duration) == (2.0, 0.0)
    assert notes.of(TaskTurnedAway) == [
        TaskTurnedAway("late", "Offer expired - not accepted within validity window"),
    ]


async def test_a_refusal_is_told(scripted: ScriptedBroker) -> None:
    scripted.auth_statuses.append(403)
    scripted.auth_statuses.append(403)
    runner = TaskRunner(TaskRunnerConfig(auth_token=AUTH_TOKEN, task_broker_uri=scripted.uri), executor=Waiting())
    notes = Notes()
    runner.observe(notes)
    with pytest.raises(Exception, match="403"):
        await runner.start()
    (refused,) = notes.of(ConnectionFailure)
    assert isinstance(refused, ConnectionFailure)
    assert (refused.kind, refused.code) == (FailureKind.REFUSED, 403)


class Broken(Observer):
    """Raises at everything."""

    def on_transition(self, entry: Entry) -> None:
        raise ValueError("broken")

    def on_task_started(self, task: TaskStarted) -> None:
        raise ValueError("broken")

    def on_task_finished(self, task: TaskFinished) -> None:
        raise ValueError("broken")


async def test_an_observer_that_raises_harms_nobody_and_is_told_once(
    broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    runner = TaskRunner(config_for(broker))
    notes = Notes()
    runner.observe(Broken())
    runner.observe(notes)
    with caplog.at_level(logging.ERROR):
        async with runner:
            for _ in range(3):
                end = await run_code(broker, "return {}")
                assert end.error is None
            await eventually(lambda: len(finished_in(notes)) == 3)
    complaints = [record.getMessage() for record in caplog.records if "Broken." in record.getMessage()]
    assert len(complaints) == len(set(complaints)) == 3
    assert runner.counters[Count.OBSERVERS_FAILED] == 6 + len(notes.of(Entry))


async def test_one_that_no_longer_watches_hears_nothing(broker: EmbeddedBroker) -> None:
    runner = TaskRunner(config_for(broker))
    notes = Notes()
    stop = runner.observe(notes)
    async with runner:
        await runner.reached(ConnectionState.LISTENING)
        stop()
        stop()
        heard = len(notes.heard)
        runner.note_stall(1.0)
        await run_code(broker, "return {}")
    assert heard > 0
    assert len(notes.heard) == heard


async def test_a_stall_is_told(broker: EmbeddedBroker) -> None:
    runner = TaskRunner(config_for(broker))
    notes = Notes()
    runner.observe(notes)
    runner.note_stall(1.5)
    assert notes.heard == [1.5]
    assert runner.counters[Count.LOOP_STALLS] == 1


async def test_the_executor_tells_its_processes(broker: EmbeddedBroker) -> None:
    runner = TaskRunner(config_for(broker, max_concurrency=1, graceful_shutdown_timeout=0.1))
    assert runner.executor_status.layers == ()
    async with runner:
        task = broker.request(code_settings("print('on')\nimport time\ntime.sleep(600)"))
        await eventually(lambda: task.prints)
        status = runner.executor_status
        (running,) = runner.tasks
        assert list(status.running) == [running.task.task_id]
        assert status.zygotes_started == 1
        assert status.workers_started >= 2
        assert len(status.others) == 1
        assert {layer.achieved for layer in status.layers} <= {"complete", "partial", "missing"}
        assert len({*status.running.values(), *status.waiting, *status.others}) >= 3
    assert runner.executor_status.running == {}
