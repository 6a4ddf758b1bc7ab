from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.contract import Finish, PlanStep
from agents.planner import EmbeddedPlanner
from agents.procedure import Call, Seen
from core.actions import OutcomeStatus
from core.people import Person
from core.settings import Settings
from core.states import CaseStatus
from evals.reviewers import REVIEWERS
from evals.run_case import Case, ProposedCall, run_case
from graphs import catalog
from graphs.tau2_retail.kind import KIND
from ledger.tables import CaseRow
from policies.book import Book, load_book
from policies.explain import explain
from policies.lint import remarks
from serving.house import House, open_house
from tools.fulfillment.shop import EmbeddedShop
from tools.tau2_retail.world import load_db, records_of

ROOT = Path(__file__).parents[2]
YARA = "yara_muller_8652"
HERS = ("#W5056519", "#W5995614")  # both pending
THEIRS = "#W4923227"
TRANSFER = "transfer_to_human_agents"


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(catalog.book_of("tau2_retail"), catalog.vocabulary("tau2_retail"))


def test_the_book_is_clean_and_every_rule_has_an_example_that_it_decides(book: Book) -> None:
    assert remarks(book) == []
    assert len(book.programs) == len(book.vocabulary.tools) == 17  # the house asks of its own tool, model.call, too
    deciding = {rule.id for result in book.try_examples() for rule in result.decision.deciding}
    assert {rule.id for rule in book.rules} == deciding


def test_nothing_changes_without_a_person_and_nothing_at_all_without_facts(book: Book) -> None:
    for tool in KIND.dialect.operations:
        assert explain(book, tool, {}).verdict == "deny"
        allowing = [rule for rule in book.rules if tool in rule.conditions and rule.decides == "allow"]
        assert allowing == []


def test_the_floors_below_know_nothing_of_it() -> None:
    for floor in ("core", "ledger", "engine", "serving"):
        for file in (ROOT / floor).rglob("*.py"):
            assert "tau2" not in file.read_text().lower(), file


async def _load(house: House) -> EmbeddedShop:
    assert isinstance(house.shop, EmbeddedShop)
    await house.shop.load(records_of(load_db(ROOT / "tests" / "fixtures" / "tau2-retail" / "db.json")))
    return house.shop


class Script:
    """Implements `agents.procedure.Procedure`: turns of calls, side by side, until there are no more."""

    def __init__(self, *turns: list[Call]) -> None:
        self._turns = turns

    def plan(self, case: Mapping[str, Any], seen: Seen) -> list[PlanStep]:
        return [PlanStep(title="As scripted")]

    def next(self, case: Mapping[str, Any], seen: Seen) -> list[Call] | Finish:
        done = len(seen.answered)
        for turn in self._turns:
            if done == 0:
                return turn
            done -= len(turn)
        told = ", ".join(f"{one.call.tool} {one.outcome.status}" for one in seen.answered)
        return Finish(outcome="done", summary=told)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """With every kind that there is, over one shop."""
    async with open_house(Settings(data=tmp_path), bell="tasks") as opened:
        yield opened


async def test_a_request_goes_to_people_where_no_model_is_configured(house: House) -> None:
    assert {"returns", "tau2_retail"} <= house.kinds.keys()
    await _load(house)
    customer = Person(id="web", roles=frozenset({"service"}))
    case, _ = await house.submit(customer, "tau2_retail", {"user_id": YARA, "request": "Cancel my order, please."})
    await house.settled("default", {case.id})
    closed: CaseRow = await house.database.read("default", lambda ledger: ledger.cases.get(case.id))
    assert (closed.status, closed.outcome, closed.subject) == (CaseStatus.CLOSED, "handed_over", YARA)
    asked = await house.database.read("default", lambda ledger: ledger.trace.of_case(case.id))
    judged = [entry.body for entry in asked if entry.type == "action.judged"]
    assert [(each["tool"], each["verdict"]) for each in judged] == [(TRANSFER, "allow")]
    assert "Cancel my order" in judged[0]["args"]["summary"]
    assert (await house.checker.check()).findings == []


async def _scripted(tmp_path: Path, user_id: str | None, *turns: list[Call], reviewer: str = "approve-all") -> Any:
    kinds = {KIND.name: KIND}
    model = EmbeddedPlanner(procedure=Script(*turns))
    async with open_house(Settings(data=tmp_path), bell="tasks", kinds=kinds, model=model) as house:
        shop = await _load(house)
        case = Case(KIND.name, {"user_id": user_id, "request": "As scripted."})
        result = await run_case(house, case, REVIEWERS[reviewer])
        row: CaseRow = await house.database.read("default", lambda ledger: ledger.cases.get(result.case_id))
        report = await house.checker.check()
        assert report.findings == []
        return result, row.summary, await shop.dump("orders")


def _cancel(order_id: str) -> Call:
    return Call("cancel_pending_order", {"order_id": order_id, "reason": "no longer needed"})


async def test_what_people_approved_has_run_before_the_agent_goes_on(tmp_path: Path) -> None:
    """One call of the turn runs at once, two wait for people: the next turn begins when all three are answered."""
    first, second = HERS
    turn = [Call("get_order_details", {"order_id": first}), _cancel(first), _cancel(second)]
    result, summary, orders = await _scripted(tmp_path, YARA, turn, [Call("get_order_details", {"order_id": second})])
    done = OutcomeStatus.DONE
    assert summary == (
        f"get_order_details {done}, cancel_pending_order {done}, cancel_pending_order {done}, get_order_details {done}"
    )
    assert {orders[each]["status"] for each in HERS} == {"cancelled"}
    assert (result.status, result.reviews) == (CaseStatus.CLOSED, 2)


async def test_another_users_order_is_neither_read_nor_changed(tmp_path: Path) -> None:
    turns = [Call("get_order_details", {"order_id": THEIRS})], [_cancel(THEIRS)], [_cancel("#W0000000")]
    result, _, orders = await _scripted(tmp_path, YARA, *turns)
    said: list[ProposedCall] = result.calls
    assert [(call.verdict, call.rules[:1]) for call in said] == [
        ("deny", ["ID-01"]),
        ("deny", ["ID-01"]),
        ("deny", ["ST-01"]),
    ]
    assert orders[THEIRS]["status"] == "pending"


async def test_without_a_known_user_no_order_can_be_read_or_changed(tmp_path: Path) -> None:
    result, _, orders = await _scripted(
        tmp_path, None, [Call("get_order_details", {"order_id": HERS[0]})], [_cancel(HERS[0])]
    )
    assert [call.verdict for call in result.calls] == ["deny", "deny"]
    assert all("order.owned_by_user" in call.reason for call in result.calls)
    assert orders[HERS[0]]["status"] == "pending"


async def test_a_rejected_change_leaves_the_order_alone_and_is_not_taken_up_again(tmp_path: Path) -> None:
    result, _, orders = await _scripted(tmp_path, YARA, [_cancel(HERS[0])], [_cancel(HERS[0])], reviewer="reject-all")
    assert [(call.verdict, call.run) for call in result.calls] == [("review", None), ("deny", None)]
    assert "people refused this very action" in result.calls[1].reason
    assert orders[HERS[0]]["status"] == "pending"


async def test_a_new_address_needs_the_users_yes_and_an_employee_who_is_somebody_else(tmp_path: Path) -> None:
    address = dict.fromkeys(("address1", "address2", "city", "country", "state", "zip"), "elsewhere")
    result, _, _ = await _scripted(
        tmp_path, YARA, [Call("modify_pending_order_address", {"order_id": HERS[0], **address})]
    )
    (call,) = result.calls
    assert (call.asked, result.reviews, result.votes) == (["customer", "desk"], 1, 2)
