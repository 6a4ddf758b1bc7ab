"""What is kept about a person is handed out, and erased: the accounts stay, and the audit chain holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import Conflict, NotFound
from core.people import HOME, Person
from core.sealing import ERASED
from engine.erasure import PersonData
from engine.housekeeping import Housekeeper
from ledger.database import Ledger
from ledger.retention import Named
from ledger.tables import VoteRow
from tests.support.till import Till, open_till, pay, write

DPO = Person(id="dora", roles=frozenset({"compliance"}))
LETTER = "Dear Till, I am Rosa Lindqvist of 4 Mill Road"


def desk(till: Till) -> PersonData:
    return PersonData(till.house.database, till.house.housekeeper)


async def closed(till: Till, customer: str, text: str = LETTER) -> str:
    """A case that wrote a note, paid after two people approved, and is over."""
    case = await till.run([write(text=text)], [pay("300.00")], customer=customer)
    for name in ("ann", "cat", "dan"):
        await till.decide(name, case, note="Rosa rang me about it")
    assert (await till.case(case)).status == "closed"
    return case


async def test_what_was_written_is_erased_and_the_accounts_stay(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        hers, theirs = await closed(till, "cus_rosa"), await closed(till, "cus_2", "Of somebody else entirely")
        before = await till.house.checker.check()
        paid = [run.status for run in await till.runs(hers)]
        told = await desk(till).export(DPO, "cus_rosa")
        assert LETTER in json.dumps(told)
        assert "Rosa rang me" in json.dumps(told)
        assert "somebody else" not in json.dumps(told)

        assert (await desk(till).erase(DPO, "cus_rosa"))["cases erased"] == 1
        assert await desk(till).erase(DPO, "cus_rosa") == {}

        after = json.dumps(await desk(till).export(DPO, "cus_rosa"))
        assert "Rosa" not in after.replace("cus_rosa", "")
        assert ERASED in after
        assert [run.status for run in await till.runs(hers)] == paid
        assert LETTER not in json.dumps(await desk(till).export(DPO, "cus_2"))
        assert "somebody else" in json.dumps(await desk(till).export(DPO, "cus_2"))
        assert (await till.case(theirs)).payload
        report = await till.house.checker.check()
        assert (before.findings, report.findings) == ([], [])
        assert (report.cases, report.runs) == (before.cases, before.runs)
        _, broken = await till.read(lambda ledger: ledger.audit.verify(HOME))
        assert broken is None
    async with open_till(tmp_path) as again:  # with nothing in memory
        assert "Rosa" not in json.dumps(await desk(again).export(DPO, "cus_rosa")).replace("cus_rosa", "")
        assert (await again.house.checker.check()).findings == []


async def test_a_case_that_is_open_keeps_what_it_needs(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        over = await closed(till, "cus_rosa")
        waits = await till.run([pay("300.00")], customer="cus_rosa")
        with pytest.raises(Conflict, match=waits) as refused:
            await desk(till).erase(DPO, "cus_rosa")
        assert refused.value.hint
        assert (await till.case(over)).payload
        with pytest.raises(NotFound):
            await desk(till).erase(DPO, "cus_nobody")


async def test_who_asked_for_it_is_in_the_audit(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        await closed(till, "cus_rosa")
        await desk(till).export(DPO, "cus_rosa")
        await desk(till).erase(DPO, "cus_rosa")

        def said(ledger: Ledger) -> dict[str, object]:
            return {row.type: ledger.audit.told(row).get("by") for row in ledger.audit.entries(limit=5000)}

        told = await till.read(said)
        assert (told["person.exported"], told["person.erased"]) == ("dora", "dora")


class Meanwhile(Housekeeper):
    """Something happens between the look and the erasure, or after it."""

    def __init__(self, till: Till, before: Callable[[], Awaitable[None]] | None = None, dies: bool = False) -> None:
        self._real, self._before, self._dies = till.house.housekeeper, before, dies

    async def erase(self, cases: Sequence[Named], done: Counter[str]) -> None:
        if self._before is not None:
            await self._before()
        await self._real.erase(cases, done)
        if self._dies:
            raise ConnectionError


async def test_who_erased_is_known_if_it_was_cut_off_after_the_last_case(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        await closed(till, "cus_rosa")
        with pytest.raises(ConnectionError):
            await PersonData(till.house.database, Meanwhile(till, dies=True)).erase(DPO, "cus_rosa")
        assert await desk(till).erase(DPO, "cus_rosa") == {}
        (begun,) = await till.read(
            lambda ledger: [
                ledger.audit.told(row) for row in ledger.audit.entries(limit=5000) if row.type == "person.erasure.begun"
            ]
        )
        assert begun == {"by": "dora", "subject": "cus_rosa", "cases": 1}


async def test_a_case_about_which_people_are_asked_meanwhile_keeps_what_it_needs(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        case = await closed(till, "cus_rosa")

        def ask(ledger: Ledger) -> None:
            review = ledger.reviews.of_case(case)[0]
            ledger.reviews.ask_again(review, [timedelta()] * len(review.reviewers))

        async def asked() -> None:
            await till.house.database.write("default", ask)

        with pytest.raises(Conflict, match="people are asked about it"):
            await PersonData(till.house.database, Meanwhile(till, asked)).erase(DPO, "cus_rosa")
        assert (await till.case(case)).payload
        assert LETTER in json.dumps(await desk(till).export(DPO, "cus_rosa"))


async def test_retention_destroys_the_key_of_a_case(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        case = await closed(till, "cus_rosa")
        await desk(till).erase(DPO, "cus_rosa")
        notes = await till.read(lambda ledger: [vote.note for vote in _votes(ledger, case)])
        texts = await till.read(lambda ledger: [row.args.get("text") for row in ledger.effects.actions(case)])
        assert (set(notes), texts[0]) == ({ERASED}, ERASED)


def _votes(ledger: Ledger, case: str) -> list[VoteRow]:
    return [vote for review in ledger.reviews.of_case(case) for vote in ledger.reviews.votes(review.id)]
