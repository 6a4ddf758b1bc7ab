"""Whatever a model, people, a provider, the clock, a policy's owner and deaths do together: the guarantee holds.

The same seeds are drawn each time; COUNTERSIGN_SEED draws others, and COUNTERSIGN_EXAMPLES more of them.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.guarantee.machine import EVENTS
from tests.guarantee.world import Everybody

SHARDS = 4
SEED = int(os.environ.get("COUNTERSIGN_SEED", "20261122"))
EXAMPLES = int(os.environ.get("COUNTERSIGN_EXAMPLES", "200")) // SHARDS
STEPS = 40


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_gated_happens_without_its_approval(shard: int) -> None:
    EVENTS.clear()
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    print(f"seed {SEED + shard}")
    run_state_machine_as_test(seed(SEED + shard)(type("Shard", (Everybody,), {})), settings=chosen)
    print_table(EVENTS)


def print_table(events: Counter[str]) -> None:
    for event, times in sorted(events.items()):
        print(f"{times:7,}  {event}")
