"""Error reports and spans, taken by servers of the test, and what happens where their packages are missing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from msgspec import Raw
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from runner import TaskFailed, TaskRequest, TaskRunner
from runner.broker import EmbeddedBroker
from runner.observe.error_reports import ErrorReports
from runner.observe.spans import TaskSpans
from tests.cli.test_commands import start_command
from tests.observe.collectors import Collector
from tests.support import AUTH_TOKEN, ROOT, config_for, eventually, run_code

NOWHERE = "http://127.0.0.1:9"


class Buggy:
    """An executor with a bug, whose text quotes the task; other tasks fail as tasks do."""

    async def start(self) -> None:
        pass

    async def execute(self, request: TaskRequest) -> Raw:
        if b"fail properly" in bytes(request.settings):
            raise TaskFailed("mArKeR-of-the-user")
        secret = "mArKeR-in-a-variable"
        raise ValueError(f"mArKeR-in-the-text {secret[:0]}") from KeyError("mArKeR-in-the-cause")

    async def close(self) -> None:
        pass


def report_in(body: bytes) -> dict[str, Any]:
    """The event in an envelope of Sentry."""
    lines = body.split(b"\n")
    event: dict[str, Any] = json.loads(lines[2])
    return event


async def test_a_bug_is_reported_with_its_place_and_its_task_and_no_data(broker: EmbeddedBroker) -> None:
    async with Collector() as sentry:
        config = config_for(
            broker,
            sentry_dsn=f"http://key@127.0.0.1:{sentry.port}/7",
            n8n_version="2.41.1",
            environment="production",
            deployment_name="eu-1",
        )
        async with ErrorReports(config), TaskRunner(config, executor=Buggy()):
            await run_code(broker, "# mArKeR-in-the-code", items=[{"json": {"n": "mArKeR-in-an-item"}}])
            await run_code(broker, "# fail properly: mArKeR-in-the-code")
        (delivery,) = sentry.deliveries
    assert delivery.path == "/api/7/envelope/"
    event = report_in(delivery.body)
    assert event["logentry"]["message"] == "The executor failed on task %s, which is a bug"
    assert [value["type"] for value in event["exception"]["values"]] == ["KeyError", "ValueError"]
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "execute"
    assert (event["environment"], event["server_name"]) == ("production", "eu-1")
    assert event["release"].startswith("n8n-runner@")
    tags = event["tags"]
    assert (tags["n8n_version"], tags["node_id"], tags["workflow_id"]) == ("2.41.1", "a2", "w1")
    assert len(tags["task_id"]) == 8
    assert b"mArKeR" not in delivery.body
    assert AUTH_TOKEN.encode() not in delivery.body


async def test_the_code_of_users_is_never_reported(broker: EmbeddedBroker) -> None:
    async with Collector() as sentry:
        config = config_for(broker, sentry_dsn=f"http://key@127.0.0.1:{sentry.port}/7", task_timeout=1)
        async with ErrorReports(config), TaskRunner(config):
            for code in ("1/0", "import os", "x = (", "raise SystemExit(3)", "import time\ntime.sleep(60)"):
                await run_code(broker, code)
        assert sentry.deliveries == []


async def test_a_project_that_does_not_answer_does_not_hold_up_the_end(broker: EmbeddedBroker) -> None:
    config = config_for(broker, sentry_dsn="http://key@127.0.0.1:9/7")
    began = time.monotonic()
    async with ErrorReports(config), TaskRunner(config, executor=Buggy()):
        await run_code(broker, "return {}")
    assert time.monotonic() - began < 10


async def test_start_takes_a_dsn_that_cannot_be_used_for_a_warning(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, N8N_SENTRY_DSN="nonsense")
    await run_code(broker, "return {}")
    process.terminate()
    output, errors = process.communicate()
    assert "N8N_SENTRY_DSN cannot be used" in output
    assert "nonsense" not in output + errors


# Spans


async def test_a_task_is_a_span_with_its_ids_and_its_outcome(broker: EmbeddedBroker) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    runner = TaskRunner(config_for(broker))
    runner.observe(TaskSpans(provider))
    began = time.time_ns()
    async with runner:
        await run_code(broker, "import time\ntime.sleep(0.2)\nreturn {}")
        await run_code(broker, "raise ValueError('mArKeR')")
        await eventually(lambda: len(kept.get_finished_spans()) == 2)
    done, failed = kept.get_finished_spans()
    assert done.name == failed.name == "task"
    attributes = dict(done.attributes or {})
    assert len(str(attributes.pop("n8n.task.id"))) == 8
    assert isinstance(attributes.pop("n8n.task.settings_bytes"), int)
    assert attributes == {
        "n8n.node.id": "a2",
        "n8n.node.name": "Code",
        "n8n.workflow.id": "w1",
        "n8n.workflow.name": "A workflow",
        "n8n.task.outcome": "done",
        "n8n.task.result_bytes": len('[{"json":{}}]'),
    }
    assert done.start_time is not None
    assert done.end_time is not None
    assert began - 10**9 < done.start_time < done.end_time - 2 * 10**8
    assert [event.name for event in done.events] == ["started"]
    assert done.status.status_code is StatusCode.UNSET
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "failed")
    assert "mArKeR" not in failed.to_json()
    provider.shutdown()


async def test_start_sends_its_spans_to_the_collector_all_of_them_by_its_end(broker: EmbeddedBroker) -> None:
    async with Collector() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/"
        process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        await run_code(broker, "return {}", nodeName="A node of its own")
        process.terminate()
        await eventually(lambda: process.poll() is not None)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    (delivery,) = collector.deliveries
    assert delivery.path == "/v1/traces"
    assert b"A node of its own" in delivery.body
    assert b"n8n-runner" in delivery.body


async def test_a_collector_that_is_not_there_does_not_hold_up_the_end(broker: EmbeddedBroker) -> None:
    process = start_command(broker, N8N_RUNNERS_AUTH_TOKEN=AUTH_TOKEN, OTEL_EXPORTER_OTLP_ENDPOINT=NOWHERE)
    await run_code(broker, "return {}")
    process.terminate()
    began = time.monotonic()
    await eventually(lambda: process.poll() is not None)
    assert time.monotonic() - began < 8
    process.communicate()
    assert process.returncode == 0


# Without them


@pytest.mark.parametrize(
    ("package", "variable", "extra"),
    [
        ("sentry_sdk", "N8N_SENTRY_DSN", "sentry"),
        ("opentelemetry", "OTEL_EXPORTER_OTLP_ENDPOINT", "otel"),
    ],
)
async def test_a_missing_package_is_a_warning_that_says_what_to_install(
    broker: EmbeddedBroker, package: str, variable: str, extra: str
) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from runner.cli import main; sys.exit(main(['start']))"
    environment = {
        "PYTHONPATH": str(ROOT),
        "N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN,
        "N8N_RUNNERS_TASK_BROKER_URI": broker.uri,
        variable: "http://key@127.0.0.1:9/1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = await run_code(broker, "return {}")
    process.terminate()
    output, errors = process.communicate()
    assert (end.error, process.returncode, errors) == (None, 0, "")
    (warning,) = [line for line in output.splitlines() if variable in line]
    assert "\tWARNING\t" in warning
    assert f"pip install 'n8n-runner[{extra}]'" in warning
