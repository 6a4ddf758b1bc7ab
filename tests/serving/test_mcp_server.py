"""The house as an MCP server, met with the official client: the same tokens, roles, gate and votes as everywhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.serving.live import Live

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODES = ["auto", "legacy"]


@asynccontextmanager
async def client(live: Live, person: str = "", mode: str = "auto") -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {live.tokens[person]}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        way = streamable_http_client(f"{live.url}/mcp", http_client=http)
        async with Client(way, mode=mode) as found:
            yield found


async def call(found: Client, tool: str, **args: Any) -> dict[str, Any]:
    """The structured answer of a call that went well."""
    answer = await found.call_tool(tool, args)
    assert not answer.is_error, answer.content
    assert isinstance(answer.structured_content, dict)
    return answer.structured_content


async def no(found: Client, tool: str, **args: Any) -> dict[str, Any]:
    """The problem document of a call that was refused."""
    answer = await found.call_tool(tool, args)
    assert answer.is_error, answer.structured_content
    problem = answer.structured_content
    assert isinstance(problem, dict)
    assert problem["type"].startswith("urn:countersign:")
    assert problem["detail"] in answer.content[0].text
    assert "Traceback" not in answer.content[0].text
    return problem


@pytest.mark.parametrize("mode", MODES)
async def test_each_is_shown_what_they_may_use(live: Live, mode: str) -> None:
    await live.add("bot", "service")
    async with client(live, "vera", mode) as viewer:
        names = {tool.name for tool in (await viewer.list_tools()).tools}
        assert {"get_case", "list_cases", "list_approvals", "get_approval"} <= names
        assert not names & {"submit_case", "decide_approval", "claim_approval", "refunds__create"}
    async with client(live, "bot", mode) as bot:
        tools = {tool.name: tool for tool in (await bot.list_tools()).tools}
        assert "submit_case" in tools
        assert "orders__get" in tools
        assert not tools.keys() & {"decide_approval", "list_approvals", "policy__publish"}
        reading = tools["orders__get"].annotations
        assert reading is not None
        assert (reading.read_only_hint, reading.destructive_hint, reading.idempotent_hint) == (True, False, True)
        paying = tools["refunds__create"].annotations
        assert paying is not None
        assert (paying.read_only_hint, paying.destructive_hint) == (False, True)


@pytest.mark.parametrize("mode", ["legacy"])
async def test_a_case_is_opened_once_and_voted_on_by_who_may(live: Live, mode: str) -> None:
    payload = await live.dear()
    async with client(live, "", mode) as owner:
        opened = await call(owner, "submit_case", kind="returns", payload=payload, key=f"mcp-{mode}", wait_s=30)
        case = opened["case"]["id"]
        assert opened["case"]["status"] == "waiting"
        again = await call(owner, "submit_case", kind="returns", payload=payload, key=f"mcp-{mode}")
        assert again["case"]["id"] == case
        assert case in {each["id"] for each in (await call(owner, "list_cases", status=["waiting"]))["items"]}
        (waits,) = [each for each in opened["approvals"] if each["status"] == "open"]
        seen = (await call(owner, "get_approval", approval_id=waits["id"]))["seen"]
        mine = await no(owner, "decide_approval", approval_id=waits["id"], choice="approve", seen=seen)
        assert "opened this case" in mine["detail"]
        assert mine["status"] == 403
    async with client(live, "rita", mode) as rita:
        queue = await call(rita, "list_approvals")
        assert waits["id"] in {each["id"] for each in queue["items"]}
        detail = await call(rita, "get_approval", approval_id=waits["id"])
        assert detail["facts"]
        assert detail["matches"]
        assert (await call(rita, "claim_approval", approval_id=waits["id"]))["claimed_by"] == "rita"
        stale = await no(rita, "decide_approval", approval_id=waits["id"], choice="approve", seen="0" * 64)
        assert stale["type"] == "urn:countersign:stale-state"
        vote = {"approval_id": waits["id"], "choice": "approve", "seen": detail["seen"], "key": f"vote-{mode}"}
        assert (await call(rita, "decide_approval", **vote))["status"] == "approved"
        assert (await call(rita, "decide_approval", **vote))["status"] == "approved"
        late = await no(rita, "decide_approval", approval_id=waits["id"], choice="reject", seen=detail["seen"])
        assert late["status"] == 409
    await live.house.settled("default", {case})
    async with client(live, "", mode) as owner:
        assert (await call(owner, "get_case", case_id=case))["case"]["outcome"] == "refunded"
    assert (await live.done_at_the_shop(case)).count("refunds.create") == 1
    assert await live.whole()


async def test_a_viewer_and_a_service_are_refused_what_they_were_not_shown(live: Live) -> None:
    await live.add("bot", "service")
    case, waits = await live.waiting(await live.dear())
    name = waits["approval"]["id"]
    async with client(live, "vera") as viewer:
        refused = await no(viewer, "submit_case", kind="returns", payload=await live.small())
        assert "operator" in refused["missing_role"]
        assert (await no(viewer, "claim_approval", approval_id=name))["status"] == 403
        assert (
            await no(viewer, "orders__get", case_id=case["case"]["id"], args={"order_id": "x", "customer_id": "y"})
        )["status"] == 403
    async with client(live, "bot") as bot:
        for tool, more in (("decide_approval", {"choice": "approve", "seen": waits["seen"]}), ("get_approval", {})):
            assert (await no(bot, tool, approval_id=name, **more))["status"] == 403
        assert (await no(bot, "get_case", case_id=case["case"]["id"]))["status"] == 404
        listed = await call(bot, "list_cases")
        assert case["case"]["id"] not in {each["id"] for each in listed["items"]}


async def test_a_kinds_tool_is_a_proposal_that_policy_and_people_decide(live: Live) -> None:
    await live.add("bot", "service")
    payload = await live.dear()
    progress: list[str] = []

    async def heard(passed: float, of: float | None, what: str | None) -> None:
        progress.append(str(what))

    async with client(live, "bot") as bot:
        opened = await call(bot, "submit_case", kind="returns", payload=payload, wait_s=30)
        case = opened["case"]["id"]
        theirs = {"order_id": payload["order_id"], "customer_id": payload["customer_id"]}
        order = await call(bot, "orders__get", case_id=case, args=theirs)
        assert order["status"] == "done"
        assert order["result"]["order_id"] == payload["order_id"]
        before = await live.done_at_the_shop(case)
        asked = {"case_id": case, "args": {"question": "May I?", "context": ""}, "key": "q1"}
        answer = await bot.call_tool("people__ask", {**asked, "wait_s": 1}, progress_callback=heard)
        told = answer.structured_content
        assert told["status"] == "waiting"
        assert any("people.ask is waiting" in each for each in progress)
        assert (await call(bot, "people__ask", **asked))["action"] == told["action"]
        clash = await no(bot, "people__ask", case_id=case, args={"question": "Else?", "context": ""}, key="q1")
        assert clash["type"] == "urn:countersign:key-reused"
        denied = await call(bot, "labels__void", case_id=case, args={"label_id": "lbl_none"})
        assert denied["status"] in ("denied", "waiting", "failed")
        assert denied["reason"]
        assert await live.done_at_the_shop(case) == before
        wrong = await no(bot, "orders__get", case_id=case, args={**theirs, "order_id": 7})
        assert wrong["field"] == "args.order_id"
        unknown = await no(bot, "orders__get", case_id=case, args={**theirs, "sql": "drop"})
        assert unknown["status"] == 422
        with pytest.raises(MCPError, match="There is no tool"):
            await bot.call_tool("refunds__everything", {})
    async with client(live, "rita") as rita:
        seen = (await call(rita, "get_approval", approval_id=told["approval"]))["seen"]
        await call(rita, "decide_approval", approval_id=told["approval"], choice="approve", seen=seen)
    async with client(live, "bot") as bot:
        assert (await call(bot, "people__ask", **asked, wait_s=30))["status"] == "done"
    assert await live.whole()


@pytest.mark.parametrize("mode", MODES)
async def test_cases_approvals_and_policy_can_be_read(live: Live, mode: str) -> None:
    await live.add("bot", "service")
    case, waits = await live.waiting(await live.dear())
    async with client(live, "vera", mode) as viewer:
        listed = {str(each.uri) for each in (await viewer.list_resources()).resources}
        assert {"countersign://policy/returns", f"countersign://approval/{waits['approval']['id']}"} <= listed
        assert len((await viewer.list_resource_templates()).resource_templates) == 3
        (book,) = (await viewer.read_resource("countersign://policy/returns")).contents
        assert "rules:" in book.text
        (found,) = (await viewer.read_resource(f"countersign://case/{case['case']['id']}")).contents
        assert json.loads(found.text)["case"]["id"] == case["case"]["id"]
        for uri in (
            "countersign://case/case_nope",
            "countersign://policy/nope",
            "countersign://else/x",
            "https://x.example/",
        ):
            with pytest.raises(MCPError, match="There is no"):
                await viewer.read_resource(uri)
    async with client(live, "bot", mode) as bot:
        assert (await bot.list_resources()).resources == []
        with pytest.raises(MCPError, match="may not read"):
            await bot.read_resource("countersign://policy/returns")


async def test_the_door_asks_who_is_there_and_under_which_name(live: Live) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    accepts = {"Accept": "application/json, text/event-stream"}
    token = {"Authorization": f"Bearer {live.tokens['vera']}"}
    async with httpx.AsyncClient(base_url=live.url, headers=accepts, timeout=30) as http:
        nobody = await http.post("/mcp", json=body)
        assert nobody.status_code == 401
        assert nobody.headers["www-authenticate"].startswith("Bearer")
        assert (await http.post("/mcp", json=body, headers={"Authorization": "Bearer cs_no"})).status_code == 401
        for foreign in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            refused = await http.post("/mcp", json=body, headers={**token, **foreign})
            assert refused.status_code == 403
            assert "COUNTERSIGN_MCP__" in refused.json()["hint"]
        assert (await http.get("/mcp", headers=token)).status_code == 405
        large = await http.post("/mcp", content=b"[" + b"1," * 600_000 + b"1]", headers=token)
        assert large.status_code == 413
        fine = await http.post("/mcp", json=body, headers=token)
        assert fine.status_code == 200
        assert "get_case" in fine.text


def _calling(tool: str, args: Any) -> bytes:
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": args}}
    return json.dumps(request).encode()


BAD: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"7",
    b"[" * 5000 + b"]" * 5000,
    b'{"jsonrpc":"2.0"}',
    b'{"jsonrpc":"2.0","id":{"a":1},"method":"tools/list"}',
    b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]',
    _calling("get_case", {"case_id": "\x00"}),
    _calling("get_case", {"case_id": "x" * 100_000}),
    _calling("get_case", [1]),
    _calling("get_case", None),
    _calling("list_approvals", {"at": 10**30}),
    _calling("submit_case", {"kind": "returns", "payload": {}, "key": "a b"}),
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_case","arguments":{"case_id":"\\ud800"}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":7}}',
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}',
    b'{"jsonrpc":"2.0","id":1,"method":"nothing"}',
]


async def test_whatever_is_sent_the_house_says_what_is_wrong_and_breaks_nowhere(live: Live) -> None:
    headers = {
        "Authorization": f"Bearer {live.tokens['vera']}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    async with httpx.AsyncClient(base_url=live.url, headers=headers, timeout=30) as http:
        for body in BAD:
            for version in ("", "2026-07-28", "banana"):
                named = {"MCP-Protocol-Version": version} if version else {}
                answer = await http.post("/mcp", content=body, headers=named)
                assert answer.status_code < 500, (body[:80], version, answer.text[:300])
                assert "Traceback" not in answer.text
                assert "Something broke" not in answer.text
                assert "-32603" not in answer.text


async def test_a_token_held_to_another_way_in_opens_no_door_here(live: Live) -> None:
    def issue(ledger: Any) -> str:
        ledger.people.add("default", "apiece", frozenset({"operator"}))
        return str(ledger.people.tokens.issue("default", "apiece", None, scopes=frozenset({"api"}))[0])

    live.tokens["apiece"] = await live.house.database.write("default", issue)
    async with httpx.AsyncClient(base_url=live.url, timeout=30) as http:
        headers = {"Authorization": f"Bearer {live.tokens['apiece']}"}
        assert (await http.get("/api/v1/me", headers=headers)).status_code == 200
        refused = await http.post("/mcp", content=b"{}", headers=headers)
        assert refused.status_code == 403
