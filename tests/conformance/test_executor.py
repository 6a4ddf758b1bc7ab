"""Whoever carries actions out, in this process or apart: the same stories, told by the same records."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from core.errors import Busy, DatabaseUnavailable, InvalidInput, ProviderRefused, ProviderUnavailable
from core.money import Money
from core.states import CaseStatus, Desired, RunStatus
from core.verdicts import Fact
from engine.checker import Checker
from engine.executor import AskAgain, CaseStopped
from engine.executor_wire import Facts as OneSide
from engine.executor_wire import raised, read_back, told, written
from engine.fence import SegmentLost
from ledger.migrate import migrate_server
from ledger.server import driver_url
from tests.serving.apart import open_apart
from tests.support.servers import fresh_database
from tests.support.till import Till, open_till, pay, write
from tools.fulfillment.faults import Fault, PlannedFault


@pytest.fixture(scope="module")
def migrated() -> Iterator[str]:
    with fresh_database() as server:
        migrate_server(driver_url(server))
        yield server


@pytest.fixture(params=["here", "apart"])
async def till(request: pytest.FixtureRequest, tmp_path: Path, migrated: str) -> AsyncIterator[Till]:
    if request.param == "here":
        async with open_till(tmp_path) as found:
            yield found
    else:
        with fresh_database(migrated) as server:
            async with open_apart(tmp_path, server) as apart:
                yield apart.till


async def test_a_payment_that_policy_lets_is_made_once_and_told(till: Till) -> None:
    case = await till.run([{"tool": "account.read", "args": {"account_id": "acc_1"}}], [pay("20.00")], [write()])

    assert await till.status(case) == CaseStatus.CLOSED
    assert await till.happened(case) == ["gift.pay", "note.write"]
    assert await till.balance() == "980.00 USD"
    assert [run.status for run in await till.runs(case)] == [RunStatus.DONE, RunStatus.DONE]
    assert (await Checker(till.house.database, till.shop, till.house.tools).check()).findings == []


async def test_people_countersign_and_it_runs(till: Till) -> None:
    case = await till.run([pay("60.00")])
    assert await till.happened(case) == []

    await till.approve("ann", case)

    assert await till.status(case) == CaseStatus.CLOSED
    assert await till.happened(case) == ["gift.pay"]


async def test_facts_that_moved_bring_the_question_back(till: Till) -> None:
    case = await till.run([pay("60.00")])
    await till.set_balance("400.00")

    await till.approve("ann", case)

    assert "the facts moved" in (await till.review(case)).reason.lower()
    assert await till.happened(case) == []


async def test_a_case_that_was_stopped_has_no_effect_until_it_goes_on(till: Till) -> None:
    case = await till.run([pay("60.00")])
    await till.hold(case)
    await till.approve("ann", case)
    assert await till.happened(case) == []

    await till.let_go(case)

    assert await till.happened(case) == ["gift.pay"]


async def test_what_policy_denies_reaches_no_provider(till: Till) -> None:
    case = await till.run([{"tool": "account.read", "args": {"account_id": "nobody"}}], [pay("20.00", "nobody")])

    assert await till.status(case) == CaseStatus.CLOSED
    assert await till.happened(case) == []
    assert "deny" in await till.answers(case)


async def test_what_nobody_could_tell_is_reconciled_by_people(till: Till) -> None:
    till.fail(("parcel.send", Fault.TIMEOUT_AFTER))
    case = await till.run([write("parcel.send", "a vase")])
    assert [run.status for run in await till.runs(case)] == [RunStatus.UNKNOWN]

    await till.approve("ops", case)

    assert [run.status for run in await till.runs(case)] == [RunStatus.DONE]
    assert await till.status(case) == CaseStatus.CLOSED
    assert await till.happened(case) == ["parcel.send"]


async def test_what_a_cancelled_case_did_is_taken_back(till: Till) -> None:
    case = await till.run([write("note.write", "a"), write("parcel.send", "b")], [pay("60.00")])
    await till.want(case, Desired.CANCEL)

    await till.later(seconds=1)
    await till.house.compensation.settled()

    assert sorted((await till.happened(case))[2:]) == ["note.erase", "parcel.recall"]


FACTS = {
    "text": "10",
    "number": 10,
    "yes": True,
    "missing": None,
    "share": Decimal("0.10"),
    "money": Money.of("1.00", "USD"),
    "since": datetime(2026, 11, 2, 9, 0, tzinfo=UTC),
}


def test_a_fact_is_the_same_on_both_sides_of_the_wire() -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    facts = {path: Fact(value=value, source="shop", at=now, witnessed=True) for path, value in FACTS.items()}

    sent = OneSide.model_validate_json(OneSide(facts=written(facts)).model_dump_json())

    assert read_back(sent.facts) == facts
    assert [type(fact.value) for fact in read_back(sent.facts).values()] == [type(f.value) for f in facts.values()]


@pytest.mark.parametrize(
    "error",
    [
        AskAgain("the facts moved"),
        CaseStopped("pause"),
        SegmentLost("it goes on elsewhere"),
        ProviderUnavailable("down", hint="later"),
        DatabaseUnavailable("away", committed="unknown"),
        ProviderRefused("no", reason="already_refunded"),
        Busy("full", retry_after=7),
        InvalidInput("wrong", field="args.amount"),
    ],
)
def test_an_error_is_the_same_on_both_sides_of_the_wire(error: BaseException) -> None:
    status, problem = told(error)

    again = raised(json.loads(json.dumps(problem)), status)

    assert type(again) is type(error)
    assert (str(again), getattr(again, "extra", {})) == (str(error), getattr(error, "extra", {}))


async def test_a_provider_that_is_down_delays_the_case(till: Till) -> None:
    till.fail(PlannedFault(operation="account.read", fault=Fault.ERROR, times=1))
    case = await till.run([pay("20.00")])
    assert await till.status(case) == CaseStatus.PAUSED

    till.fail()
    await till.later(seconds=3)

    assert await till.status(case) == CaseStatus.CLOSED
    assert await till.happened(case) == ["gift.pay"]
