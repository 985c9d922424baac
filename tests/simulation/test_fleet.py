"""A small fleet whose broker restarts: in step, runners are sent away in step; spread out, they are not."""

from __future__ import annotations

from tests.simulation.fleet import Fleet


def test_a_fleet_in_step_comes_back_five_at_a_time() -> None:
    fleet = Fleet(50, spread=0).come_back()
    assert 40 < fleet.everybody < 60
    assert fleet.attempts > 5


def test_a_fleet_that_spreads_its_attempts_is_back_sooner() -> None:
    in_step, spread = Fleet(50, spread=0).come_back(), Fleet(50, spread=30).come_back()
    assert spread.most < in_step.most
    assert spread.attempts < 2
