"""What a model, reviewers and operators may come to do, played against one house. The oracle looks after every step."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.errors import CountersignError
from core.states import CaseStatus, Desired
from ledger.tables import ReviewRow
from tests.guarantee.props import AMOUNTS, ANY, CUSTOMERS, NAMES, REFUSALS, SCRIPTS
from tests.guarantee.stage import STAFF, Loop, Stage, empty_house
from tests.support.script import Turn
from tests.support.till import pay, usd, write

T = TypeVar("T")

EVENTS: Counter[str] = Counter()
"""How often each kind of thing happened, in all examples of this process."""


class People(RuleBasedStateMachine):
    guarded = True
    """Whether the database refuses by itself what was not let."""

    def __init__(self) -> None:
        super().__init__()
        self._scratch = ExitStack()
        folder = self._scratch.enter_context(empty_house(guarded=self.guarded))
        self._runner = self._scratch.enter_context(asyncio.Runner(loop_factory=Loop))
        self.stage = Stage(folder)
        self._sent: list[tuple[str, str, str, str, str]] = []
        """Decisions that were sent with a key: who, review, choice, what was seen, key."""
        self._do(self.stage.open())

    def teardown(self) -> None:
        try:
            self._do(self._last_look())
        finally:
            self._scratch.close()

    async def _last_look(self) -> None:
        try:
            self.stage.till.shop.faults = None
            await self.stage.steady()
            self.stage.oracle.check_again()
            report = await self.stage.till.check()
            known = {"ungated", "duplicated", "unrecorded"}
            assert not [each for each in report.findings if each.what in known], report.findings
            self._count()
        finally:
            await self.stage.close()

    def _count(self) -> None:
        rows, inspected = self.stage.oracle.rows, self.stage.oracle.inspected
        EVENTS.update(row["type"] for row in rows["audit"].values())
        EVENTS.update(f"judged at the {row['stage']}: {row['verdict']}" for row in rows["decision"].values())
        EVENTS.update({each: times for each, times in inspected.items() if each.startswith(("run:", "beyond"))})
        for row in rows.of("audit", type="effect.held"):
            for reason in ("the facts moved", "approval is missing", "further reasons", "no approval", "refused"):
                EVENTS[f"held: {reason}"] += reason in row["body"]

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @invariant()
    def nothing_happens_without_its_approval(self) -> None:
        EVENTS["step"] += 1
        self.stage.check()

    # what is there

    def _case(self, number: int) -> str:
        if not self.stage.cases:
            self._do(self.stage.submit([pay("100.00")]))
        return self.stage.cases[-1 - number % len(self.stage.cases)]

    def _waiting(self, number: int) -> ReviewRow:
        """An open question that has time left; a new one if there is none."""
        for amount in ("300.00", "60.00", ""):
            now = self.stage.clock.now()
            found = [row for row in self._do(self.stage.waiting()) if row.due_at > now]
            if found:
                return found[-1 - number % len(found)]
            self._do(self.stage.submit([pay(amount)] if amount else [write("people.ask", "Well?")]))
        return self._do(self.stage.waiting())[-1]

    def _eligible(self, review: ReviewRow, number: int) -> str:
        """Somebody who is asked and has not answered, if there is somebody."""
        asked = {str(each["role"]) for each in review.reviewers}
        voted = {vote.person for vote in self._do(self._votes(review.id))}
        found = [name for name, roles in sorted(self.stage.staff.items()) if roles & asked and name not in voted]
        return found[number % len(found)] if found else "ann"

    async def _votes(self, review: str) -> Any:
        return await self.stage.till.read(lambda ledger: ledger.reviews.votes(review))

    def _vote(self, name: str, review: str, choice: str = "approve", **more: Any) -> bool:
        try:
            decided = self._do(self.stage.vote(name, review, choice, **more))
        except CountersignError as no:
            kind = next((kind for words, kind in REFUSALS.items() if re.search(words, no.detail)), "")
            EVENTS[f"no vote: {kind or type(no).__name__}"] += 1
            return False
        EVENTS[f"vote: {choice}, {decided.status}"] += 1
        return True

    # the model

    @rule(script=SCRIPTS, customer=CUSTOMERS, opener=st.sampled_from(("ops", "ops", "sue", "ben")))
    def work(self, script: list[Turn], customer: str, opener: str) -> None:
        if len(self.stage.cases) < 12:
            self._do(self.stage.submit(*script, customer=customer, opener=opener))

    @rule(amount=st.sampled_from(AMOUNTS[4:9]), times=st.integers(2, 3), customer=CUSTOMERS, at_once=st.booleans())
    def insist(self, amount: str, times: int, customer: str, at_once: bool) -> None:
        """The same again and again: in one turn, or after each answer."""
        if len(self.stage.cases) < 12:
            script = [[pay(amount)] * times] if at_once else [[pay(amount)]] * times
            self._do(self.stage.submit(*script, customer=customer))

    @rule(pieces=st.lists(st.sampled_from(("40.00", "49.00", "60.00")), min_size=2, max_size=4))
    def split_over_cases(self, pieces: list[str]) -> None:
        """A large sum in small pieces, side by side."""

        async def together() -> None:
            for amount in pieces:
                await self.stage.submit([pay(amount)], wait=False)
            await self.stage.calm()

        if len(self.stage.cases) < 10:
            self._do(together())

    # reviewers

    @rule(review=ANY, who=ANY, twice=st.booleans())
    def approve(self, review: int, who: int, twice: bool) -> None:
        found = self._waiting(review)
        name = self._eligible(found, who)
        for _ in range(1 + twice):
            self._vote(name, found.id)

    @rule(review=ANY, hold=st.booleans())
    def approve_to_the_end(self, review: int, hold: bool) -> None:
        """By everybody who is asked; held, it is approved and has yet to run."""
        found = self._waiting(review)
        if hold:
            self._want(found.case_id, Desired.PAUSE)
        for who in range(len(self.stage.staff)):
            if found.id not in {row.id for row in self._do(self.stage.waiting())}:
                EVENTS["approved and held"] += hold
                return
            name = self._eligible(found, 0 if who < 3 else who)
            for _ in range(1 if who else 2):
                self._vote(name, found.id)

    @rule(name=NAMES, review=ANY, choice=st.sampled_from(("approve", "approve", "reject")), looked=st.booleans())
    def anybody_votes(self, name: str, review: int, choice: str, looked: bool) -> None:
        """Whether they are asked or not; or somebody who is asked, and has not looked."""
        found = self._waiting(review)
        if looked:
            self._vote(name, found.id, choice)
        else:
            self._vote(self._eligible(found, 0), found.id, choice, seen="0" * 64)

    @rule(review=ANY, who=ANY)
    def reject(self, review: int, who: int) -> None:
        found = self._waiting(review)
        self._vote(self._eligible(found, who), found.id, "reject")

    @rule(review=ANY, who=ANY, amount=st.sampled_from((*AMOUNTS, "901.00", "950.00", "1001.00")), again=st.booleans())
    def edit(self, review: int, who: int, amount: str, again: bool) -> None:
        """And, at times, the editor would like to approve what they wrote."""
        found = self._waiting(review)
        name = self._eligible(found, who)
        if self._vote(name, found.id, "edit", args={"account_id": "acc_1", "amount": usd(amount)}) and again:
            for following in self._do(self.stage.waiting(found.case_id)):
                self._vote(name, following.id)

    @rule(names=st.permutations(("ann", "ben", "cat", "dan", "sue")), amount=st.sampled_from(("250.00", "60.00")))
    def edit_what_is_half_approved(self, names: list[str], amount: str) -> None:
        case = self._do(self.stage.submit([pay("300.00")], customer="cus_4"))
        for n, name in enumerate(names):
            for review in self._do(self.stage.waiting(case)):
                args = {"account_id": "acc_1", "amount": usd(amount)} if n == 1 else None
                self._vote(name, review.id, "edit" if args else "approve", args=args)

    @rule(review=ANY, who=ANY, beyond_s=st.sampled_from((-1, 0, 1, 3600)), swept=st.sampled_from((False, False, True)))
    def vote_at_the_last_moment(self, review: int, who: int, beyond_s: int, swept: bool) -> None:
        found = self._waiting(review)
        left = found.due_at - self.stage.clock.now() + timedelta(seconds=beyond_s)
        self.stage.clock.advance(max(left, timedelta()))
        if swept:
            self._do(self.stage.later())
        self._vote(self._eligible(found, who), found.id)

    @rule(review=ANY, who=ANY, choice=st.sampled_from(("approve", "approve", "reject")), again=st.booleans())
    def send_with_a_key(self, review: int, who: int, choice: str, again: bool) -> None:
        found = self._waiting(review)
        name, key = self._eligible(found, who), f"key-{len(self._sent)}"
        seen = self._do(self.stage.till.seen(found.id))
        self._sent.append((name, found.id, choice, seen, key))
        self._vote(name, found.id, choice, seen=seen, key=key)
        if again:
            self.send_again(which=len(self._sent) - 1, by=None, turned=False)
            self.send_again(which=len(self._sent) - 1, by=None, turned=True)

    @rule(which=ANY, by=st.none() | NAMES, turned=st.booleans())
    def send_again(self, which: int, by: str | None, turned: bool) -> None:
        """The same request, or another under its key, by its sender or by somebody else."""
        if self._sent:
            name, review, choice, seen, key = self._sent[which % len(self._sent)]
            other = "reject" if choice == "approve" else "approve"
            if self._vote(by or name, review, other if turned else choice, seen=seen, key=key):
                EVENTS["sent again"] += 1

    @rule(review=ANY, who=ANY, name=NAMES)
    def claim(self, review: int, who: int, name: str) -> None:
        """Somebody holds it, and somebody else would like to vote."""
        found = self._waiting(review)
        with suppress(CountersignError):
            self._do(self.stage.till.house.desk.claim(self.stage.person(self._eligible(found, who)), found.id))
            EVENTS["claimed"] += 1
        self._vote(name, found.id)

    # the people's office

    @rule(name=NAMES, roles=st.sets(st.sampled_from(("clerk", "boss", "operator", "auditor")), max_size=2))
    def change_roles(self, name: str, roles: set[str]) -> None:
        EVENTS["role taken away" if self.stage.staff.get(name, frozenset()) - roles else "role given"] += 1
        self._do(self.stage.set_roles(name, *sorted(roles)))

    @rule(name=NAMES)
    def leave(self, name: str) -> None:
        EVENTS["somebody left"] += name in self.stage.staff
        self._do(self.stage.leave(name))

    @rule()
    def everybody_is_back(self) -> None:
        for name, roles in STAFF.items():
            if self.stage.staff.get(name) != roles:
                self._do(self.stage.set_roles(name, *roles))

    # operators

    def _want(self, case: str, desired: Desired) -> None:
        with suppress(CountersignError):
            self._do(self.stage.want(case, desired))
            EVENTS[f"wanted: {desired}"] += 1

    @rule(case=ANY, desired=st.sampled_from((*Desired, Desired.CANCEL)))
    def want(self, case: int, desired: Desired) -> None:
        self._want(self._case(case), desired)

    @rule()
    def let_all_go(self) -> None:
        for case in self.stage.cases:
            if self._do(self.stage.till.status(case)) is CaseStatus.PAUSED:
                self._want(case, Desired.RUN)
