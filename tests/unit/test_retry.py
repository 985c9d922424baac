"""How long a runner waits before it tries to connect again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import TaskRunnerConfig
from runner.connection.retry import RETRY_DELAY, retry_delay


@given(st.integers())
def test_without_a_spread_it_is_five_seconds_whatever_chance_says(seed: int) -> None:
    assert retry_delay(0, random.Random(seed)) == RETRY_DELAY == 5.0


@given(st.floats(0, 1e9), st.integers())
def test_it_is_never_shorter_than_five_seconds_and_never_longer_than_the_spread_allows(
    spread: float, seed: int
) -> None:
    assert RETRY_DELAY <= retry_delay(spread, random.Random(seed)) <= RETRY_DELAY + spread


def test_with_a_spread_it_is_drawn_afresh_and_evenly() -> None:
    entropy = random.Random(1)
    delays = [retry_delay(10, entropy) for _ in range(10_000)]
    assert len(set(delays)) == len(delays)
    for second in range(10):
        share = sum(RETRY_DELAY + second <= delay < RETRY_DELAY + second + 1 for delay in delays) / len(delays)
        assert share == pytest.approx(0.1, abs=0.02)


def test_the_spread_is_a_setting_that_is_off_unless_it_is_set() -> None:
    assert TaskRunnerConfig(grant_token="x").retry_spread == 0
    environment = {"N8N_RUNNERS_GRANT_TOKEN": "x", "N8N_RUNNERS_RETRY_SPREAD": "12.5"}
    assert TaskRunnerConfig.from_env(environment).retry_spread == 12.5
