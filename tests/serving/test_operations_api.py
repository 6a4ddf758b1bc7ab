"""Operations beside cases and approvals: batches, pages, entity tags, audit, traces, key figures."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest

from core.ids import canonical
from tests.serving.live import JSON, Live

pytestmark = pytest.mark.asyncio(loop_scope="module")


def problem(answer: httpx.Response) -> JSON:
    assert answer.headers["content-type"] == "application/problem+json"
    return dict(answer.json())


async def all_of(http: httpx.AsyncClient, path: str, **asked: Any) -> list[JSON]:
    """Every page, by its cursors."""
    found: list[JSON] = []
    after: Any = None
    while True:
        page = (await http.get(path, params={**asked, **({"after": after} if after else {})})).json()
        found += page["items"]
        if not (after := page["next"]):
            return found


async def test_a_batch_opens_each_for_itself(live: Live) -> None:
    good, bad = {"kind": "returns", "payload": await live.small()}, {"kind": "returns", "payload": {}}
    urgent = {**good, "payload": await live.small(), "priority": 9}
    batch = {"cases": [good, bad, {"kind": "nonsense", "payload": {}}, urgent]}
    async with live.as_() as http:
        done = await http.post("/cases/batch", json=batch, headers={"Idempotency-Key": "batch-1"})
        assert done.status_code == 200
        assert [item["status"] for item in done.json()["items"]] == [201, 422, 404, 201]
        assert done.json()["refused"] == 2
        assert done.json()["items"][1]["problem"]["hint"]
        again = await http.post("/cases/batch", json=batch, headers={"Idempotency-Key": "batch-1"})
        assert [item["status"] for item in again.json()["items"]] == [200, 422, 404, 200]
        cases = [item["case"]["id"] for item in done.json()["items"] if item["case"]]
        assert cases == [item["case"]["id"] for item in again.json()["items"] if item["case"]]
        other = {"cases": [{**good, "payload": await live.small()}]}
        refused = await http.post("/cases/batch", json=other, headers={"Idempotency-Key": "batch-1"})
        assert refused.json()["items"][0]["problem"]["type"] == "urn:countersign:key-reused"
        wrongs: list[JSON] = [{"cases": []}, {"cases": [good] * 101}, {"cases": [7]}, {}]
        for wrong in wrongs:
            assert (await http.post("/cases/batch", json=wrong)).status_code == 422
    async with live.as_("vera") as http:
        done = await http.post("/cases/batch", json={"cases": [good]})
        assert done.json()["items"][0]["status"] == 403
    await live.house.settled("default", set(cases))


async def test_pages_of_cases_stand_still_while_others_come_in(live: Live) -> None:
    bought = await live.small()
    for _ in range(3):
        await live.submit(await live.small())
    async with live.as_() as http:
        first = (await http.get("/cases", params={"limit": 2})).json()
        await live.submit(bought)
        rest = await all_of(http, "/cases", limit=2, after=first["next"])
        seen = [each["id"] for each in first["items"] + rest]
        assert len(seen) == len(set(seen))
        newest = (await http.get("/cases", params={"limit": 1})).json()["items"][0]
        assert newest["id"] not in seen
        assert seen == [each["id"] for each in await all_of(http, "/cases", limit=500)][1:]
        own = await all_of(http, "/cases", subject=newest["subject"])
        assert [each["id"] for each in own] == [newest["id"]]
        for wrong in ({"status": "odd"}, {"after": "'; --"}, {"limit": 501}, {"after": "x" * 41}):
            assert (await http.get("/cases", params=wrong)).status_code == 422


async def test_whoever_has_it_already_is_not_sent_it_again(live: Live) -> None:
    case, _ = await live.waiting(await live.dear())
    path = f"/cases/{case['case']['id']}"
    async with live.as_() as http:
        first = await http.get(path)
        tag = first.headers["ETag"]
        for said in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            same = await http.get(path, headers={"If-None-Match": said})
            assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
        for said in ('"other"', '"', ""):
            assert (await http.get(path, headers={"If-None-Match": said})).status_code == 200


async def test_a_write_may_say_what_it_is_about(live: Live) -> None:
    case, _ = await live.waiting(await live.dear())
    path = f"/cases/{case['case']['id']}"
    async with live.as_() as http:
        tag = (await http.get(path)).headers["ETag"]
        for said in ('"1-0000000000000000"', "W/" + tag, '"nonsense"', "nonsense", '"99999999999999999999-0"'):
            refused = await http.post(f"{path}/pause", headers={"If-Match": said})
            assert refused.status_code == 412
            assert problem(refused)["present"] == "waiting"
        assert (await http.post(f"{path}/pause", headers={"If-Match": tag})).status_code == 200
        assert (await http.post(f"{path}/resume", headers={"If-Match": tag})).status_code == 412
        assert (await http.post(f"{path}/resume", headers={"If-Match": "*"})).status_code == 200


async def test_the_audit_can_be_checked_by_who_reads_it(live: Live) -> None:
    await live.add("carla", "compliance")
    case = await live.submit(await live.small())
    async with live.as_("carla") as http:
        entries = await all_of(http, "/audit", limit=7)
        prev = "0" * 64
        for number, entry in enumerate(entries, start=1):
            hashed = {key: entry[key] for key in ("seq", "at", "type", "case_id", "prev")}
            content = canonical({**hashed, "workspace": "default", "body": entry["text"]})
            assert (entry["seq"], entry["prev"]) == (number, prev)
            assert entry["hash"] == sha256(content).hexdigest()
            prev = entry["hash"]
        about = await all_of(http, "/audit", case=case["case"]["id"])
        assert {"case.opened", "action.judged"} <= {entry["type"] for entry in about}
        verdict = (await http.get("/audit/verification")).json()
        assert (verdict["holds"], verdict["broken_at"]) == (True, None)
        assert verdict["entries"] >= len(entries)
    for person in ("rita", "vera"):
        async with live.as_(person) as http:
            assert (await http.get("/audit")).status_code == 403
            assert (await http.get("/audit/verification")).status_code == 403


async def test_traces_of_all_cases_come_in_order(live: Live) -> None:
    case = await live.submit(await live.small())
    async with live.as_("vera") as http:
        found = await all_of(http, "/traces", limit=20)
        numbers = [entry["seq"] for entry in found]
        assert numbers == sorted(set(numbers))
        own = await all_of(http, f"/cases/{case['case']['id']}/trace", limit=2)
        assert own == [entry for entry in found if entry["case_id"] == case["case"]["id"]]
        for wrong in ({"after": -1}, {"after": 2**53}, {"after": "x"}, {"limit": 0}):
            assert (await http.get("/traces", params=wrong)).status_code == 422


async def test_figures_are_of_a_window(live: Live) -> None:
    await live.submit(await live.small())
    await live.waiting(await live.dear())
    now = live.house.database.clock.now()
    async with live.as_("vera") as http:
        whole = (await http.get("/kpis")).json()
        assert whole["cases"] == sum(whole["by_status"].values()) > 1
        assert whole["outcomes"]["refunded"] > 0
        assert whole["waiting"][0]["groups"] == "desk"
        assert {line["component"] for line in whole["costs"]} >= {"model"}
        later = (await http.get("/kpis", params={"since": (now + timedelta(days=1)).isoformat()})).json()
        assert (later["cases"], later["waiting"], later["costs"]) == (0, [], [])
        window = {"since": (now - timedelta(days=1)).isoformat(), "until": (now + timedelta(days=1)).isoformat()}
        assert (await http.get("/kpis", params=window)).json()["cases"] == whole["cases"]
        for wrong in ({"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {**window, "until": window["since"]}):
            assert (await http.get("/kpis", params=wrong)).status_code == 422
