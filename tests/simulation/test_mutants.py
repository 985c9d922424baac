"""The simulation finds bugs: each of these is found by one of the first seeds, by a rule that names it."""

from __future__ import annotations

import pytest

from statemachine.testing import CONNECTION_RULES
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.rules import SIMULATION_RULES
from tests.simulation.run import simulate

SEEDS = 1000
HOURS = 0.12


@pytest.mark.timeout(300)  # the rarest takes some ten seconds of a free processor
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: str(mutant.name))
def test_a_mutant_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.apply(monkeypatch)
    found = next((broken for seed in range(SEEDS) if (broken := simulate(seed, HOURS).broken) is not None), None)
    assert found is not None, "no seed broke a rule"
    assert found.rule in mutant.rules, str(found)


def test_there_are_mutants_for_a_good_part_of_the_rules() -> None:
    named = {rule for mutant in MUTANTS for rule in mutant.rules}
    rules = {rule.name for rule in SIMULATION_RULES} | {rule.name for rule in CONNECTION_RULES}
    assert named - rules <= {"start_ends_as_documented"}
    assert {rule.name for rule in SIMULATION_RULES} - named <= {"nothing_crashes", "no_violations"}
