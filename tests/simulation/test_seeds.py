"""Hundreds of seeds, and what they have seen: no rule is broken, and everything that can be injected was injected."""

from __future__ import annotations

import pytest

from tests.simulation.__main__ import main
from tests.simulation.run import simulate
from tests.simulation.summary import Summary

SEEDS = 500
HOURS = 0.12
"""The length of each run. What goes wrong mostly does so in minutes, and a test has no more."""


def test_hundreds_of_seeds_break_no_rule_and_see_everything() -> None:
    summary = Summary()
    for seed in range(SEEDS):
        report = simulate(seed, HOURS)
        assert report.broken is None, f"{report.broken}\nmake simulate SEED={seed} HOURS={HOURS}"
        summary.add(report)
    assert summary.missing() == []


def test_a_long_run_breaks_no_rule() -> None:
    report = simulate(2024, 20)
    assert report.broken is None, f"{report.broken}\nmake simulate SEED=2024 HOURS=20"
    assert report.seconds >= 20 * 3600


def test_the_command_shows_what_was_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3", "--hours", "0.1"]) == 0
    shown = capsys.readouterr().out
    assert "states reached" in shown
    assert "1 seeds, 0.1 simulated hours" in shown
