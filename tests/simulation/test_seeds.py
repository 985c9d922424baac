"""Hundreds of seeds, and what they have seen: no rule is broken, and everything that can be injected was injected."""

from __future__ import annotations

import pytest

from tests.simulation.__main__ import main
from tests.simulation.mutants import MUTANTS
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


def test_the_command_runs_fresh_seeds_in_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--hours", "0.5", "--each", "0.02", "--jobs", "2"]) == 0
    shown = capsys.readouterr().out
    assert "40 seeds, " in shown
    assert "simulated hours a minute" in shown


def test_the_command_tells_how_to_see_a_broken_rule_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    next(mutant for mutant in MUTANTS if mutant.name == "offers_kept_over_a_connection").apply(monkeypatch)
    seed = next(seed for seed in range(SEEDS) if simulate(seed, HOURS).broken is not None)
    assert main(["--seed", str(seed), "--hours", str(HOURS)]) == 1
    shown = capsys.readouterr().out
    assert "rule       offers_" in shown
    assert "shutting_down -> disconnected (taken)" in shown
