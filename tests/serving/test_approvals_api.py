"""The approvals API, as a client of reviewers meets it: a real server, a small till behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from core.settings import DeskSettings
from ledger.database import Ledger
from tests.serving.door import door
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database, needs_postgres
from tests.support.till import PEOPLE, Till, open_till, pay, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = dict[str, Any]
AT = "/api/v1/approvals"


class Reviewers:
    """A till, and each person's way to it over HTTP."""

    def __init__(self, till: Till, tokens: dict[str, str]) -> None:
        self.till = till
        self._tokens = tokens

    def as_(self, name: str) -> httpx.AsyncClient:
        return door(self.till, self._tokens[name])

    async def get(self, name: str, path: str = "", status: int = 200, **more: Any) -> JSON:
        async with self.as_(name) as http:
            answer = await http.get(f"{AT}{path}", **more)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    async def post(self, name: str, path: str, body: Any = None, status: int = 200, key: str = "") -> JSON:
        headers = {"Idempotency-Key": key} if key else {}
        async with self.as_(name) as http:
            answer = await http.post(f"{AT}{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return dict(answer.json())

    async def decide(self, name: str, review: str, choice: str = "approve", status: int = 200, **more: Any) -> JSON:
        seen = more.pop("seen", None) or await self.till.seen(review)
        key = more.pop("key", "")
        return await self.post(name, f"/{review}/decide", {"choice": choice, "seen": seen, **more}, status, key)


@asynccontextmanager
async def reviewers(folder: Path, **more: Any) -> AsyncIterator[Reviewers]:
    async with open_till(folder, **more) as till:
        tokens: dict[str, str] = {}

        def give(ledger: Ledger) -> None:
            ledger.people.add("default", "eva", frozenset({"viewer"}))
            for name in (*PEOPLE, "eva"):
                tokens[name] = ledger.people.new_token("default", name, None)

        await till.house.database.write("default", give)
        yield Reviewers(till, tokens)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Reviewers]:
    with quick_folder() as folder:
        async with reviewers(folder / "house", desk=DeskSettings(undo_s=60)) as found:
            yield found


# windows


@pytest.mark.parametrize("place", ["folder", pytest.param("server", marks=needs_postgres)])
async def test_a_window_goes_both_ways_and_says_where_it_stands(tmp_path: Path, place: str) -> None:
    with fresh_database() if place == "server" else nullcontext("") as url:
        async with reviewers(tmp_path / "house", server=url) as desk:
            await _both_ways(desk)


async def _both_ways(desk: Reviewers) -> None:
    for number in range(9):
        await desk.till.run([pay(f"{100 + number}.00")], customer=f"cus_{number}")
        desk.till.clock.advance(timedelta(seconds=1))
    whole = [row["id"] for row in (await desk.get("ann"))["items"]]
    assert len(whole) == 9
    read: list[str] = []
    cursor: JSON = {}
    while True:
        page = await desk.get("ann", params={"limit": 4, **cursor})
        assert (page["total"], page["position"]) == (9, len(read))
        assert bool(page["prev"]) == bool(read)
        read += [row["id"] for row in page["items"]]
        if not page["next"]:
            break
        cursor = {"after": page["next"]}
    assert read == whole
    back = await desk.get("ann", params={"limit": 4, "before": page["prev"]})
    assert [row["id"] for row in back["items"]] == whole[4:8]
    first = await desk.get("ann", params={"limit": 4, "before": back["prev"]})
    assert [row["id"] for row in first["items"]] == whole[0:4]
    jump = await desk.get("ann", params={"limit": 2, "at": 7, "counted": False})
    assert [row["id"] for row in jump["items"]] == whole[7:9]
    assert (jump["total"], jump["position"]) == (None, None)
    falling = await desk.get("ann", params={"sort": "-amount", "limit": 3})
    assert [row["money"]["amount_minor"] for row in falling["items"]] == [10800, 10700, 10600]
    rest = await desk.get("ann", params={"sort": "-amount", "after": falling["next"], "for_me": True})
    assert [row["money"]["amount_minor"] for row in rest["items"]] == [10500, 10400, 10300, 10200, 10100, 10000]


async def test_each_filter_narrows(desk: Reviewers) -> None:
    till = desk.till
    small = (await till.review(await till.run([pay("61.00")], customer="cus_small"))).id
    large = (await till.review(await till.run([pay("300.00")], customer="cus_large"))).id
    asked = (await till.review(await till.run([write("people.ask", "May I?")], customer="cus_asks"))).id
    mine = {small, large, asked}

    async def found(name: str = "ann", **wanted: Any) -> set[str]:
        return {row["id"] for row in (await desk.get(name, params=wanted))["items"]} & mine

    assert await found() == mine
    assert await found(tool="people.ask") == {asked}
    assert await found(kind=["till", "other"]) == mine
    assert await found(kind="other") == set()
    assert await found(group="bosses") == {large}
    assert await found(role="boss") == {large}
    assert await found(subject="cus_small") == {small}
    assert await found(least=6100, most=6100, currency="USD") == {small}
    assert await found(least=6101, currency="USD") == {large}
    assert await found(most=99999, currency="EUR") == set()
    assert await found(text="MAY i") == {asked}
    assert await found(status="approved") == set()
    assert await found(id=[small, large]) == {small, large}
    assert await found(due_before=till.clock.now().isoformat()) == set()
    assert await found("cat", for_me=True) == {large}
    assert await found("ann", for_me=True) == mine
    assert await found("ops", for_me=True) == set()
    await desk.post("ann", f"/{small}/claim")
    assert await found(mine=True) == {small}
    assert await found("ben", for_me=True) == {large, asked}
    await desk.decide("ann", small)
    assert await found("ann", for_me=True) == {large, asked}
    assert await found(id=small, status=["open", "approved"]) == {small}


@pytest.mark.parametrize(
    "wanted",
    [
        {"least": 5},
        {"least": -1, "currency": "USD"},
        {"currency": "usd"},
        {"sort": "colour"},
        {"after": "soon"},
        {"after": "7~rev", "sort": "due"},
        {"after": "2026-11-02T09:00:00~x"},
        {"after": "2026-11-02T09:00:00+00:00~x", "at": 3},
        {"limit": 501},
        {"text": "x", "at": 4},
        {"colour": "red"},
        {"due_before": "2026-11-02T09:00:00"},
        {"after": "9" * 30 + "~x", "sort": "amount"},
    ],
)
async def test_what_is_no_window_is_told(desk: Reviewers, wanted: JSON) -> None:
    assert (await desk.get("ann", params=wanted, status=422))["type"] == "urn:countersign:invalid-input"


async def test_filters_are_kept_by_name_and_shared_by_operators(desk: Reviewers) -> None:
    async with desk.as_("ann") as ann, desk.as_("ops") as ops, desk.as_("ben") as ben:
        body = {"wanted": {"group": ["bosses"], "sort": "-amount"}}
        assert (await ann.put(f"{AT}/filters/dear", json=body)).status_code == 201
        assert (await ann.put(f"{AT}/filters/dear", json=body)).status_code == 200
        refused = await ann.put(f"{AT}/filters/all", json={**body, "shared": True})
        assert refused.status_code == 403
        assert "operator" in refused.json()["missing_role"]
        shared = {"wanted": {"role": ["boss"]}, "shared": True}
        assert (await ops.put(f"{AT}/filters/bosses", json=shared)).status_code == 201
        assert [each["name"] for each in (await ann.get(f"{AT}/filters")).json()["items"]] == ["dear", "bosses"]
        assert [each["name"] for each in (await ben.get(f"{AT}/filters")).json()["items"]] == ["bosses"]
        assert (await ben.get(AT, params={"filter": "dear"})).status_code == 404
        page = (await ann.get(AT, params={"filter": "dear"})).json()
        assert all("bosses" in row["groups"] for row in page["items"])
        assert (await ann.delete(f"{AT}/filters/bosses", params={"shared": True})).status_code == 403
        assert (await ann.delete(f"{AT}/filters/dear")).status_code == 204
        assert (await ann.delete(f"{AT}/filters/dear")).status_code == 404
        assert (await ops.put(f"{AT}/filters/x y", json=shared)).status_code == 422
        assert (await ops.put(f"{AT}/filters/x", json={"wanted": {"colour": "red"}})).status_code == 422


# one


async def test_a_detail_has_its_reasons_and_its_tag(desk: Reviewers) -> None:
    case = await desk.till.run([pay("100.00")], customer="cus_tag")
    review = (await desk.till.review(case)).id
    async with desk.as_("ann") as http:
        answer = await http.get(f"{AT}/{review}")
        found, tag = answer.json(), answer.headers["ETag"]
        assert "wrong_amount" in found["reason_codes"]
        assert [match["cite"] for match in found["matches"]] == ["Till Rules"]
        assert found["trace"][-1]["type"] == "review.opened"
        assert (await http.get(f"{AT}/{review}", headers={"If-None-Match": tag})).status_code == 304
        await http.post(f"{AT}/{review}/claim")
        assert (await http.get(f"{AT}/{review}", headers={"If-None-Match": tag})).status_code == 200
        body = {"choice": "approve", "seen": found["seen"]}
        stale = await http.post(f"{AT}/{review}/decide", json=body, headers={"If-Match": tag})
        assert (stale.status_code, stale.json()["type"]) == (412, "urn:countersign:precondition-failed")
        now = (await http.get(f"{AT}/{review}")).headers["ETag"]
        assert (await http.post(f"{AT}/{review}/decide", json=body, headers={"If-Match": now})).status_code == 200
        codes = (await http.get(f"{AT}/reasons", params={"kind": "till"})).json()["codes"]
        assert codes == found["reason_codes"]
        assert (await http.get(f"{AT}/reasons", params={"kind": "nothing"})).status_code == 404


async def test_a_claim_that_others_had_since_decides_nothing(desk: Reviewers) -> None:
    till = desk.till
    review = (await till.review(await till.run([pay("100.00")], customer="cus_claim"))).id
    old = (await desk.post("ann", f"/{review}/claim"))["claim"]
    assert (await desk.post("ann", f"/{review}/claim", {"claim": old}))["claim"] == old
    await desk.post("ben", f"/{review}/claim", status=409)
    till.clock.advance(timedelta(minutes=6))
    bens = (await desk.post("ben", f"/{review}/claim"))["claim"]
    assert bens != old
    await desk.post("ben", f"/{review}/release")
    lost = await desk.decide("ann", review, claim=old, status=409)
    assert lost["type"] == "urn:countersign:lease-lost"
    assert (await desk.post("ann", f"/{review}/claim", {"claim": old}, status=409))["present"] == ""
    new = (await desk.post("ann", f"/{review}/claim"))["claim"]
    assert (await desk.decide("ann", review, claim=new))["status"] == "approved"


async def test_reasons_are_words_of_the_kind(desk: Reviewers) -> None:
    review = (await desk.till.review(await desk.till.run([pay("100.00")], customer="cus_reason"))).id
    unknown = await desk.decide("ann", review, "reject", reason_code="because", status=422)
    assert (unknown["field"], "wrong_amount" in unknown["hint"]) == ("reason_code", True)
    assert (await desk.decide("ann", review, "reject", reason_code="wrong_amount"))["status"] == "rejected"


async def test_words_an_escalation_and_an_undo_over_http(desk: Reviewers) -> None:
    till = desk.till
    case = await till.run([pay("100.00")], customer="cus_words")
    review = (await till.review(case)).id
    passed = await desk.decide("ann", review, "escalate", note="Too much for me.", to="bosses")
    assert (passed["status"], passed["waiting_for"]) == ("open", ["clerk", "boss"])
    (told,) = (await desk.get("cat", f"/{review}"))["passed_on"]
    assert (told["person"], told["to_group"], told["note"]) == ("ann", "bosses", "Too much for me.")
    back = await desk.post("ann", f"/{review}/undo", key="u1")
    assert (back["approval"], back["waiting_for"]) == (review, ["clerk"])
    assert await desk.post("ann", f"/{review}/undo", key="u1") == back
    await desk.decide("ann", review, "respond", note="Ask for the receipt.")
    assert (await desk.get("ann", f"/{review}"))["approval"]["undo_until"]
    again = await desk.post("ann", f"/{review}/undo", key="u2")
    assert again["approval"] != review
    assert (await desk.post("ann", f"/{review}/undo", status=409))["present"] == "superseded"
    assert (await desk.post("ben", f"/{again['approval']}/undo", status=403))["detail"] == "You decided nothing here."


async def test_one_key_is_one_decision(desk: Reviewers) -> None:
    review = (await desk.till.review(await desk.till.run([pay("300.00")], customer="cus_key"))).id
    first = await desk.decide("cat", review, key="cats-key")
    assert await desk.decide("cat", review, key="cats-key") == first
    other = await desk.decide("cat", review, "reject", reason_code="other", key="cats-key", status=409)
    assert other["type"] == "urn:countersign:key-reused"
    claimed = await desk.post("dan", f"/{review}/claim", key="dans-claim")
    assert await desk.post("dan", f"/{review}/claim", key="dans-claim") == claimed


# many at once


async def test_a_batch_does_each_by_itself_and_never_approves_money(desk: Reviewers) -> None:
    till = desk.till
    money = (await till.review(await till.run([pay("100.00")], customer="cus_b1"))).id
    asked = (await till.review(await till.run([write("people.ask", "One?")], customer="cus_b2"))).id
    bosses = (await till.review(await till.run([pay("300.00")], customer="cus_b3"))).id
    seen = {each: await till.seen(each) for each in (money, asked, bosses)}

    async def batch(name: str, do: str, *ids: str, **more: Any) -> list[JSON]:
        items = [{"id": each, "seen": seen.get(each, "")} for each in ids]
        done = await desk.post(name, "/batch", {"do": do, "items": items, **more})
        assert done["refused"] == sum(each["status"] != 200 for each in done["items"])
        return list(done["items"])

    claimed = await batch("ann", "claim", money, asked, "rev_nothing", money)
    assert [each["status"] for each in claimed] == [200, 200, 404, 422]
    assert all(each["claim"] for each in claimed[:2])
    assert [each["status"] for each in await batch("ann", "release", money, asked)] == [200, 200]
    approved = await batch("ann", "approve", money, asked, asked)
    assert [each["status"] for each in approved] == [422, 200, 422]
    assert "never approved in a batch" in approved[0]["problem"]["detail"]
    assert approved[1]["decided"]["status"] == "approved"
    passed = await batch("ann", "escalate", money, asked, note="For the bosses.", to="bosses")
    assert [each["status"] for each in passed] == [200, 409]
    no = await batch("ben", "reject", money, bosses, reason_code="not_entitled")
    assert [each["decided"]["status"] for each in no] == ["rejected", "rejected"]
    unknown = await batch("ben", "reject", money, reason_code="because")
    assert unknown[0]["problem"]["field"] == "reason_code"
    assert [each["status"] for each in await batch("eva", "claim", money)] == [403]
    assert await till.balance() == "1000.00 USD"
    await desk.post("ann", "/batch", {"do": "claim", "items": [{"id": "x"}] * 101}, 422)
    await desk.post("ann", "/batch", {"do": "edit", "items": [{"id": "x"}]}, 422)


async def test_another_workspace_has_another_queue(desk: Reviewers) -> None:
    till = desk.till
    review = (await till.review(await till.run([pay("100.00")], customer="cus_else"))).id
    token = await till.house.database.write("other", _stranger)
    async with door(till, token) as http:
        assert (await http.get(AT)).json()["total"] == 0
        for path in ("claim", "release", "undo"):
            assert (await http.post(f"{AT}/{review}/{path}")).status_code == 404
        body = {"choice": "approve", "seen": await till.seen(review)}
        assert (await http.post(f"{AT}/{review}/decide", json=body)).status_code == 404
        done = await http.post(f"{AT}/batch", json={"do": "claim", "items": [{"id": review}]})
        assert done.json()["items"][0]["status"] == 404


def _stranger(ledger: Ledger) -> str:
    ledger.people.add("other", "sid", frozenset({"clerk", "boss"}))
    return ledger.people.new_token("other", "sid", None)
