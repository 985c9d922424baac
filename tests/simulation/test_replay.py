"""A seed replays exactly: every message, every state and every moment, in this process and in any other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.run import simulate
from tests.support import ROOT

SEEDS = (7, 21, 63)
HOURS = 0.3


def test_a_seed_tells_the_same_story_twice() -> None:
    for seed in SEEDS:
        first, second = simulate(seed, HOURS, keep=None), simulate(seed, HOURS, keep=None)
        assert list(first.story) == list(second.story)
        assert first.story.digest() == second.story.digest()
        assert len(list(first.story)) > 200
        assert (first.states, first.ends, first.counters) == (second.states, second.ends, second.counters)


def test_other_seeds_tell_other_stories() -> None:
    assert len({simulate(seed, HOURS, keep=None).story.digest() for seed in SEEDS}) == len(SEEDS)


def test_how_much_of_the_story_is_kept_changes_nothing() -> None:
    whole, nothing = simulate(7, HOURS, keep=None), simulate(7, HOURS, keep=0)
    assert (whole.states, whole.counters, whole.seconds) == (nothing.states, nothing.counters, nothing.seconds)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_order_of_sets_in_another_process_changes_nothing(hash_seed: str) -> None:
    script = (
        "from tests.simulation.run import simulate\n"
        f"print(*[simulate(seed, {HOURS}, keep=None).story.digest() for seed in {SEEDS}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.split() == [simulate(seed, HOURS, keep=None).story.digest() for seed in SEEDS]
