"""The guarantee's stories pass on the house as it is, and each house that is broken in one place fails one of them."""

from __future__ import annotations

import pytest

from tests.guarantee.attacks import ATTACKS, attacked
from tests.support.mutants import MUTANTS, Mutant, survived


@pytest.mark.parametrize("guarded", [False, True], ids=["trigger off", "trigger on"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_house_withstands_it(attack: str, guarded: bool) -> None:
    assert attacked(ATTACKS[attack], guarded=guarded) == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_house_is_found_out_with_the_trigger_off(mutant: Mutant) -> None:
    assert survived(mutant, guarded=False) == []


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.stopped], ids=lambda mutant: mutant.name)
def test_a_broken_house_is_stopped_by_its_database(mutant: Mutant) -> None:
    """All that is different from the test above is the trigger."""
    assert survived(mutant, guarded=True) == list(mutant.dies_of)


def test_each_story_is_the_death_of_a_mutant() -> None:
    assert {name for mutant in MUTANTS for name in mutant.dies_of} == set(ATTACKS)
