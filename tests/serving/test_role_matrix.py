"""Every route as every role: who gets in, who is refused, and who is not even told that something is there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi.routing import iter_route_contexts

from core.access_settings import AuthSettings
from core.people import Surface
from core.settings import Settings
from serving.api.app import routed
from serving.auth.door import surface_of
from serving.mcp import door as mcp_door
from tests.serving.live import Live, living
from tests.support.folders import quick_folder
from tests.support.repository import ROOT
from tests.support.role_matrix import BODIES, OPEN, ROLES, TYPES, Line, lines, markdown

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLE_OF = {"reviewer": "returns_reviewer"}
IDS = re.compile(r"\{(\w+)(?::\w+)?\}")
OURS = {"case_id", "approval_id", "token_id", "thread_id", "run_id"}
"""Ids of what belongs to somebody. Names of people and of kinds are words, which each workspace has of its own."""


def routes() -> set[str]:
    """Each route that the server answers; that of MCP is hung in where it starts."""
    app = routed()
    app.include_router(mcp_door.router)
    return {
        f"{method} {each.path}"
        for each in iter_route_contexts(app.routes)
        for method in (each.methods or ())
        if method not in ("HEAD", "OPTIONS")
    }


@dataclass
class House:
    """A house with something in it that belongs to its owner, and people of each role who have nothing."""

    live: Live
    http: httpx.AsyncClient
    payload: dict[str, Any]
    ids: dict[str, str] = field(default_factory=dict)

    async def fresh(self, line: Line) -> dict[str, str]:
        """What ids stand for; what the request would take away is made for it."""
        ids = dict(self.ids)
        if line.path.endswith(("/pause", "/resume", "/cancel", "/retry", "/compensate")):
            ids["case_id"] = ids["other_case"]
        if line.method == "DELETE" and "{token_id}" in line.path:
            rows = await self.live.house.database.write(
                "default", lambda ledger: ledger.people.tokens.issue("default", "sam", None)
            )
            ids["token_id"] = rows[1].id
        if line.method == "DELETE" and "{thread_id}" in line.path:
            ids |= await self.thread()
        return ids

    async def thread(self) -> dict[str, str]:
        """One of the owner's, with a run."""
        async with self.live.as_() as http:
            thread = (await http.post(f"{self.live.url}/threads", json={})).json()["thread_id"]
            run = {"assistant_id": "returns", "input": await self.live.small()}
            made = await http.post(f"{self.live.url}/threads/{thread}/runs", json=run)
        assert made.status_code == 200, made.text
        return {"thread_id": thread, "run_id": made.json()["run_id"]}

    async def call(self, line: Line, token: str | None) -> httpx.Response:
        """The answer; of a stream its head."""
        ids = await self.fresh(line) if token in self.live.tokens.values() else self.ids
        path = IDS.sub(lambda found: ids.get(found[1], "nothing-of-that-name"), line.path)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        sent = _filled(BODIES.get(line.name, {}), ids | {"payload": self.payload})
        whole: dict[str, Any] = {"params": sent} if line.method == "GET" else {"json": sent}
        if line.name in TYPES:
            headers["Content-Type"] = TYPES[line.name]
        async with self.http.stream(line.method, f"{self.live.url}{path}", headers=headers, **whole) as answer:
            if "event-stream" not in answer.headers.get("content-type", ""):
                await answer.aread()
            return answer


def _filled(value: Any, ids: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, ids) for each in value]
    return ids.get(value[1:-1], value) if isinstance(value, str) and value.startswith("{") else value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    auth = AuthSettings(failures_per_minute=0, requests_per_s=0)
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data", auth=auth)) as live:
            for role in ROLES:
                await live.add(role, ROLE_OF.get(role, role))
            everything = [ROLE_OF.get(role, role) for role in ROLES if role != "service"]
            await live.add("all", *everything)
            clock = live.house.database.clock

            def special(ledger: Any) -> dict[str, str]:
                issue = ledger.people.tokens.issue
                return {
                    "reads": issue("default", "all", None, scopes=["read"])[0],
                    "api": issue("default", "all", None, scopes=["api"])[0],
                    "expired": issue("default", "all", timedelta(seconds=1))[0],
                }

            def stranger(ledger: Any) -> str:
                ledger.people.add("elsewhere", "stranger", frozenset(everything))
                return str(ledger.people.new_token("elsewhere", "stranger", None))

            live.tokens |= await live.house.database.write("default", special)
            live.tokens["stranger"] = await live.house.database.write("elsewhere", stranger)
            clock.advance(timedelta(seconds=2))  # type: ignore[attr-defined]
            case, detail = await live.waiting(await live.dear())
            other, _ = await live.waiting(await live.dear())
            ids = {"case_id": case["case"]["id"], "other_case": other["case"]["id"]}
            ids |= {"approval_id": detail["approval"]["id"], "seen": detail["seen"], "person_id": "sam"}
            ids |= dict.fromkeys(("assistant_id", "model", "graph_id"), "returns")
            async with live.as_() as http:
                ids["checkpoint"] = (await http.get(f"/cases/{ids['case_id']}/checkpoints")).json()["items"][0]["id"]
            async with httpx.AsyncClient(timeout=20, verify=False) as http:
                found = House(live, http, await live.small(), ids)
                ids |= await found.thread()
                yield found


def outcome(answer: httpx.Response) -> str:
    """Of a batch, that of its one item."""
    assert answer.status_code not in (401, 500), (answer.url, answer.status_code, answer.text)
    status = answer.status_code
    if answer.url.path.startswith("/api/v1/") and answer.url.path.endswith("/batch") and status == 200:
        (item,) = answer.json()["items"]
        status = item["status"]
    return {403: "-", 404: "~"}.get(status, "+")


async def test_every_route_has_a_line_and_every_line_a_route() -> None:
    known = {each.name for each in lines()} | set(OPEN)
    assert sorted(routes() - known) == [], "routes without a line in tests/support/role_matrix.py"
    assert sorted(known - routes()) == [], "lines without a route"


async def test_the_document_has_the_matrix() -> None:
    assert markdown() in (ROOT / "docs/security.md").read_text(), "python -m tests.support.role_matrix prints it"


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.name)
async def test_as_each_role(house: House, line: Line) -> None:
    answers = {role: await house.call(line, house.live.tokens[role]) for role in ROLES}
    assert {role: outcome(each) for role, each in answers.items()} == line.cells
    unread = [each.text for each in answers.values() if each.status_code == 422]
    assert not unread, "a body in tests/support/role_matrix.py that says nothing of who may"


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.name)
async def test_without_a_good_token_nobody_gets_in(house: House, line: Line) -> None:
    for token in (None, house.live.tokens["expired"], "cs_nobody"):
        answer = await house.call(line, token)
        assert answer.status_code == 401, answer.text
        assert "traceback" not in answer.text.lower()


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.name)
async def test_a_token_that_reads_does_nothing_else(house: House, line: Line) -> None:
    """Whatever its person may: with it they may what a viewer may, and make no tokens."""
    found = outcome(await house.call(line, house.live.tokens["reads"]))
    assert found == ("-" if line.name == "POST /api/v1/tokens" else line.cells["viewer"])


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.name)
async def test_a_token_of_one_surface_opens_no_other(house: House, line: Line) -> None:
    answer = await house.call(line, house.live.tokens["api"])
    elsewhere = surface_of(line.path) is not Surface.API
    assert (answer.status_code == 403 and "This token is not for" in answer.text) == elsewhere


@pytest.mark.parametrize("line", [each for each in lines() if OURS & set(IDS.findall(each.path))], ids=str)
async def test_who_is_of_another_workspace_reaches_nothing_of_this_one(house: House, line: Line) -> None:
    answer = await house.call(line, house.live.tokens["stranger"])
    assert answer.status_code in (403, 404, 405, 409, 422, 501), answer.text
    assert not [each for each in (house.ids["seen"], "cus_", "ord_") if each in answer.text]


async def test_each_open_route_is_open(house: House) -> None:
    for name in OPEN:
        method, path = name.split()
        assert (await house.call(Line(method, path, {}), None)).status_code == 200
