"""The thumbnail service against the embedded broker: its function alone, and the whole service as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from msgspec import Raw
from thumbnails import Thumbnail, make_thumbnail, scale_down

from runner import FunctionExecutor, TaskRequest, TaskRunner, TaskRunnerConfig
from runner.broker import EmbeddedBroker, EndOfTask, TaskEnd

SECRET = "a secret of the tests"
PICTURE = [[10, 20, 30, 40], [10, 20, 30, 40]]


def settings(**members: object) -> Raw:
    return Raw(json.dumps(members).encode())


async def ask(broker: EmbeddedBroker, **members: object) -> EndOfTask:
    return await asyncio.wait_for(broker.request(settings(**members), "thumbnail").end(), 10)


def test_a_picture_is_scaled_down() -> None:
    assert scale_down(PICTURE, 2) == [[15, 35]]


async def test_requests_of_the_type_are_served_and_no_others() -> None:
    async with EmbeddedBroker(SECRET) as broker:
        config = TaskRunnerConfig(auth_token=SECRET, task_broker_uri=broker.uri)
        executors = {"thumbnail": FunctionExecutor(make_thumbnail, Thumbnail)}
        async with TaskRunner(config, executors=executors):
            python = broker.request(settings(), "python")
            request = broker.request(settings(image=PICTURE, width=2), "thumbnail")
            end = await asyncio.wait_for(request.end(), 10)
            assert end.how is TaskEnd.DONE
            assert json.loads(bytes(end.result or b"")) == {"image": [[15, 35]], "factor": 2}
            assert [json.loads(bytes(printed)) for printed in request.prints] == [["scaling down by", "2"]]
            assert python.task_id == "", "nobody has offered to run Python"
            broker.rules.cancel(python)
    assert broker.violations == []


async def test_what_is_wrong_with_a_request_is_its_error() -> None:
    async with EmbeddedBroker(SECRET) as broker:
        config = TaskRunnerConfig(auth_token=SECRET, task_broker_uri=broker.uri)
        async with TaskRunner(config, executors={"thumbnail": FunctionExecutor(make_thumbnail, Thumbnail)}):
            ragged = await ask(broker, image=[[1], [1, 2]])
            assert ragged.error == {
                "message": "This is no image",
                "description": "All its rows have to have the same length.",
            }
            missing = await ask(broker, width=2)
            assert (missing.error or {})["message"] == (
                "The settings of this task are not what make_thumbnail needs: Object missing required field `image`"
            )


@pytest.mark.skipif(sys.platform == "win32", reason="the service ends by SIGTERM")
async def test_the_service_runs_until_it_is_told_to_stop() -> None:
    async with EmbeddedBroker(SECRET) as broker:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            Path(__file__).with_name("thumbnails.py"),
            env={**os.environ, "N8N_RUNNERS_AUTH_TOKEN": SECRET, "N8N_RUNNERS_TASK_BROKER_URI": broker.uri},
        )
        end = await ask(broker, image=PICTURE, width=1)
        assert json.loads(bytes(end.result or b"")) == {"image": [[25]], "factor": 4}
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_one_task_without_a_broker() -> None:
    executor = FunctionExecutor(make_thumbnail, Thumbnail)
    shown: list[Raw] = []
    outcome = await executor.execute(TaskRequest("t1", settings(image=PICTURE, width=4), shown.append))
    assert json.loads(bytes(outcome.result)) == {"image": PICTURE, "factor": 1}
    assert len(shown) == 1
