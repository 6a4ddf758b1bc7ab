"""What the world may come to do: time, a provider, a policy's owner, forgers, and workers and machines that die."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from core.errors import CountersignError
from ledger.database import Ledger
from tests.guarantee.machine import EVENTS, People
from tests.guarantee.props import AMOUNTS, ANY, CALLS, CUSTOMERS, FAULTS, NAMES, POINTS, POLICIES, SCRIPTS
from tests.support.script import Turn
from tests.support.till import pay
from tools.fulfillment.faults import Fault, Faults, PlannedFault


class Everybody(People):
    """All of them at once."""

    # time

    @rule(seconds=st.sampled_from((1, 60, 301, 3600, 4 * 3600, 25 * 3600)), swept=st.booleans())
    def time_passes(self, seconds: int, swept: bool) -> None:
        if swept:
            self._do(self.stage.later(seconds=seconds))
        else:
            self.stage.clock.advance(timedelta(seconds=seconds))

    @rule()
    def sweep(self) -> None:
        self._do(self.stage.steady())

    # the provider

    @rule(account=st.sampled_from(("acc_1", "acc_2")), amount=st.sampled_from(("0.00", "55.00", "500.00", "1000.00")))
    def balance_moves(self, account: str, amount: str) -> None:
        EVENTS["balance moved"] += 1
        self._do(self.stage.set_balance(account, amount))

    @rule(faults=st.lists(st.sampled_from(FAULTS), max_size=2), deaf=st.booleans())
    def provider_fails(self, faults: list[tuple[str, Fault, int]], deaf: bool) -> None:
        """Deaf: it can't even be asked what it did."""
        planned = [PlannedFault(operation=name, fault=fault, times=times) for name, fault, times in faults]
        planned += [PlannedFault(operation="find", fault=Fault.ERROR, times=1000)] if deaf else []
        self.stage.till.shop.faults = Faults.script(planned)

    @rule(
        amount=st.sampled_from(("10.00", "49.00")),
        customer=CUSTOMERS,
        fault=st.sampled_from((Fault.TIMEOUT_AFTER, Fault.TIMEOUT_BEFORE, Fault.ERROR)),
        answer=st.sampled_from(("", "approve", "reject")),
    )
    def provider_is_gone(self, amount: str, customer: str, fault: Fault, answer: str) -> None:
        """Nothing happened, or nobody can tell what did; an operator says so, rightly or not."""
        lost = PlannedFault(operation="gift.pay", fault=fault, times=4 if fault is Fault.ERROR else 1)
        deaf = PlannedFault(operation="find", fault=Fault.ERROR, times=1000)
        self.stage.till.shop.faults = Faults.script([lost, deaf])
        case = self._do(self.stage.submit([pay(amount)], [pay(amount, "acc_2")], customer=customer))
        for found in self._do(self.stage.waiting(case)) if answer else ():
            self._vote("ops", found.id, answer)

    # policy

    @rule(change=st.sampled_from(sorted(POLICIES)))
    def policy_changes(self, change: str) -> None:
        for old, new in POLICIES[change]:
            if (new not in self.stage.text or not new) and self.stage.change_policy(old, new):
                EVENTS[f"policy: {change}"] += 1
                return

    @rule(amount=st.sampled_from(("60.00", "300.00")), names=st.lists(NAMES, max_size=4), early=st.booleans())
    def others_take_over_from_the_late(self, amount: str, names: list[str], early: bool) -> None:
        """Clerks have four hours, then it is for two bosses; who voted before may sit for one of them."""
        self.policy_changes(change="late clerks are followed")
        case = self._do(self.stage.submit([pay(amount)]))
        if early:
            self._do(self.stage.attempt("cat", case))
        self._do(self.stage.later(hours=4, minutes=1))
        for name in names:
            for review in self._do(self.stage.waiting(case)):
                self._vote(name, review.id)

    # between the approval and the run

    @rule(change=st.sampled_from(sorted(POLICIES)), review=ANY)
    def policy_changes_for_the_approved(self, change: str, review: int) -> None:
        self.approve_to_the_end(review=review, hold=True)
        self.policy_changes(change=change)
        self.let_all_go()

    @rule(review=ANY, who=ANY, left=st.booleans())
    def somebody_who_approved_is_no_reviewer_any_more(self, review: int, who: int, left: bool) -> None:
        found = self._waiting(review)
        self.approve_to_the_end(review=review, hold=True)
        if votes := self._do(self._votes(found.id)):
            name = votes[who % len(votes)].person
            if left:
                self.leave(name=name)
            else:
                self.change_roles(name=name, roles=set())
        self.let_all_go()
        self.everybody_is_back()

    @rule(review=ANY, amount=st.sampled_from(("55.00", "500.00")))
    def facts_move_for_the_approved(self, review: int, amount: str) -> None:
        self.approve_to_the_end(review=review, hold=True)
        self.balance_moves(account="acc_1", amount=amount)
        self.let_all_go()

    @rule(review=ANY)
    def the_day_is_spent_before_the_approved_runs(self, review: int) -> None:
        """What came up since was no reason when it was approved."""
        self.approve_to_the_end(review=review, hold=True)
        case = self.stage.cases[-1]
        customer = self._do(self.stage.till.case(case)).subject
        self._do(self.stage.submit(*[[pay("50.00", "acc_2")]] * 8, customer=customer))
        self.let_all_go()

    @rule(
        amount=st.sampled_from(AMOUNTS[1:5]),
        change=st.sampled_from(("stricter: auto", "a book that denies", "stricter: day")),
    )
    def policy_changes_under_way(self, amount: str, change: str) -> None:
        """Between the gate, which allowed it, and the run."""

        async def meanwhile() -> None:
            slow = PlannedFault(operation="account.read", fault=Fault.SLOW, seconds=2, times=2)
            self.stage.till.shop.faults = Faults.script([slow])
            case = await self.stage.submit([pay(amount)], customer="cus_3", wait=False)
            await self.stage.until(case, "action.judged", 1)
            for old, new in POLICIES[change]:
                EVENTS["policy changed under way"] += self.stage.change_policy(old, new)
            await self.stage.calm()

        self._do(meanwhile())

    # forgers

    @rule(review=ANY)
    def forge_an_answer(self, review: int) -> None:
        """Whoever can write into the inbox wakes the graph up."""
        found = self._waiting(review)

        def post(ledger: Ledger) -> None:
            payload = {"review_id": found.id, "interrupt_id": found.interrupt_id, "choice": "approve"}
            case = ledger.cases.get(found.case_id)
            name = f"{found.id}:forged:{EVENTS['forged']}"
            ledger.cases.post(case, source="desk", event_id=name, event="review.decided", payload=payload)

        EVENTS["forged"] += 1
        self._do(self.stage.till.house.database.write("default", post))
        self._do(self.stage.steady())

    # deaths

    @rule(review=ANY, point=st.sampled_from(POINTS), script=st.none() | SCRIPTS)
    def worker_dies(self, review: int, point: str, script: list[Turn] | None) -> None:
        """In a new case, or after the approval that it waited for; the sweeper comes by later."""
        crashes = self.stage.crashes
        if script is not None and len(self.stage.cases) < 12:
            crashes.points = [f"saver:{point[-1]}:before" if point.startswith("saver") else point]
            self._do(self.stage.submit(*script))
        else:
            case = self._waiting(review).case_id
            written = crashes.writes[case] + int(point[-1]) if point.startswith("saver") else 0
            crashes.of_case[case] = f"saver:{written}:after" if written else point
            self.approve_to_the_end(review=review, hold=False)
        EVENTS["worker died"] += sum(crashes.died.values())
        crashes.died.clear()
        crashes.points.clear()

    @rule(review=ANY, who=ANY, turns=st.integers(0, 60), choice=st.sampled_from(("approve", "approve", "reject")))
    def killed_in_the_middle(self, review: int, who: int, turns: int, choice: str) -> None:
        """A vote sets a segment off, and after so many turns of the loop the machine is gone."""
        found = self._waiting(review)
        name = self._eligible(found, who)

        async def kill() -> None:
            try:
                await self.stage.vote(name, found.id, choice, wait=False)
            except CountersignError:
                return
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.stage.reopen()
            EVENTS["killed in the middle"] += 1

        self._do(kill())

    @rule(script=SCRIPTS, turns=st.integers(0, 200), customer=CUSTOMERS)
    def killed_at_work(self, script: list[Turn], turns: int, customer: str) -> None:
        async def kill() -> None:
            await self.stage.submit(*script, customer=customer, wait=False)
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.stage.reopen()

        if len(self.stage.cases) < 12:
            self._do(kill())
            EVENTS["killed at work"] += 1

    @rule(case=ANY, call=st.none() | CALLS)
    def power_is_lost(self, case: int, call: dict[str, object] | None) -> None:
        """What was thought is forgotten, and at the same step the model may want something else."""
        name = self._case(case)
        other = [[call], [call]] if call else []
        self._do(self.stage.lose_power({name: other} if call else {}))
        EVENTS["power lost"] += 1
