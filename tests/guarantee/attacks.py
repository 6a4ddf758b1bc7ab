"""Attacks on the guarantee, each a short story. What happened is judged by the oracle, not by what the house answers.

A story passes where nothing happens that may not. Each of them is the death of at least one mutant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path

from core.states import Desired
from ledger.database import Ledger
from tests.guarantee.stage import Stage, empty_house, on_stage, play
from tests.support.oracle import Broken
from tests.support.till import pay, usd, write
from tools.fulfillment.faults import Fault, Faults, PlannedFault

Story = Callable[[Stage], Awaitable[None]]

ATTACKS: dict[str, Story] = {}


def attack(story: Story) -> Story:
    ATTACKS[story.__name__.replace("_", " ")] = story
    return story


def attacked(story: Story, broken: Callable[[], AbstractContextManager[None]] = nullcontext, *, guarded: bool) -> str:
    """What the oracle says after a story was played in a house, broken or not; nothing where all is well."""

    async def perform(folder: Path) -> None:
        async with on_stage(folder) as stage:
            await story(stage)

    with empty_house(guarded=guarded) as folder, broken():
        try:
            play(perform(folder))
        except Broken as wrong:
            return str(wrong)
        return ""


async def approved_and_held(stage: Stage, amount: str, *names: str) -> str:
    case = await stage.submit([pay(amount)])
    await stage.want(case, Desired.PAUSE)
    await stage.everybody(case, *names)
    return case


# who may approve


@attack
async def an_editor_approves_what_they_wrote(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")])
    await stage.attempt("ann", case, "edit", args={"account_id": "acc_1", "amount": usd("120.00")})
    await stage.attempt("ann", case)


@attack
async def whoever_opened_the_case_approves(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")], opener="sue")
    await stage.attempt("sue", case)


@attack
async def one_of_two_approves(stage: Stage) -> None:
    case = await stage.submit([pay("300.00")])
    await stage.everybody(case, "ann", "cat", "cat")


@attack
async def one_person_sits_on_two_seats(stage: Stage) -> None:
    """A clerk and two bosses are asked; ben is both."""
    case = await stage.submit([pay("300.00")])
    await stage.everybody(case, "ben", "cat")


@attack
async def people_without_the_role_approve(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")])
    await stage.everybody(case, "eve", "cat", "dan")


@attack
async def an_approval_comes_too_late(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")])
    (review,) = await stage.waiting(case)
    stage.clock.advance(review.due_at - stage.clock.now() + timedelta(seconds=1))
    await stage.attempt("ann", case)


@attack
async def somebody_approves_what_they_have_not_seen(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")])
    await stage.attempt("ann", case, seen="0" * 64)


# what approvals are of


@attack
async def votes_are_taken_along_by_an_edit(stage: Stage) -> None:
    case = await stage.submit([pay("300.00")])
    await stage.attempt("cat", case)
    await stage.attempt("ann", case, "edit", args={"account_id": "acc_1", "amount": usd("250.00")})
    await stage.everybody(case, "dan", "ben")


@attack
async def an_approval_is_taken_for_another_action(stage: Stage) -> None:
    """Sixty were approved. Forty to somebody else are allowed, until policy changes on their way."""
    case = await stage.submit([pay("60.00")], [pay("40.00", "acc_2")])
    slow = PlannedFault(operation="account.read", fault=Fault.SLOW, seconds=2, times=5)
    stage.till.shop.faults = Faults.script([slow])
    (review,) = await stage.waiting(case)
    await stage.vote("ann", review.id, wait=False)
    await stage.until(case, "action.judged", 2)
    stage.change_policy("auto: 50 USD", "auto: 5 USD")
    await stage.calm()


@attack
async def a_question_is_answered_by_a_forged_event(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")])
    (review,) = await stage.waiting(case)

    def forge(ledger: Ledger) -> None:
        payload = {"review_id": review.id, "interrupt_id": review.interrupt_id, "choice": "approve"}
        row = ledger.cases.get(case)
        ledger.cases.post(row, source="desk", event_id="forged", event="review.decided", payload=payload)

    await stage.till.house.database.write("default", forge)


# what was refused


@attack
async def a_refused_action_is_asked_about_once_more(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")])
    await stage.attempt("ann", case, "reject")
    await stage.attempt("ben", case)


@attack
async def a_refused_action_is_proposed_again(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")], [pay("100.00")])
    await stage.attempt("ann", case, "reject")
    await stage.attempt("ben", case)


@attack
async def what_was_refused_is_paid_in_small_pieces(stage: Stage) -> None:
    case = await stage.submit([pay("100.00")], [pay("40.00")], [pay("40.00", "acc_2")])
    await stage.attempt("ann", case, "reject")


# what changes between the approval and the run


@attack
async def a_role_is_taken_away_before_it_runs(stage: Stage) -> None:
    case = await approved_and_held(stage, "100.00", "ann")
    await stage.set_roles("ann", "auditor")
    await stage.want(case, Desired.RUN)


@attack
async def the_facts_move_before_it_runs(stage: Stage) -> None:
    case = await approved_and_held(stage, "100.00", "ann")
    await stage.set_balance("acc_1", "500.00")
    await stage.want(case, Desired.RUN)


@attack
async def policy_asks_for_more_before_it_runs(stage: Stage) -> None:
    case = await approved_and_held(stage, "100.00", "ann")
    stage.change_policy("two_people: 200 USD", "two_people: 80 USD")
    await stage.want(case, Desired.RUN)


@attack
async def policy_forbids_it_before_it_runs(stage: Stage) -> None:
    case = await approved_and_held(stage, "100.00", "ann")
    stage.change_policy("cap: 900 USD", "cap: 90 USD")
    await stage.want(case, Desired.RUN)


# how often, and how much


@attack
async def a_worker_dies_after_the_call(stage: Stage) -> None:
    stage.crashes.points = ["gift.pay:after"]
    await stage.submit([pay("10.00")], [write()])
    await stage.reopen()


@attack
async def another_thought_at_a_step_that_was_used(stage: Stage) -> None:
    """After a power cut the model thinks again, and would pay more."""
    case = await stage.submit([pay("10.00")], [write("people.ask", "Well?")])
    await stage.lose_power({case: [[pay("20.00")]]})
    await stage.want(case, Desired.PAUSE)
    await stage.want(case, Desired.RUN)


@attack
async def nobody_knows_whether_it_was_paid(stage: Stage) -> None:
    """What may have been paid counts against the day."""
    stage.change_policy("day: 400 USD", "day: 45 USD")
    lost = [("gift.pay", Fault.TIMEOUT_AFTER)]
    deaf = PlannedFault(operation="find", fault=Fault.ERROR, times=1000)
    stage.till.shop.faults = Faults.script([*lost, deaf])
    await stage.submit([pay("40.00")])
    stage.till.shop.faults = None
    await stage.submit([pay("10.00", "acc_2")])


@attack
async def two_payments_for_one_customer_at_once(stage: Stage) -> None:
    stage.change_policy("day: 400 USD", "day: 45 USD")
    stage.till.shop.faults = Faults.script([PlannedFault(operation="gift.pay", fault=Fault.SLOW, seconds=1, times=2)])
    await stage.submit([pay("40.00")], wait=False)
    await stage.submit([pay("30.00", "acc_2")], wait=False)
    await stage.calm()
