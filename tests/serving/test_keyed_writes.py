"""Idempotency keys: a write is done once for each key, and its answer comes again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from sqlmodel import select

from core.errors import DatabaseUnavailable
from ledger.database import Ledger
from ledger.request_keys import AT_WORK, Keyed, RequestKeyRow
from serving.api.deps import Caller, Rooms
from serving.api.errors import install
from serving.api.keyed import KeyedRoute
from serving.auth.door import Door
from tests.serving.live import JSON, Live

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def paused_times(live: Live, case: str) -> int:
    """How often somebody's wish is in the case's log."""
    rows = await live.house.database.read("default", lambda ledger: ledger.trace.of_case(case))
    return sum(row.type == "case.wanted" for row in rows)


async def waits(live: Live) -> str:
    case, _ = await live.waiting(await live.dear())
    return str(case["case"]["id"])


def problem(answer: httpx.Response) -> JSON:
    assert answer.headers["content-type"] == "application/problem+json"
    return dict(answer.json())


async def test_the_same_write_again_is_answered_alike_and_not_done_again(live: Live) -> None:
    case = await waits(live)
    async with live.as_() as http:
        first = await http.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-1"})
        again = await http.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-1"})
        assert first.status_code == again.status_code == 200
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == first.json()
        assert again.headers["content-type"] == first.headers["content-type"]
        assert await paused_times(live, case) == 1


async def test_a_key_is_for_one_request_of_one_person(live: Live) -> None:
    await live.add("otto", "operator")
    one, other = await waits(live), await waits(live)
    async with live.as_() as http, live.as_("otto") as otto:
        for path in (f"/cases/{one}/pause",):
            assert (await http.post(path, headers={"Idempotency-Key": "p-2"})).status_code == 200
        for path in (f"/cases/{other}/pause", f"/cases/{one}/resume"):
            refused = await http.post(path, headers={"Idempotency-Key": "p-2"})
            assert refused.status_code == 409
            assert problem(refused)["type"] == "urn:countersign:key-reused"
        answer = await otto.post(f"/cases/{other}/pause", headers={"Idempotency-Key": "p-2"})
        assert answer.status_code == 200
        assert "Idempotency-Replayed" not in answer.headers


async def test_an_answer_is_not_for_who_may_less_than_then(live: Live) -> None:
    await live.add("olga", "operator")
    case = await waits(live)
    async with live.as_("olga") as olga:
        assert (await olga.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-3"})).status_code == 200
        await live.house.database.write("default", lambda ledger: ledger.people.add("default", "olga", frozenset()))
        refused = await olga.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-3"})
        assert refused.status_code in (401, 403, 409)
        assert case not in refused.text


async def test_a_refusal_that_changed_nothing_leaves_the_key_free(live: Live) -> None:
    case = await waits(live)
    async with live.as_() as http:
        refused = await http.post(f"/cases/{case}/retry", headers={"Idempotency-Key": "p-4"})
        assert refused.status_code == 409
        assert problem(refused)["type"] == "urn:countersign:conflict"
        assert (await http.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-4"})).status_code == 200


async def test_many_at_once_do_it_once(live: Live) -> None:
    case = await waits(live)
    async with live.as_() as http:
        sent = (http.post(f"/cases/{case}/fork", json={}, headers={"Idempotency-Key": "p-5"}) for _ in range(12))
        answers = await asyncio.gather(*sent)
        assert {answer.status_code for answer in answers} <= {201, 409}
        for answer in answers:
            if answer.status_code == 409:
                assert problem(answer)["type"] == "urn:countersign:key-in-use"
                assert answer.headers["Retry-After"] == "1"
        copies = {answer.json()["id"] for answer in answers if answer.status_code == 201}
        again = await http.post(f"/cases/{case}/fork", json={}, headers={"Idempotency-Key": "p-5"})
        assert {again.json()["id"]} == copies
        assert again.headers["Location"] == f"/api/v1/cases/{again.json()['id']}"
        found = (await http.get("/cases", params={"limit": 500})).json()["items"]
        assert [each["id"] for each in found if each["forked_from"] == case] == [again.json()["id"]]


async def test_what_was_done_and_lost_its_answer_is_not_done_again(live: Live) -> None:
    """As after a crash between the change and its answer: the row of the key stands, with no answer."""
    case = await waits(live)
    async with live.as_() as http:
        assert (await http.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-6"})).status_code == 200

        def lose(ledger: object, age: timedelta) -> None:
            row = ledger.session.get(RequestKeyRow, key.id)  # type: ignore[attr-defined]
            row.status, row.begun_at = 0, ledger.now - age  # type: ignore[attr-defined]

        person = (await http.get("/me")).json()["id"]
        key = Keyed("default", person, "p-6", "")
        await live.house.database.write("default", lambda ledger: lose(ledger, timedelta(seconds=1)))
        soon = await http.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-6"})
        assert (soon.status_code, problem(soon)["type"]) == (409, "urn:countersign:key-in-use")
        await live.house.database.write("default", lambda ledger: lose(ledger, timedelta(hours=1)))
        late = await http.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-6"})
        assert (late.status_code, problem(late)["present"]) == (409, "begun")
        assert await paused_times(live, case) == 1


async def test_an_answer_that_tells_of_a_case_goes_with_it(live: Live) -> None:
    case, other = await waits(live), await waits(live)
    async with live.as_() as http:
        for each in (case, other):
            paused = await http.post(f"/cases/{each}/pause", headers={"Idempotency-Key": f"e-{each}"})
            assert paused.status_code == 200
        assert (await http.post(f"/cases/{case}/cancel")).status_code == 200
        for _ in range(500):
            if (await http.get(f"/cases/{case}")).json()["case"]["status"] == "cancelled":
                break
            await asyncio.sleep(0.02)

        def erase(ledger: Ledger) -> dict[str, int] | None:
            for row in ledger.session.exec(select(RequestKeyRow)):
                row.begun_at = ledger.now - timedelta(hours=1)
            return ledger.retention.erase(case)

        gone = await live.house.database.write("*", erase)
        assert gone is not None
        assert gone["request_key"] == 1
        erased = await http.post(f"/cases/{case}/pause", headers={"Idempotency-Key": f"e-{case}"})
        assert (erased.status_code, problem(erased)["present"]) == (409, "begun")
        kept = await http.post(f"/cases/{other}/pause", headers={"Idempotency-Key": f"e-{other}"})
        assert kept.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("done", [True, False])
async def test_an_outage_is_nobodys_answer_for_good(live: Live, done: bool) -> None:
    """What was done before it is not done again, and is not called all of it."""
    router, calls = APIRouter(route_class=KeyedRoute), []

    @router.post(f"/api/v1/outage-{done}")
    async def outage(house: Rooms, person: Caller) -> dict[str, int]:
        calls.append(1)
        if done:
            await house.database.write("default", lambda ledger: ledger.audit.append("half.done", {}))
        if len(calls) == 1:
            raise DatabaseUnavailable("The database can't be used.", hint="Is it running?")
        return {"calls": len(calls)}

    app = FastAPI()
    app.state.house, app.state.door = live.house, Door(live.house)
    install(app)
    app.include_router(router)
    headers = {"Authorization": f"Bearer {live.tokens['']}", "Idempotency-Key": f"o-{done}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here", headers=headers) as http:
        assert (await http.post(f"/api/v1/outage-{done}")).status_code == 503
        again = await http.post(f"/api/v1/outage-{done}")
    if done:
        assert (again.status_code, problem(again)["present"], len(calls)) == (409, "begun", 1)
    else:
        assert (again.status_code, again.json()) == (200, {"calls": 2})


async def test_a_change_that_is_rolled_back_takes_no_key_with_it(live: Live) -> None:
    """As after a crash before the commit: the key is as free as before."""
    keyed = Keyed("default", "ann", "p-7", "r")
    token = AT_WORK.set(keyed)
    try:
        with pytest.raises(ZeroDivisionError):
            await live.house.database.write(
                "default", lambda ledger: ledger.people.add("default", "x", frozenset()) and 1 / 0
            )
        assert not keyed.kept
    finally:
        AT_WORK.reset(token)
    assert await live.house.database.read("default", lambda ledger: ledger.request_keys.find(keyed)) is None


async def test_keys_go_with_what_has_served_its_time(live: Live) -> None:
    def spent(ledger: object) -> dict[str, int]:
        gone: dict[str, int] = ledger.retention.sweep_out(ledger.now + timedelta(days=1), 100)  # type: ignore[attr-defined]
        return gone

    case = await waits(live)
    async with live.as_() as http:
        assert (await http.post(f"/cases/{case}/pause", headers={"Idempotency-Key": "p-8"})).status_code == 200
    assert (await live.house.database.write("*", spent))["request_key"] > 0
