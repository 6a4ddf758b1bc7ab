"""Tokens over HTTP: what each opens, who makes which, and how they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.access_settings import AuthSettings
from core.people import OF_PEOPLE, Person
from core.settings import Settings
from serving.local import issue_local_token
from tests.serving.live import JSON, Live, living, typed
from tests.support.folders import quick_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def made(live: Live, by: str, under: str, **wanted: Any) -> JSON:
    """A token that somebody made, known to the tests under a name."""
    async with live.as_(by) as http:
        answer = await http.post("/tokens", json=wanted)
    assert answer.status_code == 201, answer.text
    live.tokens[under] = answer.json()["token"]
    return dict(answer.json())


async def refused(live: Live, by: str, **wanted: Any) -> JSON:
    async with live.as_(by) as http:
        answer = await http.post("/tokens", json=wanted)
    assert answer.status_code >= 400, answer.text
    return dict(answer.json())


async def entries(live: Live, kind: str, token_id: str) -> list[str]:
    rows = await live.house.database.read("default", lambda ledger: list(ledger.audit.entries()))
    return [row.body for row in rows if row.type == kind and token_id in row.body]


async def test_somebody_makes_a_narrow_token_and_it_opens_no_more(live: Live) -> None:
    token = await made(live, "", "narrow", name="export", scopes=["read", "api"], days=7)
    assert token["token"].startswith("cs_")
    assert (token["scopes"], token["person"], token["issued_by"]) == (["api", "read"], token["person"], token["person"])
    async with live.as_("narrow") as http:
        me = (await http.get("/me")).json()
        assert me["permissions"] == ["read"]
        assert (await http.get("/cases")).status_code == 200
        answer = await http.post("/cases", json={"kind": "returns", "payload": await live.small()})
        assert answer.status_code == 403
        assert answer.json()["missing_scope"] == "submit"
        assert "though" in answer.json()["detail"]
        assert (await http.post("/tokens", json={})).status_code == 403  # nothing wider is made with it
        assert (await http.post("/people/vera/suspend")).status_code == 403
        chat = await http.get(f"{live.url}/v1/models")
        assert (chat.status_code, chat.json().get("missing_scope", "chat")) == (403, "chat")
    assert len(await entries(live, "token.issued", token["id"])) == 1


async def test_a_token_is_shown_once_and_listed_without_itself(live: Live) -> None:
    token = await made(live, "rita", "ritas", name="phone")
    async with live.as_("ritas") as http:
        rows = (await http.get("/tokens")).json()["items"]
        (row,) = [each for each in rows if each["id"] == token["id"]]
        assert row["name"] == "phone"
        assert row["last_used_at"]
        assert token["token"] not in str(rows)
        assert {each["person"] for each in rows} == {"rita"}
    async with live.as_("sam") as http:
        assert (await http.get("/tokens?of=rita")).status_code == 403
        assert (await http.delete(f"/tokens/{token['id']}")).status_code == 404
    async with live.as_() as http:
        assert token["id"] in [each["id"] for each in (await http.get("/tokens?of=rita")).json()["items"]]


async def test_a_token_ends_at_once_and_no_other_with_it(live: Live) -> None:
    first, second = await made(live, "sam", "first"), await made(live, "sam", "second")
    async with live.as_("first") as one, live.as_("second") as other:
        assert (await one.get("/me")).status_code == (await other.get("/me")).status_code == 200
        assert (await other.delete(f"/tokens/{first['id']}")).status_code == 204
        answer = await one.get("/me")
        assert answer.status_code == 401
        assert "revoked" in answer.json()["detail"]
        assert (await other.get("/me")).status_code == 200
        assert (await other.delete("/tokens/token_nope")).status_code == 404
        assert (await other.delete(f"/tokens/{second['id']}")).status_code == 204
        assert (await other.get("/me")).status_code == 401
    assert len(await entries(live, "token.revoked", first["id"])) == 1


async def test_a_token_expires_and_ends_no_later_than_the_one_that_made_it(live: Live) -> None:
    day = await made(live, "sam", "day", days=1)
    longer = await made(live, "day", "longer", days=30)
    assert longer["expires_at"] == day["expires_at"]
    usual = await made(live, "sam", "usual")
    now = live.house.database.clock.now()
    assert usual["expires_at"] == (now + timedelta(days=90)).isoformat().replace("+00:00", "Z")
    assert "365 days at most" in (await refused(live, "sam", days=366))["detail"]
    async with live.as_("longer") as http:
        assert (await http.get("/me")).status_code == 200
        live.house.database.clock.advance(timedelta(days=1))  # type: ignore[attr-defined]
        answer = await http.get("/me")
        assert answer.status_code == 401
        assert "expired" in answer.json()["detail"]


async def test_nobody_gets_a_token_of_another_human_being(live: Live) -> None:
    await live.add("root", "admin")
    await live.add("shop", "service")
    for by in ("root", ""):
        told = await refused(live, by, person="rita")
        assert told["status"] == 403
        assert "rita is a person" in told["detail"]
    assert (await refused(live, "rita", person="shop"))["missing_role"] == "admin"
    assert (await refused(live, "root", person="nobody"))["status"] == 404
    assert (await refused(live, "shop"))["detail"] == "A service account makes no tokens."
    assert (await refused(live, "root", scopes=["decide"]))["status"] == 403
    assert (await refused(live, "root", person="shop", scopes=["read"]))["status"] == 403
    assert (await refused(live, "root", scopes=["everything"]))["field"] == "scopes"
    assert (await refused(live, "root", person="shop", kinds=["returns"]))["field"] == "kinds"


async def test_a_token_for_a_kind_opens_no_other(live: Live) -> None:
    await live.add("root", "admin")
    await live.add("kiosk", "service")
    wanted: JSON = {"person": "kiosk", "scopes": ["submit"], "kinds": ["returns"]}
    assert (await made(live, "root", "kiosk", **wanted))["kinds"] == ["returns"]
    async with live.as_("kiosk") as http:
        body = {"kind": "returns", "payload": await live.small()}
        assert (await http.post("/cases", json=body)).status_code == 201
        other = next(kind for kind in live.house.kinds if kind != "returns")
        answer = await http.post("/cases", json={"kind": other, "payload": {}})
        assert answer.status_code == 403
        assert "held to: returns" in answer.json()["hint"]
        thread = (await http.post(f"{live.url}/threads", json={})).json()["thread_id"]
        run = {"assistant_id": other, "input": {"messages": [{"role": "user", "content": "hello"}]}}
        answer = await http.post(f"{live.url}/threads/{thread}/runs", json=run)
        assert (answer.status_code, "held to: returns" in answer.json()["hint"]) == (403, True)


async def test_who_holds_a_service_accounts_token_does_not_decide_what_it_opened(live: Live) -> None:
    """Four eyes: an account that one of them can use is no second pair."""
    await live.add("chief", "admin", "returns_reviewer")
    await live.add("robot", "service")
    await made(live, "chief", "robot", person="robot")
    async with live.as_("robot") as robot, live.as_("chief") as chief, live.as_("rita") as rita:
        body = {"kind": "returns", "payload": await live.dear()}
        case = (await robot.post("/cases", json=body, headers={"Prefer": "wait=20"})).json()
        approval = case["approvals"][0]["id"]
        vote = {"choice": "approve", "seen": (await chief.get(f"/approvals/{approval}")).json()["seen"]}
        answer = await chief.post(f"/approvals/{approval}/decide", json=vote)
        assert answer.status_code == 403
        assert "You hold a token of robot" in answer.json()["detail"]
        assert (await rita.post(f"/approvals/{approval}/decide", json=vote)).status_code == 200


async def test_a_service_account_never_decides_whatever_roles_it_is_given(live: Live) -> None:
    await live.add("greedy", "service", "returns_reviewer", "operator", "admin", "compliance")
    _, detail = await live.waiting(await live.dear())
    approval = detail["approval"]["id"]
    async with live.as_("greedy") as http:
        assert not {*map(str, OF_PEOPLE)} & set((await http.get("/me")).json()["permissions"])
        vote = {"choice": "approve", "seen": detail["seen"]}
        answer = await http.post(f"/approvals/{approval}/decide", json=vote)
        assert answer.status_code == 403
        assert "a service account never" in answer.json()["hint"]
        assert (await http.post(f"/approvals/{approval}/claim")).status_code == 403
        grant = {"roles": ["returns_reviewer"]}
        assert (await http.post("/people/greedy/roles", json=grant)).status_code == 403
        assert (await http.post("/tokens", json={})).status_code == 403


async def test_a_vote_weighs_nothing_once_its_person_is_a_service_account(live: Live) -> None:
    """Between a vote and its effect: what is counted is who they are now."""
    from engine.votes import valid_voters

    await live.add("turning", "returns_reviewer")
    _, detail = await live.waiting(await live.dear())
    review = detail["approval"]["id"]
    async with live.as_("turning") as http:
        vote = {"choice": "approve", "seen": detail["seen"]}
        assert (await http.post(f"/approvals/{review}/decide", json=vote)).status_code == 200

    def count(ledger: Any) -> list[str]:
        row = ledger.reviews.get(review)
        return sorted(valid_voters(ledger, ledger.effects.proposed(ledger.effects.action(row.action_id)), row))

    assert await live.house.database.read("default", count) == ["turning"]
    await live.add("turning", "returns_reviewer", "service")
    assert await live.house.database.read("default", count) == []


async def test_who_is_suspended_is_out_at_once(live: Live) -> None:
    await live.add("root", "admin")
    await live.add("gone", "returns_reviewer", "viewer")
    async with live.as_("gone") as gone, live.as_("root") as root, live.as_("rita") as rita:
        assert (await gone.get("/me")).status_code == 200
        assert (await rita.post("/people/gone/suspend")).status_code == 403
        assert (await root.post("/people/root/suspend")).status_code == 403
        assert (await root.post("/people/nobody/suspend")).status_code == 404
        assert (await root.post("/people/gone/suspend")).status_code == 204
        assert (await gone.get("/me")).status_code == 401
        row = (await root.get("/people/gone")).json()
        assert (row["active"], row["service"]) == (False, False)
    assert await entries(live, "person.suspended", "gone")


@pytest.mark.parametrize("path", ["/events", "/events/published"])
async def test_a_stream_ends_for_whoever_is_shut_out(path: str) -> None:
    """Not with the next request alone: what goes on is asked again."""
    with quick_folder() as folder:
        settings = Settings(data=folder / "data", auth=AuthSettings(streams_asked_s=0))
        async with living(settings) as quick, quick.as_("vera") as vera, quick.as_("rita") as rita:
            wants = {"Accept": "text/event-stream", "Last-Event-ID": "0"}
            async with vera.stream("GET", path, headers=wants) as hers, rita.stream("GET", path, headers=wants) as his:
                lines, other = hers.aiter_lines(), his.aiter_lines()
                first = (await quick.submit(await quick.small()))["case"]["id"]
                await _until(lines, first)
                await quick.house.database.write("default", lambda ledger: ledger.people.suspend("default", "vera"))
                second = (await quick.submit(await quick.small()))["case"]["id"]
                await _until(other, second)
                rest = [line async for line in lines]
                assert second not in "".join(rest)
            assert (await vera.get("/me")).status_code == 401


async def _until(lines: AsyncIterator[str], word: str) -> None:
    async for line in lines:
        if word in line:
            return
    raise AssertionError(f"the stream ended before {word}")


async def test_people_are_listed_and_roles_are_asked_for_through_the_gate(live: Live) -> None:
    await live.add("root", "admin")
    async with live.as_("root") as root, live.as_("rita") as rita:
        names: list[str] = []
        page = (await root.get("/people?limit=2")).json()
        while page["next"]:
            names += [each["id"] for each in page["items"]]
            page = (await root.get(f"/people?limit=2&after={page['next']}")).json()
        names += [each["id"] for each in page["items"]]
        assert len(names) == len(set(names)) >= 5
        assert names == sorted(names)
        asked = await root.post("/people/newcomer/roles", json={"roles": ["returns_reviewer"], "note": "joins us"})
        assert asked.status_code == 201
        assert asked.headers["Location"] == f"/api/v1/cases/{asked.json()['id']}"
        assert (await root.get("/people/newcomer")).status_code == 404  # people decide on it first
        answer = await rita.post("/people/rita/roles", json={"roles": ["admin"]})
        assert answer.status_code == 403


async def test_the_same_token_comes_as_an_api_key_too(live: Live) -> None:
    token = live.tokens["vera"]
    async with live.as_("vera") as http:
        del http.headers["Authorization"]
        assert (await http.get("/me", headers={"X-Api-Key": token})).json()["id"] == "vera"
        both = {"X-Api-Key": token, "Authorization": f"Bearer {live.tokens['rita']}"}
        assert (await http.get("/me", headers=both)).status_code == 401
        assert (await http.get("/me", headers={"Authorization": f"Basic {token}"})).status_code == 401
        long = await http.get("/me", headers={"Authorization": f"Bearer {'x' * 9000}"})
        assert (long.status_code, "so long" in long.json()["detail"]) == (401, True)


async def test_a_new_local_token_ends_the_one_before_and_none_that_was_made(live: Live) -> None:
    before = live.tokens[""]
    mine = await made(live, "", "kept")
    me = Person(id=mine["person"], roles=frozenset({"admin", "operator"}))
    live.tokens[""] = issue_local_token(live.house.database, live.house.settings.data, me)
    live.tokens["before"] = before
    async with live.as_("before") as old, live.as_() as new, live.as_("kept") as kept:
        assert (await old.get("/me")).status_code == 401
        assert (await new.get("/me")).status_code == (await kept.get("/me")).status_code == 200


async def test_tokens_by_the_command(live: Live) -> None:
    import asyncio

    env = {"COUNTERSIGN_URL": live.url, "COUNTERSIGN_TOKEN": live.tokens["rita"]}
    made = await asyncio.to_thread(typed, "token", "new", "--name", "cli", "--scope", "read", env=env)
    assert (made.code, made.out[:3]) == (0, "cs_")
    listed = await asyncio.to_thread(typed, "token", "list", "--json", env=env)
    (row,) = [each for each in listed.json if each["name"] == "cli"]
    assert row["scopes"] == ["read"]
    assert "'cli' of rita" in (await asyncio.to_thread(typed, "token", "list", env=env)).out
    wider = await asyncio.to_thread(typed, "token", "new", "--scope", "audit", env=env)
    assert (wider.code, "never wider than its person" in wider.err) == (1, True)
    assert (await asyncio.to_thread(typed, "token", "revoke", row["id"], env=env)).code == 0
    live.tokens["cli"] = made.out.strip()
    async with live.as_("cli") as http:
        assert (await http.get("/me")).status_code == 401


async def test_people_are_shut_out_and_linked_by_the_command(tmp_path: Path) -> None:
    data = ("--data", tmp_path / "data")
    assert typed("people", "add", "ann", "--role", "viewer", *data).code == 0
    linked = typed("people", "link", "ann", "--subject", "u-1", "--issuer", "https://id.example", *data)
    assert (linked.code, "https://id.example" in linked.out) == (0, True)
    again = typed("people", "link", "ann", "--subject", "u-2", "--issuer", "https://id.example", *data)
    assert (again.code, "somebody else already" in again.err) == (1, True)
    assert typed("people", "link", "bob", "--subject", "u-3", "--issuer", "https://id.example", *data).code == 1
    assert typed("people", "suspend", "ann", *data).code == 0
    assert typed("people", "list", "--json", *data).json == []
    assert typed("people", "suspend", "ann", *data).code == 1
