"""A power cut: the last checkpoints are gone, the ledger is not. The agent thinks again, and the ledger wins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from pathlib import Path

from core.people import HOME
from core.states import CaseStatus, ReviewStatus
from ledger.database import Ledger, sqlite_database
from tests.support.till import Till, open_till, pay, write

C, R = CaseStatus, ReviewStatus


def lose_checkpoints(folder: Path) -> None:
    for file in folder.glob("checkpoints.db*"):
        file.unlink()


def rewrite_script(folder: Path, case: str, change: Callable[[list[list[dict[str, object]]]], None]) -> None:
    """What the model will say when it is asked again: models do not repeat themselves."""

    def rewrite(ledger: Ledger) -> None:
        row = ledger.cases.get(case)
        payload = deepcopy(row.payload)
        change(payload["script"])
        row.payload = payload

    with closing(sqlite_database(folder / "ledger.db")) as database:
        database.transact(HOME, rewrite)


async def waiting_after_a_payment(folder: Path) -> str:
    async with open_till(folder) as till:
        case = await till.run([pay("10.00")], [pay("100.00")], [write()])
        assert await till.status(case) is C.WAITING
        return case


async def ended_well(till: Till, case: str) -> None:
    assert await till.status(case) is C.CLOSED
    assert await till.happened(case) == ["gift.pay", "gift.pay", "note.write"]
    assert await till.balance() == "890.00 USD"
    assert await till.later(days=40) == 0  # nothing was left behind in the queue
    assert (await till.check()).findings == []


async def test_what_was_asked_before_is_not_asked_twice(folder: Path) -> None:
    """The graph starts anew and comes to the same question: its review is the one that people have before them."""
    case = await waiting_after_a_payment(folder)
    lose_checkpoints(folder)
    async with open_till(folder) as till:
        before = await till.review(case)
        await till.hold(case)
        await till.let_go(case)
        assert (await till.review(case)).id == before.id
        assert await till.balance() == "990.00 USD"
        await till.approve("ann", case)
        await ended_well(till, case)


async def test_an_approval_that_came_before_the_cut_is_enough(folder: Path) -> None:
    case = await waiting_after_a_payment(folder)
    async with open_till(folder) as till:
        await till.hold(case)
        await till.approve("ann", case)
    lose_checkpoints(folder)
    async with open_till(folder) as till:
        await till.let_go(case)
        await till.settle(case)
        assert [review.status for review in await till.reviews(case)] == [R.APPROVED]
        await ended_well(till, case)


async def test_another_thought_at_the_same_step_is_refused(folder: Path) -> None:
    """It has paid ten at this step; that it would now pay twenty does not make it thirty."""
    case = await waiting_after_a_payment(folder)
    lose_checkpoints(folder)

    def pay_twenty(script: list[list[dict[str, object]]]) -> None:
        script[0] = [pay("20.00")]

    rewrite_script(folder, case, pay_twenty)
    async with open_till(folder) as till:
        await till.hold(case)
        await till.let_go(case)
        denied = (await till.trace(case, "action.judged"))[2]
        assert (denied["verdict"], denied["reason"]) == ("deny", "step 1.0 already proposed another action")
        assert await till.balance() == "990.00 USD"
        assert (await till.check()).findings == []
