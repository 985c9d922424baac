"""A tiny task costs no more than when the baseline was written: pages, messages, and modules to be imported."""

from __future__ import annotations

import pytest

from tests.bench import budget, check
from tests.bench.budget import BUDGETS, Budget

STEADY = [each for each in BUDGETS if each.is_steady]


@pytest.mark.needs("proc")
async def test_a_tiny_task_costs_no_more_than_it_did() -> None:
    before = check.baseline()
    if not before:
        pytest.skip(f"tests/bench/baseline.json knows nothing of Python {check.VERSION}")
    now = await budget.steady()
    assert {each.name for each in STEADY} == now.keys()
    assert now["messages"] == 2, "runner:taskaccepted and runner:taskdone"
    table, lost = check.compared(before, now)
    print(table)
    assert lost == []


def test_what_is_more_than_noise_is_lost_and_what_is_less_is_not() -> None:
    each = Budget("faults", "page faults", noise=0.05, slack=1.0)
    was = 100.0
    assert not each.is_lost(was, 105.9)
    assert each.is_lost(was, 106.1)
    assert not each.is_won(was, 94.1)
    assert each.is_won(was, 93.9)


def test_a_loss_is_said_in_words_and_what_is_new_is_no_loss() -> None:
    before = {each.name: 10.0 for each in BUDGETS if each.name != "messages"}
    before["faults-runner"] = 0.0
    table, lost = check.compared(before, {**dict.fromkeys(before, 10.0), "messages": 3.0, "faults-worker": 12.0})
    assert lost == ["page faults of the worker, a tiny task: 12, and it was 10"]
    assert "not in the baseline" in table
    assert "LOST" in table
