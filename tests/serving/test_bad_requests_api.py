"""What clients get wrong on the wire: a problem document, the right status, nothing done, nothing lost, no trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.serving.live import Live

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRITES = (
    "/api/v1/cases",
    "/api/v1/cases/batch",
    "/api/v1/approvals/rev_nope/decide",
    "/api/v1/policies/drafts",
    "/api/v1/tokens",
    "/threads",
    "/threads/search",
    "/runs/wait",
    "/v1/chat/completions",
)
"""Of each surface; more than these go through the same door."""

DEEP = b'{"kind": "returns", "payload": ' + b'{"a":' * 70 + b"1" + b"}" * 70 + b"}"
BODIES: dict[str, tuple[bytes, str]] = {
    "deep": (DEEP, "64 levels"),
    "very deep": (b"[" * 400_000 + b"]" * 400_000, "64 levels"),
    "deep and broken": (b'{"a":' * 90_000, "64 levels"),
    "brackets in a text": (b'{"kind": "' + b"[" * 500 + b'", "payload": {"a": NaN}}', "NaN"),
    "no number": (b'{"kind": "x", "payload": {"a": NaN}}', "NaN"),
    "infinite": (b'{"kind": "x", "payload": {"a": 1e999}}', "too large"),
    "minus infinity": (b'{"kind": "x", "payload": {"a": -Infinity}}', "-Infinity"),
    "a huge number": (b'{"kind": "x", "payload": {"a": 9007199254740993}}', "9007199254740991"),
    "a number without end": (b'{"kind": "x", "payload": {"a": ' + b"9" * 10_000 + b"}}", "9007199254740991"),
    "twice": (b'{"kind": "x", "kind": "y", "payload": {}}', "'kind' stands twice"),
    "NUL": (b'{"kind": "x", "payload": {"a": "\\u0000"}}', "NUL"),
    "NUL in a name": (b'{"kind": "x", "payload": {"\\u0000": 1}}', "NUL"),
    "half a pair": (b'{"kind": "x", "payload": {"a": "\\uD800"}}', "surrogate"),
    "no UTF-8": (b'{"kind": "\xff"}', "UTF-8"),
    "UTF-16": ('{"kind": "x"}'.encode("utf-16"), "UTF-8"),
    "cut off": (b'{"kind": "x", ', "no JSON"),
    "words": (b"please refund me", "no JSON"),
}


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_broke(live: Live, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """The server logs no failure of its own, and holds the same cases afterwards."""
    before = await live.house.database.read("default", lambda ledger: ledger.cases.by_status())
    with caplog.at_level(logging.WARNING):
        yield
    broke = [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
    assert not broke, [record.getMessage() for record in broke]
    after = await live.house.database.read("default", lambda ledger: ledger.cases.by_status())
    assert sum(after.values()) >= sum(before.values())


def web(live: Live, person: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {live.tokens[person]}"}
    return httpx.AsyncClient(base_url=live.url, headers=headers, timeout=30)


def refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["detail"]
    return found


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_readers_would_understand_differently_is_refused(live: Live, name: str) -> None:
    body, said = BODIES[name]
    headers = {"Content-Type": "application/json"}
    async with web(live) as http:
        for path in WRITES:
            answer = await http.post(path, content=body, headers=headers)
            assert answer.status_code in (400, 413, 422), (path, answer.text)
            assert said in answer.text, (path, answer.text)
            if not path.startswith("/v1/"):
                refused(answer, 413, 422)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"text"', b"7", b"true", b"{}"])
async def test_a_body_of_another_shape_is_refused(live: Live, body: bytes) -> None:
    async with web(live) as http:
        for path in ("/api/v1/cases", "/api/v1/cases/batch", "/api/v1/approvals/rev_nope/decide", "/runs/wait"):
            answer = await http.post(path, content=body, headers={"Content-Type": "application/json"})
            refused(answer, 404, 422)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", "nonsense"])
async def test_a_body_of_another_type_is_not_read(live: Live, kind: str) -> None:
    async with web(live) as http:
        answer = await http.post("/api/v1/cases", content=b'{"kind":"x","payload":{}}', headers={"Content-Type": kind})
        assert "application/json" in refused(answer, 415)["hint"]


async def test_what_is_not_done_at_an_address_is_told_with_what_is(live: Live) -> None:
    async with web(live) as http:
        for path, methods in (("/api/v1/cases", "GET, POST"), ("/api/v1/cases/x/pause", "POST")):
            answer = await http.delete(path)
            assert methods in refused(answer, 405)["hint"]
            assert answer.headers["Allow"] == methods


async def test_an_address_with_a_nul_is_refused(live: Live) -> None:
    async with web(live) as http:
        for path in ("/api/v1/cases/%00", "/api/v1/cases?kind=%00", "/threads/%00", "/api/v1/approvals/a%00b"):
            refused(await http.get(path), 422)


async def test_odd_addresses_find_nothing(live: Live) -> None:
    async with web(live) as http:
        for name in ("%ff", "..%2f..%2fetc%2fpasswd", "'%20OR%201=1", "x" * 5_000, "%F0%9F%92%B8", "%ed%a0%80"):
            refused(await http.get(f"/api/v1/cases/{name}"), 404, 422)
            refused(await http.post(f"/api/v1/cases/{name}/pause"), 404, 422)


async def test_numbers_beyond_the_databases_are_refused(live: Live) -> None:
    async with web(live) as http:
        for number in ("99999999999999999999", "-1", "1e3", "0x10", "٣٤", "NaN"):
            for path in ("/api/v1/traces", "/api/v1/events/published"):
                refused(await http.get(path, params={"after": number}), 422)
            refused(await http.get("/api/v1/cases", params={"limit": number}), 422)


async def test_a_hundred_megabytes_are_refused_while_they_come(live: Live) -> None:
    host, port = live.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /api/v1/cases HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {live.tokens['']}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    piece = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    answer = asyncio.create_task(reader.readline())
    sent = 0
    while not answer.done() and sent < 100_000_000:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
        sent += 100_000
    assert b" 413 " in await asyncio.wait_for(answer, 20)
    assert sent < 20_000_000, "it was answered when it was too late"
    writer.close()
    async with web(live) as http:
        assert (await http.get("/ok")).status_code == 200


async def raw(
    live: Live, path: str, *lines: str, body: bytes = b"", announce: int | None = None
) -> asyncio.StreamWriter:
    host, port = live.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}:{port}",
        f"Authorization: Bearer {live.tokens['']}",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if announce is None else announce}",
        *lines,
    ]
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
    await writer.drain()
    return writer


async def test_a_client_that_vanishes_within_its_body_has_done_nothing(live: Live) -> None:
    before = await live.house.database.read("default", lambda ledger: ledger.cases.by_status())
    for path in WRITES:
        writer = await raw(live, path, body=b'{"kind": "returns", "payload": ', announce=5_000)
        writer.close()
        await writer.wait_closed()
    async with web(live) as http:
        assert (await http.get("/api/v1/status")).json()["cases"] == before


async def test_a_client_that_vanishes_while_it_waits_has_opened_its_case(live: Live) -> None:
    payload = await live.small()
    body = httpx.Request("POST", live.url, json={"kind": "returns", "payload": payload}).content
    writer = await raw(live, "/api/v1/cases", "Prefer: wait=60", "Idempotency-Key: gone-1", body=body)
    who = {"subject": payload["customer_id"]}
    async with asyncio.timeout(20), web(live) as http:
        found: list[dict[str, Any]] = []
        while not found:
            ticket = live.house.stream.ticket()
            found = (await http.get("/api/v1/cases", params=who)).json()["items"]
            if not found:
                await ticket.wait()
        writer.close()
        case = found[0]["id"]
        await live.house.settled("default", {case})
        again = {"json": {"kind": "returns", "payload": payload}, "headers": {"Idempotency-Key": "gone-1"}}
        answer = await http.post("/api/v1/cases", **again)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["case"]["id"]) == (200, case)
    assert await live.whole()


async def test_a_token_that_opens_nothing_is_told_why(live: Live) -> None:
    def ended(ledger: Any) -> str:
        ledger.people.add("default", "late", frozenset({"viewer"}))
        return str(ledger.people.new_token("default", "late", timedelta(seconds=-1)))

    expired = await live.house.database.write("default", ended)
    for header in (f"Bearer {expired}", "Bearer cs_wrong", "Bearer", "Basic YTpi", "Bearer a b", "bearer", "Token x"):
        async with httpx.AsyncClient(base_url=live.url, headers={"Authorization": header}) as http:
            for path in ("/api/v1/me", "/api/v1/cases"):
                answer = await http.get(path)
                assert refused(answer, 401)["hint"]
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_another_workspace_and_another_person_find_nothing_of_a_case(live: Live) -> None:
    case, approval = await live.waiting(await live.dear())
    name, review = case["case"]["id"], approval["approval"]["id"]
    roles = frozenset({"operator", "returns_reviewer", "compliance"})

    def stranger(ledger: Any) -> str:
        ledger.people.add("elsewhere", "eve", roles)
        return str(ledger.people.new_token("elsewhere", "eve", None))

    live.tokens["eve"] = await live.house.database.write("elsewhere", stranger)
    await live.add("bot", "service")
    gets = ("", "/trace", "/events", "/checkpoints", "/compensation")
    posts = ("/pause", "/resume", "/cancel", "/retry", "/fork", "/compensate")
    async with web(live, "eve") as eve, web(live, "bot") as bot:
        for path in gets:
            refused(await eve.get(f"/api/v1/cases/{name}{path}"), 404)
            refused(await bot.get(f"/api/v1/cases/{name}{path}"), 403, 404)
        for path in posts:
            refused(await eve.post(f"/api/v1/cases/{name}{path}", json={}), 404)
            refused(await bot.post(f"/api/v1/cases/{name}{path}", json={}), 403, 404)
        refused(await eve.get(f"/api/v1/approvals/{review}"), 404)
        refused(await eve.post(f"/api/v1/approvals/{review}/claim"), 404)
        vote = {"choice": "approve", "seen": approval["seen"]}
        refused(await eve.post(f"/api/v1/approvals/{review}/decide", json=vote), 404)
        for path in ("/cases", "/approvals", "/traces", "/audit"):
            assert (await eve.get(f"/api/v1{path}")).json()["items"] == []
        assert (await eve.get("/api/v1/kpis")).json()["cases"] == 0
        assert (await eve.get("/api/v1/audit", params={"case": name})).json()["items"] == []


async def test_decisions_that_come_late_twice_or_against_each_other_change_nothing(live: Live) -> None:
    _, approval = await live.waiting(await live.dear())
    path = f"/api/v1/approvals/{approval['approval']['id']}/decide"
    vote = {"choice": "approve", "seen": approval["seen"]}
    async with web(live, "rita") as rita, web(live, "sam") as sam:
        refused(await rita.post(path, json={**vote, "seen": "0" * 64}), 409)
        refused(await rita.post(path, json={**vote, "choice": "perhaps"}), 422)
        refused(await rita.post(path, json={**vote, "dwell_s": -1}), 422)
        both = await asyncio.gather(
            rita.post(path, json=vote),
            sam.post(path, json={**vote, "choice": "reject", "reason_code": "other", "note": "no"}),
        )
        assert sorted(answer.status_code for answer in both) == [200, 409]
        late = next(answer for answer in both if answer.status_code == 409)
        assert ("rita" in late.text) != ("sam" in late.text)
        for again in (rita, sam):
            refused(await again.post(path, json={**vote, "choice": "reject", "reason_code": "other", "note": "x"}), 409)
    assert await live.whole()
