"""A span of OpenTelemetry for each task. Imported only where they are asked for, and its SDK is installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace import TracerProvider as AnyTracerProvider

import runner
from runner.clock import Clock, SystemClock
from runner.observe.events import TaskFinished
from runner.observe.observers import Observer, TaskOutcome

NANOSECONDS = 1_000_000_000

PATIENCE = 1.0
"""How long a collector may take to answer, in seconds: the end of the runner waits for the last answer."""

MOST = 2048
"""How many spans are sent at a time, and kept while they cannot be sent."""


class TaskSpans(Observer):
    """Makes a span of each task that has ended: from its accept to its end, with its ids and its outcome."""

    def __init__(self, provider: AnyTracerProvider, clock: Clock | None = None) -> None:
        """Spans that go where `provider` sends them."""
        self._tracer = provider.get_tracer("n8n-runner", runner.__version__)
        self._clock = clock or SystemClock()

    def on_task_finished(self, task: TaskFinished) -> None:
        """Make its span."""
        end = self._clock.wall()
        started = end - task.duration
        span = self._tracer.start_span(
            "task",
            kind=SpanKind.CONSUMER,
            start_time=_in_nanoseconds(started - task.waited),
            attributes={
                "n8n.task.id": task.task.task_id,
                "n8n.node.id": task.task.node_id,
                "n8n.node.name": task.task.node_name,
                "n8n.workflow.id": task.task.workflow_id,
                "n8n.workflow.name": task.task.workflow_name,
                "n8n.task.outcome": task.outcome.value,
                "n8n.task.settings_bytes": task.settings_bytes,
                "n8n.task.result_bytes": task.result_bytes,
            },
        )
        if task.duration:
            span.add_event("started", timestamp=_in_nanoseconds(started))
        if task.outcome is not TaskOutcome.DONE:
            span.set_status(Status(StatusCode.ERROR, task.outcome.value))
        span.end(_in_nanoseconds(end))


def _in_nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


@asynccontextmanager
async def exporting_to(endpoint: str, runner_id: str) -> AsyncIterator[TaskSpans]:
    """Spans that are sent to a collector in the background, all of them by the end."""
    resource = Resource.create(
        {"service.name": "n8n-runner", "service.version": runner.__version__, "service.instance.id": runner_id}
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=PATIENCE)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST, max_export_batch_size=MOST))
    try:
        yield TaskSpans(provider)
    finally:
        await asyncio.to_thread(provider.shutdown)
