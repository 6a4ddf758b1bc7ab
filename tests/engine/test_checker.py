"""The checker against planted lies: each disagreement between provider, ledger, approvals and queue is found."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.clock import FakeClock
from core.states import Desired
from engine.checker import Finding, Report
from tests.support.folders import quick_folder
from tests.support.till import Till, open_till, pay, usd, write
from tools.fulfillment.faults import Fault

GATED, WAITS, DELAYED = "gated", "waits", "delayed"


@dataclass
class Past:
    """A data folder in which a lot has happened, all of it in order."""

    folder: Path
    cases: dict[str, str]
    now: FakeClock

    def run_sql(self, file: str, *statements: str) -> None:
        """As somebody with the file would: the triggers are no obstacle."""
        with closing(sqlite3.connect(self.folder / file)) as db:
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                for name, case in self.cases.items():
                    statement = statement.replace(f":{name}", f"'{case}'")
                assert db.execute(statement).rowcount != 0, statement
            db.commit()

    async def check(self) -> Report:
        async with open_till(self.folder, clock=self.now) as till:
            return await till.check()


async def live(till: Till) -> dict[str, str]:
    till.fail(("note.write", Fault.TIMEOUT_AFTER), ("letter.send", Fault.TIMEOUT_BEFORE))
    plain = await till.run([write(), pay("10.00")], [write("letter.send")])
    gated = await till.run([pay("300.00")])
    for name in ("ann", "cat", "dan"):
        await till.approve(name, gated)
    edited = await till.run([pay("300.00")], customer="cus_2")
    await till.edit("ann", edited, account_id="acc_1", amount=usd("60.00"))
    await till.approve("ben", edited)
    refused = await till.run([pay("100.00")], [write()], customer="cus_3")
    await till.reject("ann", refused)
    cancelled = await till.run([pay("100.00")], customer="cus_4")
    waits = await till.run([pay("100.00")], customer="cus_5")
    till.model.down = 1
    delayed = await till.run([write()], customer="cus_6")
    await till.want(cancelled, Desired.CANCEL)
    return {"plain": plain, GATED: gated, "edited": edited, "refused": refused, WAITS: waits, DELAYED: delayed}


@pytest.fixture(scope="module")
def lived() -> Iterator[Past]:
    async def open_and_live(folder: Path) -> Past:
        clock = FakeClock()
        async with open_till(folder, clock=clock) as till:
            return Past(folder, await live(till), clock)

    with quick_folder() as folder:
        yield asyncio.run(open_and_live(folder / "house"))


@pytest.fixture
def past(lived: Past) -> Iterator[Past]:
    with quick_folder() as folder:
        yield Past(Path(shutil.copytree(lived.folder, folder / "house")), lived.cases, FakeClock(lived.now.now()))


async def found(past: Past) -> list[Finding]:
    return (await past.check()).findings


async def test_a_past_in_order_is_clean(past: Past) -> None:
    report = await past.check()
    assert report.findings == []
    assert (report.cases, report.unfinished) == (7, 2)
    assert report.runs == report.provider_calls == 6


RUN_OF = "(SELECT action_id FROM run WHERE case_id = {case} AND tool = '{tool}')"
PAID = RUN_OF.format(case=f":{GATED}", tool="gift.pay")
APPROVAL = f"(SELECT id FROM review WHERE action_id = {PAID})"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM log WHERE case_id = :plain AND operation = 'gift.pay'", "the provider knows nothing of it"),
        ("UPDATE log SET key = key || 'x' WHERE case_id = :plain AND operation = 'gift.pay'", "the provider knows"),
    ],
)
async def test_done_in_the_ledger_and_unknown_to_the_provider_is_lost(past: Past, statement: str, said: str) -> None:
    past.run_sql("shop.db", statement)
    lost = [each for each in await found(past) if each.what == "lost"]
    assert [(each.case_id, said in each.detail) for each in lost] == [(past.cases["plain"], True)]


@pytest.mark.parametrize("status", ["failed", "intent", "unknown"])
async def test_done_at_the_provider_and_not_in_the_ledger_is_lost(past: Past, status: str) -> None:
    past.run_sql(
        "ledger.db",
        f"UPDATE run SET status = '{status}', lease_until = '2030-01-01T00:00:00.000000+00:00' "
        "WHERE case_id = :plain AND tool = 'gift.pay'",
    )
    assert {(each.what, each.case_id) for each in await found(past)} == {("lost", past.cases["plain"])}


async def test_a_second_effect_for_one_action_is_a_duplicate(past: Past) -> None:
    past.run_sql(
        "shop.db",
        "INSERT INTO log (key, operation, case_id, args_digest, result, at) "
        "SELECT key || ':worker_2', operation, case_id, args_digest, result, at FROM log "
        "WHERE case_id = :plain AND operation = 'gift.pay'",
    )
    report = await past.check()
    assert (report.count("duplicated"), report.count("unrecorded")) == (1, 1)
    assert "gift.pay happened 2 times" in str(report.findings)


async def test_an_effect_that_the_ledger_does_not_know_is_unrecorded(past: Past) -> None:
    past.run_sql("ledger.db", "DELETE FROM run WHERE case_id = :plain AND tool = 'note.write'")
    assert [(each.what, each.case_id) for each in await found(past)] == [("unrecorded", past.cases["plain"])]


async def test_what_others_do_at_the_same_provider_is_not_ours(past: Past) -> None:
    past.run_sql(
        "shop.db",
        "INSERT INTO log (key, operation, case_id, args_digest, result, at) "
        "VALUES ('k', 'gift.pay', 'case_of_another_house', '', '{}', '2026-11-02T09:00:00+00:00')",
    )
    assert await found(past) == []


LATER = "'2026-11-03T09:00:00.000000+00:00'"
UNGATED: dict[str, tuple[str, ...]] = {
    "no review": (f"DELETE FROM review WHERE action_id = {PAID}",),
    "rejected": (f"UPDATE review SET status = 'rejected' WHERE action_id = {PAID}",),
    "expired": (f"UPDATE review SET status = 'expired' WHERE action_id = {PAID}",),
    "of another action": (f"UPDATE review SET action_id = 'x' WHERE action_id = {PAID}",),
    "decided later": (f"UPDATE review SET decided_at = {LATER} WHERE action_id = {PAID}",),
    "twice approved": (
        f"CREATE TEMP TABLE again AS SELECT * FROM review WHERE action_id = {PAID}",
        "UPDATE again SET id = id || 'x', interrupt_id = interrupt_id || 'x'",
        "INSERT INTO review SELECT * FROM again",
    ),
    "one vote too few": (f"DELETE FROM vote WHERE person = 'dan' AND review_id = {APPROVAL}",),
    "a vote against": (f"UPDATE vote SET choice = 'reject' WHERE person = 'dan' AND review_id = {APPROVAL}",),
    "a vote without the role": (f"UPDATE vote SET roles = '[]' WHERE person = 'dan' AND review_id = {APPROVAL}",),
    "a vote on another action": (f"UPDATE vote SET action_id = 'x' WHERE person = 'dan' AND review_id = {APPROVAL}",),
    "a vote of the proposer": (
        f"UPDATE vote SET person = 'agent:till' WHERE person = 'dan' AND review_id = {APPROVAL}",
    ),
    "a vote of the submitter": (f"UPDATE vote SET person = 'ops' WHERE person = 'dan' AND review_id = {APPROVAL}",),
    "a vote that came later": (f"UPDATE vote SET at = {LATER} WHERE person = 'dan' AND review_id = {APPROVAL}",),
    "asked for less, afterwards": (
        f"UPDATE review SET reviewers = '[]' WHERE action_id = {PAID}",
        f"DELETE FROM vote WHERE review_id = {APPROVAL}",
    ),
    "called ungated": (
        f"UPDATE run SET gated = 0 WHERE action_id = {PAID}",
        f"DELETE FROM review WHERE action_id = {PAID}",
    ),
    "other arguments": (f"UPDATE run SET args_digest = 'x' WHERE action_id = {PAID}",),
    "another content": (f"UPDATE action SET args = replace(args, '30000', '20000') WHERE id = {PAID}",),
    "no action": (f"DELETE FROM action WHERE id = {PAID}",),
    "never decided": (f"DELETE FROM decision WHERE action_id = {PAID}",),
    "only at the gate": (f"DELETE FROM decision WHERE stage = 'execute' AND action_id = {PAID}",),
    "denied": (f"UPDATE decision SET verdict = 'deny' WHERE stage = 'execute' AND action_id = {PAID}",),
    "decided afterwards": (f"UPDATE decision SET at = {LATER} WHERE action_id = {PAID}",),
}


@pytest.mark.parametrize("statements", UNGATED.values(), ids=UNGATED.keys())
async def test_an_effect_without_its_one_earlier_approval_is_ungated(past: Past, statements: tuple[str, ...]) -> None:
    past.run_sql("ledger.db", *statements)
    assert {(each.what, each.case_id) for each in await found(past)} == {("ungated", past.cases[GATED])}


async def test_an_allowed_effect_that_was_never_decided_is_ungated(past: Past) -> None:
    past.run_sql(
        "ledger.db", f"DELETE FROM decision WHERE action_id = {RUN_OF.format(case=':plain', tool='note.write')}"
    )
    assert [(each.what, each.case_id) for each in await found(past)] == [("ungated", past.cases["plain"])]


@pytest.mark.parametrize(
    ("case", "statements"),
    [
        (WAITS, (f"DELETE FROM review WHERE case_id = :{WAITS}", f"DELETE FROM timer WHERE case_id = :{WAITS}")),
        (
            DELAYED,
            (
                f"DELETE FROM timer WHERE case_id = :{DELAYED}",
                f"UPDATE inbox SET processed_at = received_at WHERE case_id = :{DELAYED}",
            ),
        ),
        ("plain", ("UPDATE \"case\" SET status = 'running', closed_at = NULL WHERE id = :plain",)),
        (DELAYED, (f"DELETE FROM timer WHERE case_id = :{DELAYED}",)),
        ("plain", ("UPDATE \"case\" SET status = 'cancelled' WHERE id = :plain",)),
    ],
)
async def test_what_waits_for_nothing_is_stuck(past: Past, case: str, statements: tuple[str, ...]) -> None:
    past.run_sql("ledger.db", *statements)
    assert [(each.what, each.case_id) for each in await found(past)] == [("stuck", past.cases[case])]


@pytest.mark.parametrize("case", ["plain", "refused"])
async def test_an_end_of_which_nobody_outside_is_told_is_lost(past: Past, case: str) -> None:
    past.run_sql("ledger.db", f"DELETE FROM outbox WHERE case_id = :{case} AND type = 'case.closed'")
    assert [(each.what, each.case_id) for each in await found(past)] == [("lost", past.cases[case])]
