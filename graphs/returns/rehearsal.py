"""What the demo plays: a generated shop, the letters of its customers, and the people of its returns desk."""

from __future__ import annotations

from datetime import datetime

from core.errors import InvalidInput
from graphs.kind import Rehearsal

PEOPLE = {
    "rita": frozenset({"returns_reviewer"}),
    "sam": frozenset({"returns_reviewer"}),
    "fin1": frozenset({"finance_controller"}),
    "fin2": frozenset({"finance_controller"}),
    "ops": frozenset({"operator"}),
}
_LEAST_ORDERS, _ORDERS_A_CASE = 1_000, 5


def rehearse(seed: int, cases: int, now: datetime) -> Rehearsal:
    """The same seed, number and moment give the same world."""
    from tools.returns.simulated.world import generate  # a server has no need of it

    orders = max(_LEAST_ORDERS, _ORDERS_A_CASE * cases)
    while True:
        world = generate(seed, orders, now)
        try:
            submissions = world.submissions(cases)
        except InvalidInput:  # by bad luck it has too few orders of a rare kind
            orders *= 2
            continue
        requests = [(each.key, each.model_dump(mode="json")) for each in submissions]
        return Rehearsal(world.records, requests, PEOPLE)
