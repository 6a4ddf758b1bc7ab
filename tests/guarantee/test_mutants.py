"""The guarantee's stories pass on the house as it is, and each house that is broken in one place fails one of them."""

from __future__ import annotations

import pytest

from tests.guarantee.attacks import ATTACKS
from tests.support.mutants import GUARDS, MUTANTS, Mutant, attacked, killers

guarded = pytest.mark.skipif(not GUARDS, reason="the database has no guards of its own yet")


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_house_withstands_it(attack: str) -> None:
    assert attacked(ATTACKS[attack], guarded=False) == ""


@guarded
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_house_withstands_it_with_its_guards(attack: str) -> None:
    assert attacked(ATTACKS[attack], guarded=True) == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_house_is_found_out_with_the_trigger_off(mutant: Mutant) -> None:
    assert any(attacked(story, mutant, guarded=False) for story in ATTACKS.values())


@guarded
@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.stopped], ids=lambda mutant: mutant.name)
def test_a_broken_house_is_stopped_by_its_database(mutant: Mutant) -> None:
    """All that is different from the test above is the trigger."""
    assert killers(mutant, guarded=True) == []
