"""The Grafana dashboard: every metric has its panel, and no panel lies on another."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

from runner.observe.metrics import METRICS, Kind, Section
from tests.support import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "deploy" / "grafana.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]


def test_every_metric_has_a_panel_that_asks_for_it() -> None:
    graphs = [panel for panel in PANELS if panel["type"] == "timeseries"]
    assert sorted(panel["title"] for panel in graphs) == sorted(metric.title for metric in METRICS)
    for metric in METRICS:
        (panel,) = [panel for panel in graphs if panel["title"] == metric.title]
        assert panel["description"] == metric.help
        for target in panel["targets"]:
            assert metric.full_name in target["expr"]
            assert target["expr"].count("(") == target["expr"].count(")")
            assert ("histogram_quantile" in target["expr"]) is (metric.kind is Kind.HISTOGRAM)
            assert ("rate(" in target["expr"]) is (metric.kind is not Kind.GAUGE)


def test_there_is_a_row_for_each_section() -> None:
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == [section.value for section in Section]


def test_panels_have_ids_of_their_own_and_lie_side_by_side() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_below
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


def test_it_asks_for_nothing_that_is_not_chosen_at_its_top() -> None:
    chosen = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert chosen == {"datasource", "job", "instance"}
    assert "__inputs" not in DASHBOARD
