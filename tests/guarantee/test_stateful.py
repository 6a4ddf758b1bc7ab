"""Whatever a model, people, a provider, the clock, a policy's owner and deaths do together: the guarantee holds.

The same is drawn each time. COUNTERSIGN_SEED draws something else, COUNTERSIGN_EXAMPLES more or less of it: from
200 on, everything that can happen has to have happened.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.guarantee.machine import EVENTS
from tests.guarantee.world import Everybody

SHARDS = 4
SEED = int(os.environ.get("COUNTERSIGN_SEED", "20261122"))
EXAMPLES = int(os.environ.get("COUNTERSIGN_EXAMPLES", "100"))
STEPS = 40
SETTINGS = settings(
    max_examples=EXAMPLES // SHARDS,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
HAPPENS = """
    approved and held | held: approval is missing | held: the facts moved | held: further reasons
    judged at the gate: allow | judged at the gate: review | judged at the gate: deny | judged at the edit: review
    judged at the execute: allow | judged at the execute: review | judged at the execute: deny
    run: allow | run: review | beyond the day's cap | held: no approval
    vote: approve, open | vote: approve, approved | vote: reject, rejected | vote: edit, open | sent again
    no vote: its proposer | no vote: nobody here | no vote: the case's opener | no vote: the wrong role
    no vote: held by another | no vote: the second vote | no vote: looked at something else | no vote: late
    no vote: decided already | no vote: a key of another decision | no vote: an edit that policy forbids
    review.expired | review.edited | review.superseded | review.escalated
    effect.done | effect.failed | effect.unknown | effect.reconciled | effect.denied | case.cancelled
    role taken away | somebody left | balance moved | forged | policy changed under way
    worker died | killed at work | killed in the middle | power lost
"""
"""What the shards have to come by between them, or they have shown nothing of it."""


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this test run, for all who work on it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "guarantee"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_gated_happens_without_its_approval(shard: int, shared: Path) -> None:
    """Every other shard without the database's own guard: the program alone has to do."""
    EVENTS.clear()
    print(f"seed {SEED + shard}")

    machine = type("Shard", (Everybody,), {"guarded": shard % 2 == 0})
    run_state_machine_as_test(seed(SEED + shard)(machine), settings=SETTINGS)

    (shared / f"{shard}.new").write_text(json.dumps(EVENTS))
    (shared / f"{shard}.new").rename(shared / f"{shard}.json")
    done = list(shared.glob("*.json"))
    if len(done) == SHARDS and EXAMPLES >= 200:  # the last one counts for all, of so many that each must have come by
        counted = sum((Counter(json.loads(each.read_text())) for each in done), Counter[str]())
        for event, times in sorted(counted.items()):
            print(f"{times:7,}  {event}")
        expected = {event.strip() for line in HAPPENS.strip().splitlines() for event in line.split("|")}
        assert {event for event in expected if not counted[event]} == set()
