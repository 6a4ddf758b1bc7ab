"""Intake: a request becomes one case however often it is sent, and none where it can't be taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from core.errors import Busy, Forbidden, InvalidInput, KeyReused, NotFound
from core.people import Person
from core.settings import EngineSettings
from core.states import CaseStatus
from tests.support.till import Till, open_till, pay, person, write
from tools.fulfillment.faults import Fault, PlannedFault


async def test_the_same_request_again_is_the_same_case_and_nothing_happens_twice(till: Till) -> None:
    cases = await asyncio.gather(*(till.submit([pay("10.00")], key="k1") for _ in range(3)))
    assert len(set(cases)) == 1
    await till.settle(cases[0])
    assert await till.submit([pay("10.00")], key="k1") == cases[0]
    assert await till.happened(cases[0]) == ["gift.pay"]
    assert await till.status(cases[0]) is CaseStatus.CLOSED
    with pytest.raises(KeyReused) as reused:
        await till.submit([pay("20.00")], key="k1")
    assert reused.value.extra["present"] == cases[0]
    assert await till.submit([pay("10.00")], key="k2") != cases[0]


async def test_a_full_house_says_when_to_come_again_and_keeps_what_it_has(folder: Path) -> None:
    async with open_till(folder, engine=EngineSettings(sweep_s=3600, queue_limit=2, concurrency=1)) as till:
        till.fail(PlannedFault(operation="note.write", fault=Fault.SLOW, seconds=0.1, times=9))
        taken = [await till.submit([write()], customer=f"cus_{n}", key=f"k{n}") for n in range(2)]
        with pytest.raises(Busy) as busy:
            await till.submit([write()], customer="cus_2")
        assert (busy.value.status, busy.value.retry_after) == (429, 5)
        await till.settle(*taken)
        assert [await till.status(case) for case in taken] == [CaseStatus.CLOSED] * 2
        assert await till.run([write()], customer="cus_2")


async def test_what_is_no_request_opens_no_case(till: Till) -> None:
    ops = person("ops")
    with pytest.raises(NotFound, match="There are: till"):
        await till.house.submit(ops, "casino", {})
    with pytest.raises(InvalidInput) as wrong:
        await till.house.submit(ops, "till", {"customer": "cus_1", "script": "sing"})
    assert wrong.value.field == "script"
    with pytest.raises(Forbidden, match="may not submit"):
        await till.house.submit(Person(id="zoe", roles=frozenset({"viewer"})), "till", {"customer": "c", "script": []})
    assert await till.read(lambda ledger: ledger.cases.by_status()) == {}


async def test_a_case_of_another_workspace_is_not_there(till: Till) -> None:
    case = await till.run([pay("100.00")])
    stranger = person("ops").model_copy(update={"workspace": "other"})
    with pytest.raises(NotFound):
        await till.house.database.read("other", lambda ledger: ledger.cases.get(case))
    _, new = await till.house.submit(stranger, "till", {"customer": "cus_1", "script": [[pay("10.00")]]})
    assert new
    await till.house.settled("other", await till.house.database.read("other", lambda ledger: ledger.cases.moving()))
    assert await till.read(lambda ledger: ledger.cases.by_status()) == {"waiting": 1}
    assert await till.house.database.read("other", lambda ledger: ledger.cases.by_status()) == {"closed": 1}
    assert await till.balance() == "990.00 USD"
    assert (await till.check()).findings == []
