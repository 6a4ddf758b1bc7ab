"""The HTTP API, as a client meets it: a real server on a real port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from core.settings import EngineSettings, Settings
from tests.serving.live import JSON, Live, living
from tests.support.folders import quick_folder
from tests.support.returns_desk import asked

pytestmark = pytest.mark.asyncio(loop_scope="module")


def problem(answer: httpx.Response) -> JSON:
    """A problem document: of its type, with what happened and what to do."""
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["type"].startswith("urn:countersign:")
    assert found["status"] == answer.status_code
    assert found["detail"]
    return dict(found)


async def test_whoever_has_no_token_is_told_how_to_get_one(live: Live) -> None:
    for headers, why in (({}, "no token"), ({"Authorization": "Bearer cs_nobody"}, "not known")):
        async with httpx.AsyncClient(base_url=live.url, headers=headers) as http:
            assert (await http.get("/ok")).status_code == 200
            answer = await http.get("/api/v1/me")
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert why in problem(answer)["detail"]
            assert problem(answer)["hint"]


async def test_a_revoked_token_opens_nothing(live: Live) -> None:
    await live.add("leaver", "viewer")
    async with live.as_("leaver") as http:
        assert (await http.get("/me")).json()["roles"] == ["viewer"]
        await live.house.database.write("default", lambda ledger: ledger.people.revoke("leaver"))
        answer = await http.get("/me")
        assert answer.status_code == 401
        assert "revoked" in problem(answer)["detail"]


async def test_who_may_not_is_told_the_role_that_is_missing(live: Live) -> None:
    async with live.as_("vera") as http:
        answer = await http.post("/cases", json={"kind": "returns", "payload": await live.small()})
        assert answer.status_code == 403
        assert "operator" in problem(answer)["missing_role"]
        answer = await http.post("/attachments", content=b"x")
        assert answer.status_code == 403
    _, approval = await live.waiting(await live.dear())
    async with live.as_("vera") as http:
        answer = await http.post(f"/approvals/{approval['approval']['id']}/claim")
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/cases", 405),
        ("GET", "/cases/case_nope", 404),
        ("GET", "/cases/case_nope/trace", 404),
        ("GET", "/cases/case_nope/events", 404),
        ("POST", "/cases/case_nope/pause", 404),
        ("POST", "/cases/case_nope/explode", 404),
        ("GET", "/approvals/rev_nope", 404),
        ("POST", "/approvals/rev_nope/claim", 404),
        ("GET", "/approvals?after=yesterday", 422),
        ("GET", "/approvals?status=maybe", 422),
        ("GET", "/cases?limit=0", 422),
    ],
)
async def test_what_is_not_there_is_a_problem_document(live: Live, method: str, path: str, status: int) -> None:
    async with live.as_() as http:
        answer = await http.request(method, path)
        assert answer.status_code == status
        problem(answer)


async def test_a_case_is_opened_once_for_each_key(live: Live) -> None:
    async with live.as_() as http:
        sent = {"kind": "returns", "payload": await live.dear()}
        first = await http.post("/cases", json=sent, headers={"Idempotency-Key": "mail-1"})
        again = await http.post("/cases", json=sent, headers={"Idempotency-Key": "mail-1"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["case"]["id"] == again.json()["case"]["id"]
        assert first.headers["Location"] == f"/api/v1/cases/{first.json()['case']['id']}"
        other = await http.post(
            "/cases", json={"kind": "returns", "payload": await live.small()}, headers={"Idempotency-Key": "mail-1"}
        )
        assert other.status_code == 409
        assert problem(other)["type"] == "urn:countersign:key-reused"
        assert problem(other)["present"] == first.json()["case"]["id"]
        for key in ("", "with a space", "x" * 201):
            assert (await http.post("/cases", json=sent, headers={"Idempotency-Key": key})).status_code == 422


async def test_a_client_may_wait_for_the_end(live: Live) -> None:
    case = await live.submit(await live.small())
    assert case["case"]["outcome"] == "refunded"
    assert case["plan"]
    assert case["actions"]
    assert {cost["component"] for cost in case["costs"]} >= {"model"}
    assert await live.done_at_the_shop(case["case"]["id"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "returns"}, "body.payload"),
        ({"kind": "", "payload": {}}, "body.kind"),
        ({"kind": "returns", "payload": {}, "more": 1}, "body.more"),
        ({"kind": "returns", "payload": {"letter": "x"}}, "customer_id"),
        ({"kind": "returns", "payload": {"customer_id": 7}}, "customer_id"),
        ({"kind": "returns", "payload": {"customer_id": "cus_1", "letter": "x", "surprise": True}}, "surprise"),
        (
            {"kind": "returns", "payload": {"customer_id": "cus_1", "lines": [{"fulfillment_line_item_id": "a"}]}},
            "lines.0.quantity",
        ),
    ],
)
async def test_a_request_that_does_not_fit_names_the_field(live: Live, body: JSON, field: str) -> None:
    async with live.as_() as http:
        answer = await http.post("/cases", json=body)
        assert answer.status_code == 422
        assert problem(answer)["field"] == field


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 20_000, b'{"kind": "returns", "kind": NaN}'])
async def test_a_body_that_is_no_request_is_refused(live: Live, content: bytes) -> None:
    async with live.as_() as http:
        answer = await http.post("/cases", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)
        problem(answer)


async def test_a_large_body_is_refused_before_it_is_read(live: Live) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    async def pieces() -> AsyncIterator[bytes]:
        for piece in endless():
            yield piece

    async with live.as_() as http:
        announced = await http.post("/cases", content=b"".join(endless()))
        assert announced.status_code == 413
        assert "1,000,000" in problem(announced)["detail"]
        unannounced = await http.post("/cases", content=pieces())
        assert unannounced.status_code == 413
        problem(unannounced)


async def test_a_trace_is_streamed_from_where_its_reader_was(live: Live) -> None:
    case = await live.submit(await live.small())
    path = f"/cases/{case['case']['id']}/events"
    async with live.as_() as http:
        whole = await _events(http, path)
        assert whole[0]["event"] == "case.opened"
        assert [each["event"] for each in whole[-2:]] == ["case.closed", "end"]
        numbers = [int(each["id"]) for each in whole]
        assert numbers == sorted(numbers)
        rest = await _events(http, path, {"Last-Event-ID": whole[4]["id"]})
        assert rest == whole[5:]
        answer = await http.get(path, headers={"Last-Event-ID": "first"})
        assert answer.status_code == 422


async def test_the_desk_is_told_what_happens_while_it_looks(live: Live) -> None:
    async with live.as_() as http, http.stream("GET", "/events", timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        async for line in lines:
            if line == "event: replayed":
                break
        case = await live.submit(await live.dear())
        async for line in lines:
            if line == "event: review.opened":
                break
        assert case["case"]["id"] in await anext(line async for line in lines if line.startswith("data:"))


async def _events(http: httpx.AsyncClient, path: str, headers: dict[str, str] | None = None) -> list[dict[str, str]]:
    """All of a stream that ends."""
    found: list[dict[str, str]] = [{}]
    async with http.stream("GET", path, headers=headers, timeout=30) as answer:
        async for line in answer.aiter_lines():
            name, _, value = line.partition(":")
            if name in ("id", "event", "data"):
                found[-1][name] = value.strip()
            elif not line and found[-1]:
                found.append({})
    return [each for each in found if each and each["event"] != "replayed"]


async def test_a_reviewer_holds_an_approval_and_decides_it_once(live: Live) -> None:
    case, detail = await live.waiting(await live.dear())
    approval = f"/approvals/{detail['approval']['id']}"
    yes = {"choice": "approve", "seen": detail["seen"], "dwell_s": 40}
    async with live.as_("rita") as rita, live.as_("sam") as sam:
        assert (await rita.post(f"{approval}/claim")).json()["claimed_by"] == "rita"
        late = await sam.post(f"{approval}/claim")
        assert late.status_code == 409
        assert problem(late)["present"] == "rita"
        assert (await sam.post(f"{approval}/decide", json=yes)).status_code == 409
        unseen = await rita.post(f"{approval}/decide", json={**yes, "seen": "0" * 64})
        assert unseen.status_code == 409
        assert problem(unseen)["type"] == "urn:countersign:stale-state"
        no = await rita.post(f"{approval}/decide", json={**yes, "choice": "reject"})
        assert problem(no)["field"] == "reason_code"
        assert "refunds.create" not in await live.done_at_the_shop(case["case"]["id"])

        first = await rita.post(f"{approval}/decide", json=yes, headers={"Idempotency-Key": "vote-1"})
        again = await rita.post(f"{approval}/decide", json=yes, headers={"Idempotency-Key": "vote-1"})
        assert first.status_code == 200
        assert first.json() == again.json()
        assert first.json()["status"] == "approved"
        other = await sam.post(f"{approval}/decide", json=yes)
        assert other.status_code == 409
        assert "rita" in problem(other)["detail"]
    await live.house.settled("default", {case["case"]["id"]})
    assert (await live.done_at_the_shop(case["case"]["id"])).count("refunds.create") == 1
    assert await live.whole()


async def test_lists_come_in_pages(live: Live) -> None:
    for _ in range(3):
        await live.waiting(await live.dear())
    async with live.as_("vera") as http:
        cases, after = [], ""
        while True:
            page = (await http.get("/cases", params={"status": "waiting", "limit": 2, "after": after})).json()
            cases += [each["id"] for each in page["items"]]
            if not (after := page["next"]):
                break
        assert cases == sorted(set(cases), reverse=True)
        assert len(cases) >= 3
        rows, after, total = [], "", 0
        while True:
            page = (await http.get("/approvals", params={"limit": 2, "after": after})).json()
            rows += [each["id"] for each in page["items"]]
            total = page["total"]
            if not (after := page["next"]):
                break
        assert len(rows) == len(set(rows)) == total


async def test_a_case_stops_and_goes_on_when_people_want_it(live: Live) -> None:
    case, detail = await live.waiting(await live.dear())
    path = f"/cases/{case['case']['id']}"
    async with live.as_() as http:
        assert (await http.post(f"{path}/pause")).status_code == 200
        await live.house.settled("default", {case["case"]["id"]})
        assert (await http.get(path)).json()["case"]["status"] == "paused"
        assert (await http.post(f"{path}/resume")).status_code == 200
        await live.house.settled("default", {case["case"]["id"]})
        assert (await http.post(f"{path}/cancel")).status_code == 200
        await live.house.settled("default", {case["case"]["id"]})
        after = (await http.get(path)).json()
        assert after["case"]["status"] == "cancelled"
        assert [each["status"] for each in after["approvals"]] == ["superseded"]
        late = await http.post(f"{path}/cancel")
        assert late.status_code == 409
        assert problem(late)["present"] == "cancelled"
    async with live.as_("rita") as rita:
        vote = {"choice": "approve", "seen": detail["seen"]}
        assert (await rita.post(f"/approvals/{detail['approval']['id']}/decide", json=vote)).status_code == 409
    assert await live.whole()


async def test_forms_and_cards_are_drawn_from_what_the_kinds_say(live: Live) -> None:
    async with live.as_("vera") as http:
        kinds = {kind["name"]: kind for kind in (await http.get("/kinds")).json()}
        assert "customer_id" in kinds["returns"]["intake"]["properties"]
        assert "amount" in kinds["returns"]["tools"]["refunds.create"]["properties"]
        status = (await http.get("/status")).json()
        assert status["waiting"] >= 1
        assert status["backlog"] == 0


async def test_a_full_queue_asks_to_come_again_later() -> None:
    with quick_folder() as folder:
        settings = Settings(data=folder, engine=EngineSettings(queue_limit=1))
        async with living(settings) as live, live.as_() as http:
            case, _ = await live.waiting(await live.dear())
            await http.post(f"/cases/{case['case']['id']}/pause")  # its event stays in the inbox
            answer = await http.post("/cases", json={"kind": "returns", "payload": await live.small()})
            assert answer.status_code == 429
            assert int(answer.headers["Retry-After"]) == problem(answer)["retry_after"] > 0
            assert len((await http.get("/cases")).json()["items"]) == 1


async def test_another_workspace_sees_nothing_of_it(live: Live) -> None:
    case = await live.submit(await live.small())

    def guest(ledger: object) -> str:
        people = ledger.people  # type: ignore[attr-defined]
        people.add("elsewhere", "guest", frozenset({"admin", "operator"}))
        return str(people.new_token("elsewhere", "guest", None))

    live.tokens["guest"] = await live.house.database.write("elsewhere", guest)
    async with live.as_("guest") as http:
        assert (await http.get("/cases")).json()["items"] == []
        assert (await http.get("/approvals")).json()["total"] == 0
        assert (await http.get(f"/cases/{case['case']['id']}")).status_code == 404
        assert (await http.post(f"/cases/{case['case']['id']}/cancel")).status_code == 404


async def test_a_kind_that_is_not_there_names_those_that_are(live: Live) -> None:
    async with live.as_() as http:
        answer = await http.post("/cases", json={"kind": "lunch", "payload": asked("x")})
        assert answer.status_code == 404
        assert "returns" in problem(answer)["hint"]


async def test_a_service_sees_what_it_opened_and_nothing_else(live: Live) -> None:
    await live.add("shopfront", "service")
    await live.add("mailroom", "service")
    payload = await live.small()
    async with live.as_("shopfront") as http:
        own = (await http.post("/cases", json={"kind": "returns", "payload": payload}, headers=KEY)).json()["case"][
            "id"
        ]
        assert (await http.get(f"/cases/{own}")).status_code == 200
        assert [case["id"] for case in (await http.get("/cases")).json()["items"]] == [own]
        for closed in ("/approvals", "/status", "/events"):
            assert (await http.get(closed)).status_code == 403
    async with live.as_("mailroom") as http:
        for address in (f"/cases/{own}", f"/cases/{own}/trace", f"/cases/{own}/events"):
            assert (await http.get(address)).status_code == 404
        assert (await http.get("/cases")).json()["items"] == []
        other = await http.post("/cases", json={"kind": "returns", "payload": await live.small()}, headers=KEY)
        assert other.status_code == 201  # its key is its own, whatever others send under the same word


async def test_who_opened_a_case_does_not_decide_it(live: Live) -> None:
    await live.add("both", "operator", "returns_reviewer")
    async with live.as_("both") as http:
        body = {"kind": "returns", "payload": await live.dear()}
        case = (await http.post("/cases", json=body, headers={"Prefer": "wait=20"})).json()
        approval = case["approvals"][0]["id"]
        shown = (await http.get(f"/approvals/{approval}")).json()
        answer = await http.post(f"/approvals/{approval}/decide", json={"choice": "approve", "seen": shown["seen"]})
        assert answer.status_code == 403
        assert "You opened this case" in problem(answer)["detail"]


KEY = {"Idempotency-Key": "letter-1"}
