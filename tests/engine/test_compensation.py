"""Taking back what a case did: by the house alone, through the gate, the last effect first, each once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from core.actions import Effect, OutcomeStatus
from core.errors import Conflict, Forbidden
from core.states import CaseStatus, Desired, RunStatus
from engine.incidents import HOUSE, RECONCILE, UNDO
from engine.reversal import Standing
from graphs.catalog import kinds
from graphs.kind import Outside
from ledger import guards
from ledger.database import Ledger
from ledger.tables import RunRow
from tests.support.servers import fresh_database, needs_postgres
from tests.support.till import Till, open_till, pay, person, write
from tools.contract import Toolbelt
from tools.fulfillment.faults import Fault, PlannedFault

WAIT = pay("60.00")
"""Above the limit: the case waits for people."""


def of(tool: str, text: str) -> dict[str, Any]:
    return write(tool, text)


async def take_back(till: Till) -> None:
    """The sweeper goes round, and what it set off comes to its end."""
    await till.later(seconds=1)
    await till.house.compensation.settled()


async def cancelled(till: Till, *script: Any) -> str:
    """A case that did this, waits for people, and is cancelled by them."""
    case = await till.run(*script, [WAIT])
    assert await till.status(case) is CaseStatus.WAITING
    await till.want(case, Desired.CANCEL)
    assert await till.status(case) is CaseStatus.CANCELLED
    return case


async def standing(till: Till, case: str) -> list[tuple[str, Standing]]:
    return [(each.effect.tool, each.standing) for each in await till.house.compensation.standing("default", case)]


async def question(till: Till, case: str) -> str:
    """The tool that people are asked about."""
    review = await till.review(case)
    return str((await till.read(lambda ledger: ledger.effects.action(review.action_id))).tool)


async def test_what_a_cancelled_case_did_is_taken_back_in_reverse_order_and_once(till: Till) -> None:
    case = await cancelled(till, [of("note.write", "a")], [of("parcel.send", "b"), pay("5.00")], [write("letter.send")])
    assert len(await till.happened(case)) == 4
    await take_back(till)
    assert (await till.happened(case))[4:] == ["parcel.recall", "note.erase"]
    assert await standing(till, case) == [("parcel.send", Standing.TAKEN_BACK), ("note.write", Standing.TAKEN_BACK)]
    runs = {run.tool: run for run in await till.runs(case)}
    assert runs["note.erase"].compensates == runs["note.write"].action_id
    assert runs["note.erase"].proposer == HOUSE
    assert runs["gift.pay"].status == runs["letter.send"].status == RunStatus.DONE
    for _ in range(3):
        await take_back(till)
    assert len(await till.happened(case)) == 6
    assert "action.judged" in (await till.audit(case))[-6:]
    assert (await till.check()).findings == []


async def test_a_case_that_people_give_up_is_taken_back_and_one_that_closed_is_not(till: Till) -> None:
    closed = await till.run([of("note.write", "kept")])
    till.model.down = -1
    case = await till.submit([of("note.write", "a")])
    await till.settle(case)
    till.model.down = 0
    while await till.status(case) is not CaseStatus.CLOSED:
        await till.later(minutes=5)
    assert await standing(till, case) == [("note.write", Standing.TO_PROPOSE)]
    lost = await till.run([of("note.write", "b")], [{"tool": "people.ask", "args": {"text": "?"}}])
    till.model.down = -1
    await till.decide("ann", lost)
    for _ in range(5):
        await till.later(minutes=5)
    assert await till.status(lost) is CaseStatus.FAILED
    assert "note.erase" not in await till.happened(lost)
    await till.decide("ops", lost, "reject", reason_code="other")
    assert await till.status(lost) is CaseStatus.CANCELLED
    await take_back(till)
    assert await till.happened(lost) == ["note.write", "note.erase"]
    assert await till.happened(closed) == ["note.write"]
    assert (await till.check()).findings == []


async def test_an_operator_may_ask_for_it_where_a_case_has_closed(till: Till) -> None:
    case = await till.run([of("note.write", "a")], [of("parcel.send", "b")])
    with pytest.raises(Forbidden):
        await till.house.compensation.ask(person("ann"), case)
    await till.house.compensation.ask(person("ops"), case)
    await take_back(till)
    assert (await till.happened(case))[2:] == ["parcel.recall", "note.erase"]
    with pytest.raises(Conflict, match="Nothing of this case is left"):
        await till.house.compensation.ask(person("ops"), case)
    waiting = await till.run([WAIT])
    with pytest.raises(Conflict, match="The case is waiting"):
        await till.house.compensation.ask(person("ops"), waiting)
    assert (await till.check()).findings == []


async def test_policy_may_want_people_for_it_and_what_came_before_waits(till: Till) -> None:
    till.change_policy("parcel.send, parcel.recall, letter.send", "parcel.send, letter.send")
    till.change_policy("tools: [people.ask]", "tools: [people.ask, parcel.recall]")
    case = await cancelled(till, [of("note.write", "a")], [of("parcel.send", "b")])
    for _ in range(2):
        await take_back(till)
    assert await question(till, case) == "parcel.recall"
    assert len(await till.happened(case)) == 2
    await till.decide("ann", case)
    await take_back(till)
    assert (await till.happened(case))[2:] == ["parcel.recall", "note.erase"]
    assert (await till.check()).findings == []


async def test_people_may_let_it_stand(till: Till) -> None:
    till.change_policy("parcel.send, parcel.recall, letter.send", "parcel.send, letter.send")
    till.change_policy("tools: [people.ask]", "tools: [people.ask, parcel.recall]")
    case = await cancelled(till, [of("note.write", "a")], [of("parcel.send", "b")])
    await take_back(till)
    await till.reject("ann", case, "other")
    await take_back(till)
    assert (await till.happened(case))[2:] == ["note.erase"]
    assert await standing(till, case) == [("parcel.send", Standing.LEFT), ("note.write", Standing.TAKEN_BACK)]
    assert (await till.check()).findings == []


@pytest.mark.parametrize("answer", ["approve", "reject"])
async def test_one_that_fails_goes_to_people_who_try_again_or_let_it_stand(till: Till, answer: str) -> None:
    case = await cancelled(till, [of("note.write", "a")], [of("parcel.send", "b")])
    till.fail(PlannedFault(operation="parcel.recall", fault=Fault.ERROR, times=4))
    await take_back(till)
    assert await question(till, case) == UNDO
    review = await till.review(case)
    asked = await till.read(lambda ledger: ledger.effects.action(review.action_id))
    assert asked.described == "This could not be taken back: Call b back. Try again?"
    assert len(await till.happened(case)) == 2
    await till.decide("ops", case, answer, reason_code="other")
    await take_back(till)
    assert (await till.happened(case))[2:] == ["parcel.recall", "note.erase"][answer == "reject" :]
    assert [run.status for run in await till.runs(case) if run.tool == "parcel.recall"] == (
        [RunStatus.FAILED, RunStatus.DONE] if answer == "approve" else [RunStatus.FAILED]
    )
    assert (await till.check()).findings == []


async def test_what_policy_denies_goes_to_people(till: Till) -> None:
    till.change_policy("note.write, note.erase,", "note.write,")
    case = await cancelled(till, [of("note.write", "a")])
    await take_back(till)
    assert await question(till, case) == UNDO
    till.change_policy('version: "1"', 'version: "2"')
    await till.decide("ops", case)
    await take_back(till)
    assert await till.happened(case) == ["note.write", "note.erase"]
    assert (await till.check()).findings == []


async def test_one_of_which_nobody_knows_whether_it_happened_is_asked_of_people(till: Till) -> None:
    case = await cancelled(till, [of("note.write", "a")])
    till.fail(
        PlannedFault(operation="note.erase", fault=Fault.TIMEOUT_AFTER),
        PlannedFault(operation="find", fault=Fault.ERROR, times=1000),
    )
    await take_back(till)
    assert await question(till, case) == RECONCILE
    await till.decide("ops", case)
    assert await standing(till, case) == [("note.write", Standing.UNSETTLED)], "it is not written down yet"
    await take_back(till)
    assert await standing(till, case) == [("note.write", Standing.TAKEN_BACK)]
    assert await till.happened(case) == ["note.write", "note.erase"]
    till.fail()
    assert (await till.check()).findings == []


async def test_an_effect_that_turns_out_to_have_happened_is_taken_back_too(till: Till) -> None:
    till.fail(PlannedFault(operation="parcel.send", fault=Fault.TIMEOUT_AFTER))
    case = await till.run([of("parcel.send", "a")])
    assert await question(till, case) == RECONCILE
    await till.want(case, Desired.CANCEL)
    await take_back(till)
    assert await till.happened(case) == ["parcel.send"]
    await till.decide("ops", case)
    await take_back(till)
    assert await standing(till, case) in ([("parcel.send", Standing.FAILED)], [("parcel.send", Standing.WAITING)])
    assert await question(till, case) == UNDO  # what the provider answered is not known, so nothing can be made of it
    await till.decide("ops", case, "reject", reason_code="other")
    assert (await till.check()).findings == []


async def test_people_are_asked_of_each_outcome_that_nobody_knows_when_the_case_is_over(till: Till) -> None:
    case = await cancelled(till, [of("note.write", "a")], [of("parcel.send", "b"), pay("5.00")])
    with till.house.database.engine.begin() as connection:
        guards.remove(connection)
        connection.exec_driver_sql("UPDATE run SET status = 'unknown' WHERE tool IN ('parcel.send', 'gift.pay')")
    for _ in range(2):
        await take_back(till)
    asked = await till.read(lambda ledger: ledger.reviews.of_case(case, only_open=True))
    about = [await till.args(review.action_id) for review in asked]
    assert sorted(args["tool"] for args in about) == ["gift.pay", "parcel.send"]
    assert len(await till.happened(case)) == 3, "what was done before it waits"
    for review in asked:
        await till.vote("ops", review.id)
    for _ in range(2):
        await till.later(minutes=1)
        await take_back(till)
    assert (await till.happened(case))[3:] == ["parcel.recall", "note.erase"]
    assert {run.status for run in await till.runs(case)} == {RunStatus.DONE}
    assert (await till.check()).findings == []


async def test_an_outcome_that_nobody_tells_in_time_holds_up_nothing_for_ever(till: Till) -> None:
    """An operator has it taken back: the case had closed."""
    case = await till.run([of("note.write", "a")], [of("parcel.send", "b")])
    with till.house.database.engine.begin() as connection:
        guards.remove(connection)
        connection.exec_driver_sql("UPDATE run SET status = 'unknown' WHERE tool = 'parcel.send'")
    await till.house.compensation.ask(person("ops"), case)
    await take_back(till)
    assert await question(till, case) == RECONCILE
    await till.later(days=31)
    await take_back(till)
    assert await standing(till, case) == [("parcel.send", Standing.LEFT), ("note.write", Standing.TAKEN_BACK)]


async def test_what_the_agent_took_back_itself_is_not_taken_back_again(till: Till) -> None:
    case = await cancelled(till, [of("note.write", "a")], [of("note.erase", "a")])
    await take_back(till)
    assert await till.happened(case) == ["note.write", "note.erase"]


# Attacks


async def test_no_proposal_of_a_model_is_a_compensation(till: Till) -> None:
    """Whatever it writes: its tools are its own actions, and no argument of them names what is taken back."""
    forged = {"tool": "note.erase", "args": {"text": "a", "compensates": "x", "step_key": "undo-x-1"}}
    case = await till.run(
        [of("note.write", "case.undo effect.undo house undo-")],
        [forged],
        [{"tool": "effect.undo", "args": {"action_id": "x"}}],
        [{"tool": "case.undo", "args": {}}],
        [of("note.erase", "a")],
    )
    assert await till.status(case) is CaseStatus.CLOSED
    await take_back(till)
    assert [run.compensates for run in await till.runs(case)] == [None, None]
    assert {action.proposer for action in await till.actions(case)} == {"agent:till"}
    assert not any(action.step_key.startswith("undo-") for action in await till.actions(case))
    assert await till.happened(case) == ["note.write", "note.erase"]


async def forge(till: Till, case: str, **change: Any) -> str:
    """Somebody writes a compensation into the store, all but as the house would."""

    def insert(ledger: Ledger) -> str:
        done = next(run for run in ledger.effects.runs(case) if run.tool == "note.write")
        like = ledger.effects.proposed(ledger.effects.action(done.action_id))
        ours = {"tool": "note.erase", "proposer": HOUSE, "step_key": f"undo-{done.action_id[:32]}-1"}
        forged = type(like).model_validate(like.model_dump() | ours | change)
        ledger.effects.propose(forged, effect=Effect.IRREVERSIBLE, described="forged")
        return forged.id

    return str(await till.house.database.write("default", insert))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"args": {"text": "another"}}, "it is not what takes this effect back"),
        ({"tool": "letter.send"}, "it is not what takes this effect back"),
        ({"step_key": f"undo-{'0' * 32}-1"}, "what it takes back was not done"),
    ],
)
async def test_a_compensation_that_somebody_wrote_into_the_store_runs_only_as_declared(
    till: Till, change: dict[str, Any], why: str
) -> None:
    case = await till.run([of("note.write", "a")])
    outcome = await till.house._executor.run("default", await forge(till, case, **change))
    assert (outcome.status, outcome.reason) == (OutcomeStatus.DENIED, why)
    assert await till.happened(case) == ["note.write"]


async def test_nothing_is_taken_back_while_its_case_goes_on(till: Till) -> None:
    case = await till.run([of("note.write", "a")], [WAIT])
    outcome = await till.house._executor.run("default", await forge(till, case))
    assert (outcome.status, outcome.reason) == (OutcomeStatus.DENIED, "the case still goes on")


@asynccontextmanager
async def opened(folder: Path, server: str) -> AsyncIterator[Till]:
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database()) if server else ""
        async with open_till(folder / "on_server" if server else folder, server=url) as till:
            yield till


@pytest.mark.parametrize("server", ["", pytest.param("postgresql", marks=needs_postgres)])
async def test_the_database_itself_refuses_a_second_one_and_one_of_nothing(folder: Path, server: str) -> None:
    async with opened(folder, server) as till:
        case = await cancelled(till, [of("note.write", "a")], [of("letter.send", "b")])
        await take_back(till)
        undo = next(run for run in await till.runs(case) if run.tool == "note.erase")
        letter = next(run for run in await till.runs(case) if run.tool == "letter.send")
        again = f"undo-{str(undo.compensates)[:32]}-2"
        for step, back, why in (
            (again, undo.compensates, "it was taken back already"),
            (f"undo-{letter.action_id[:32]}-1", undo.compensates, "was not done"),
            (f"undo-{'0' * 32}-1", "0" * 64, "was not done"),
            (again, None, "its case may not go on|does not say"),
        ):
            with pytest.raises(IntegrityError, match=why):
                await till.house.database.write("default", partial(forced, till=till, undo=undo, step=step, back=back))


def forced(ledger: Ledger, till: Till, undo: RunRow, step: str, back: str | None) -> None:
    """A run like this one, as whoever has the connection could write it."""
    like = ledger.effects.proposed(ledger.effects.action(undo.action_id))
    again = type(like).model_validate(like.model_dump() | {"step_key": step})
    ledger.effects.propose(again, effect=Effect.IRREVERSIBLE, described="again")
    ledger.effects.decided(again.id, "execute", till.house.judge.judge(again, {}, ledger.now))
    change = {"action_id": again.id, "key": again.effect_key, "status": RunStatus.INTENT, "compensates": back}
    ledger.effects.reserve(RunRow(**undo.model_dump() | change | {"started_at": ledger.now}))


async def test_the_check_finds_what_was_taken_back_twice_or_never_done(till: Till) -> None:
    await cancelled(till, [of("note.write", "a")], [of("note.write", "b")])
    await take_back(till)
    assert (await till.check()).findings == []
    with till.house.database.engine.begin() as connection:
        guards.remove(connection)
        connection.exec_driver_sql("DROP INDEX run_takes_back")
        connection.exec_driver_sql(
            "UPDATE run SET compensates = (SELECT min(compensates) FROM run WHERE compensates IS NOT NULL) "
            "WHERE compensates IS NOT NULL"
        )
    found = [each.detail for each in (await till.check()).findings]
    assert any("taken back twice" in each for each in found), found


# What tools declare


def test_each_reversible_tool_says_how_it_is_taken_back_or_why_not() -> None:
    nowhere = Outside(*[None] * 5)  # type: ignore[arg-type]
    for kind in kinds().values():
        specs = Toolbelt(kind.tools(nowhere)).specs()
        for spec in specs.values():
            says = (spec.compensated_by is not None) + bool(spec.stays)
            assert says == (spec.effect is Effect.REVERSIBLE), spec.name
            if spec.compensated_by is not None:
                assert specs[spec.compensated_by.tool].effect is not Effect.READ, spec.name
