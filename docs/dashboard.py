"""The Grafana dashboard: a panel for each metric, in the order of their table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from runner.observe.metrics import METRICS, Kind, Metric, Section

SELECTOR = '{job=~"$job", instance=~"$instance"}'
COLUMNS = 3
WIDTH, HEIGHT = 24 // COLUMNS, 8
UNITS = {"seconds": "s", "bytes": "bytes", "": "short"}
QUANTILES = {"half of them": 0.5, "90 of 100": 0.9, "99 of 100": 0.99}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def queries(metric: Metric) -> Iterator[tuple[str, str]]:
    """The queries of a panel, each with the legend of its lines."""
    name = metric.full_name
    by = f" by ({', '.join(metric.labels)})" if metric.labels else ""
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or metric.title
    if metric.kind is Kind.HISTOGRAM:
        for words, part in QUANTILES.items():
            rate = f"sum by (le) (rate({name}_bucket{SELECTOR}[$__rate_interval]))"
            yield f"histogram_quantile({part}, {rate})", words
    elif metric.kind is Kind.COUNTER:
        yield f"sum{by} (rate({name}{SELECTOR}[$__rate_interval]))", legend
    else:
        yield f"{name}{SELECTOR}", f"{legend} {{{{instance}}}}"


def panel(metric: Metric, number: int, place: tuple[int, int]) -> dict[str, Any]:
    """The panel of a metric."""
    is_rate = metric.kind is Kind.COUNTER
    unit = {"bytes": "Bps", "seconds": "percentunit", "": "cps"}[metric.unit] if is_rate else UNITS[metric.unit]
    return {
        "id": number,
        "type": "timeseries",
        "title": metric.title,
        "description": metric.help,
        "datasource": DATASOURCE,
        "gridPos": {"x": place[0], "y": place[1], "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(queries(metric))
        ],
    }


def panels() -> Iterator[dict[str, Any]]:
    """A row for each section, with the panels of its metrics below."""
    number, y = 1, 0
    for section in Section:
        yield {
            "id": number,
            "type": "row",
            "title": section.value,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            "panels": [],
        }
        number, y = number + 1, y + 1
        metrics = [metric for metric in METRICS if metric.section is section]
        for index, metric in enumerate(metrics):
            yield panel(metric, number, (index % COLUMNS * WIDTH, y + index // COLUMNS * HEIGHT))
            number += 1
        y += (len(metrics) + COLUMNS - 1) // COLUMNS * HEIGHT


def variable(name: str, title: str, query: str) -> dict[str, Any]:
    """A choice at the top of the dashboard."""
    return {
        "type": "query",
        "name": name,
        "label": title,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "includeAll": True,
        "multi": True,
        "refresh": 2,
        "sort": 1,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> str:
    """The dashboard as Grafana imports it."""
    datasource = {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"}
    document = {
        "title": "n8n-runner",
        "uid": "n8n-runner",
        "description": "Made by docs/generate.py from the table of metrics.",
        "tags": ["n8n"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                datasource,
                variable("job", "Job", "label_values(n8n_runner_info, job)"),
                variable("instance", "Runner", 'label_values(n8n_runner_info{job=~"$job"}, instance)'),
            ]
        },
        "panels": list(panels()),
    }
    return json.dumps(document, indent=2) + "\n"
