"""Customers write again at any moment, amid everything else: what was planned before their words does not run then."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from core.errors import CountersignError
from core.model_call import MODEL_CALL
from engine.superseding import WROTE, Words
from tests.guarantee.machine import EVENTS
from tests.guarantee.props import ANY
from tests.guarantee.test_stateful import SEED, STEPS
from tests.guarantee.world import Everybody
from tests.support.till import person

SETTINGS = settings(
    max_examples=2,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
_NUMBERS = count()


class Customers(Everybody):
    """They write, some of them twice, and some the same again."""

    @rule(case=ANY, again=st.booleans(), wait=st.booleans())
    def write(self, case: int, again: bool, wait: bool) -> None:
        key = "the same" if again else f"m{next(_NUMBERS)}"
        self._do(self._say(self._case(case), key, wait))

    def _vote(self, name: str, review: str, choice: str = "approve", **more: Any) -> bool:
        """Just before every third vote the customer writes, or just after it."""
        number = next(_NUMBERS)
        case = self._do(self.stage.till.read(lambda ledger: ledger.reviews.get(review).case_id))
        if number % 3 == 0:
            self._do(self._say(case, f"v{number}", wait=number % 2 == 0))
        voted = super()._vote(name, review, choice, **more)
        if number % 3 == 1:
            self._do(self._say(case, f"v{number}", wait=number % 2 == 0))
        return voted

    async def _say(self, case: str, key: str, wait: bool) -> None:
        try:
            taken = await self.stage.till.house.intake.say(person("ops"), case, Words(key=key, text="Wait, listen."))
        except CountersignError:
            return
        EVENTS[f"wrote, {'new' if taken.new else 'known or late'}"] += 1
        EVENTS["superseded by words"] += len(taken.superseded)
        if wait:
            await self.stage.calm()

    async def _last_look(self) -> None:
        entries = await self.stage.till.read(lambda ledger: ledger.audit.entries(limit=100_000))
        judged: dict[str, set[str]] = defaultdict(set)
        old: dict[str, set[str]] = defaultdict(set)
        for entry in sorted(entries, key=lambda each: each.seq):
            body = json.loads(entry.body)
            if entry.type == "action.judged":
                judged[entry.case_id].add(body["action"])
            elif entry.type == WROTE:
                old[entry.case_id] |= judged[entry.case_id]
            elif entry.type == "effect.started" and body["tool"] != MODEL_CALL:
                assert body["action"] not in old[entry.case_id], f"planned before the words: {body}"
                EVENTS["started"] += 1
        await super()._last_look()


def test_nothing_that_was_planned_before_a_customers_words_runs_after_them() -> None:
    EVENTS.clear()

    run_state_machine_as_test(seed(SEED)(Customers), settings=SETTINGS)

    for event in ("wrote, new", "superseded by words", "started"):
        assert EVENTS[event], event
