"""Metrics in the format of Prometheus, as its own client writes it. Imported only where somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from runner.observe.history import Histogram
from runner.observe.metrics import PREFIX, Kind, Metric, Reading, Values


class _Readings(Collector):
    """What was read, for the client to write down."""

    def __init__(self, readings: Sequence[tuple[Metric, Reading]]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Family]:
        for metric, reading in self._readings:
            yield _of_histogram(metric, reading) if isinstance(reading, Histogram) else _of_values(metric, reading)


def _of_values(metric: Metric, values: Values) -> Family:
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(PREFIX + metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _of_histogram(metric: Metric, histogram: Histogram) -> Family:
    family = HistogramMetricFamily(PREFIX + metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    bounds = [*(repr(float(bound)) for bound in histogram.bounds), "+Inf"]
    family.add_metric((), list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total)
    return family


def written(readings: Sequence[tuple[Metric, Reading]], accept: str) -> tuple[bytes, str]:
    """The readings in the format that the header `Accept` asks for, with its content type."""
    registry = CollectorRegistry()
    registry.register(_Readings(readings))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type
