"""SIGKILL in the middle of work, between an effect at the provider and its record: nothing lost, nothing twice.

`make storm` runs the same with 200 cases.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.storm import Storm

CASES, KILLS = 16, 3


def test_three_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    outcome = Storm(CASES, KILLS, seed=2, folder=tmp_path).run()

    assert outcome.kills == KILLS
    assert all(outcome.adrift), "a kill hit nothing, so it shows nothing"
    assert outcome.statuses == {"closed": CASES}
    assert outcome.check["findings"] == []
    assert outcome.check["exit"] == outcome.verify["exit"] == 0


def test_without_the_effects_ledger_one_kill_is_found_out(tmp_path: Path) -> None:
    outcome = Storm(4, 1, seed=2, strike_at="messages.send", ledger_on=False, folder=tmp_path).run()

    assert outcome.kills == 1
    assert outcome.found("duplicated") > 0
    assert outcome.check["exit"] == 1
