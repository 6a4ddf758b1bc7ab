"""People who sign in elsewhere: a real issuer on a real port, and everything that may be wrong with a token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from core.access_settings import OidcSettings
from core.errors import Forbidden, SignInUnavailable, Unauthenticated
from core.settings import Settings
from serving.auth.issuer_keys import IssuerKeys, usable
from serving.auth.oidc import SignIn
from tests.serving.live import JSON, Live, living
from tests.support.folders import quick_folder
from tests.support.oidc_issuer import AUDIENCE, Issuer, issuing

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = {"desk": ["returns_reviewer"], "ops": ["operator"], "bots": ["service"]}


@dataclass
class Town:
    """A house, and the issuer that its people sign in with."""

    live: Live
    issuer: Issuer

    def says(self, subject: str, *groups: str, **more: Any) -> JSON:
        now = self.live.house.database.clock.now().timestamp()
        claims = {"iss": self.issuer.url, "aud": AUDIENCE, "sub": subject, "groups": list(groups)}
        return {**claims, "iat": now, "exp": now + 300, **more}

    def token(self, subject: str, *groups: str, kid: str = "one", header: JSON | None = None, **more: Any) -> str:
        claims = {name: value for name, value in self.says(subject, *groups, **more).items() if value is not None}
        return self.issuer.sign(claims, kid, header)

    async def ask(self, token: str, path: str = "/me") -> httpx.Response:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
            return await http.get(f"{self.live.url}/api/v1{path}")

    async def of(self, person: str) -> str:
        """The id of their token."""
        (row,) = await self.live.house.database.read("default", lambda ledger: ledger.people.tokens.good(person))
        return str(row.id)

    async def refused(self, token: str) -> str:
        answer = await self.ask(token)
        assert answer.status_code == 401, answer.text
        assert token not in answer.text
        return str(answer.json()["detail"])


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as found:
        found.make("one")
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(issuer: Issuer) -> AsyncIterator[Town]:
    oidc = OidcSettings(
        issuer=issuer.url, audience=AUDIENCE, roles=ROLES, pause_s=0, grace_s=0, algorithms=["RS256", "ES256", "EdDSA"]
    )
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data", oidc=oidc)) as live:
            async with live.as_() as http:
                me = (await http.get("/me")).json()["id"]
            link = ("default", issuer.url, "u-0", me)
            await live.house.database.write("default", lambda ledger: ledger.people.link(*link))
            yield Town(live, issuer)


async def test_who_signs_in_is_a_person_here_with_the_roles_of_their_groups(town: Town) -> None:
    me = (await town.ask(town.token("u-ada", "desk", "cooks"))).json()
    assert (me["id"], me["roles"]) == ("u-ada", ["returns_reviewer"])
    assert (await town.ask(town.token("u-ada", "desk", "ops"))).json()["roles"] == ["operator", "returns_reviewer"]
    assert (await town.ask(town.token("u-ada", "ops"))).json()["roles"] == ["operator"]
    assert (await town.ask(town.token("u-ada"))).json()["permissions"] == []
    answer = await town.ask(town.token("u-stranger", "cooks"))
    assert answer.status_code == 403
    assert "None of your groups" in answer.json()["detail"]
    people = await town.live.house.database.read("default", lambda ledger: ledger.people.everyone())
    assert "u-stranger" not in [each.id for each in people]


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
async def test_other_kinds_of_keys(town: Town, algorithm: str) -> None:
    town.issuer.make(algorithm, algorithm)
    assert (await town.ask(town.token("u-ada", "ops", kid=algorithm))).status_code == 200


async def test_what_the_house_decided_wins_over_what_a_token_says(town: Town) -> None:
    town.live.tokens["boss"] = town.token("u-boss", "desk")
    assert (await town.ask(town.live.tokens["boss"])).json()["roles"] == ["returns_reviewer"]
    database = town.live.house.database
    await database.write("default", lambda ledger: ledger.people.add("default", "u-boss", frozenset({"compliance"})))
    for groups in (["desk"], ["ops"], []):
        assert (await town.ask(town.token("u-boss", *groups))).json()["roles"] == ["compliance"]
    await database.write("default", lambda ledger: ledger.people.suspend("default", "u-boss"))
    assert "not active" in await town.refused(town.token("u-boss", "desk"))
    assert "not active" in await town.refused(town.live.tokens["boss"])  # and the one that was good a moment ago


async def test_nobody_becomes_somebody_who_was_here_before(town: Town) -> None:
    """The issuer's users choose their names, perhaps: a name alone makes nobody rita."""
    answer = await town.ask(town.token("rita", "ops"))
    assert answer.status_code == 403
    assert "countersign people link" in answer.json()["hint"]
    link = ("default", town.issuer.url, "u-7", "rita")
    await town.live.house.database.write("default", lambda ledger: ledger.people.link(*link))
    me = (await town.ask(town.token("u-7", "ops"))).json()
    assert (me["id"], me["roles"]) == ("rita", ["returns_reviewer"])  # as the house has it


@pytest.mark.parametrize(
    ("claims", "setting", "said"),
    [
        ({"sub": "auth0|7"}, {}, "no name here"),
        ({"sub": "r\u0456ta"}, {}, "no name here"),  # a letter that looks like another one
        ({"email": "ada@example.com"}, {"id_claim": "email"}, "not verified"),
        ({"email": "ada@example.com", "email_verified": "true"}, {"id_claim": "email"}, "not verified"),
        ({}, {"workspace_claim": "org"}, "no workspace"),
        ({"org": "*"}, {"workspace_claim": "org"}, "no workspace"),
    ],
    ids=str,
)
async def test_who_can_not_be_named_is_nobody(town: Town, claims: JSON, setting: JSON, said: str) -> None:
    settings = town.live.house.settings.oidc.model_copy(update=setting)
    sign_in = SignIn(settings, town.live.house.database)
    with pytest.raises(Forbidden, match=said):
        await sign_in.person(town.token("u-8", **{"groups": ["ops"], **claims}))


async def test_names_groups_and_workspaces_are_found_where_the_settings_say(town: Town) -> None:
    where = {"id_claim": "email", "groups_claim": "realm_access.roles", "workspace_claim": "org"}
    settings = town.live.house.settings.oidc.model_copy(update=where)
    more: JSON = {"email": "ada@example.com", "email_verified": True, "org": "north"}
    token = town.token("u-9", realm_access={"roles": ["ops", 7]}, **more)
    person, _ = await SignIn(settings, town.live.house.database).person(token)
    assert (person.id, person.workspace, person.roles) == ("ada@example.com", "north", frozenset({"operator"}))


async def test_one_human_being_has_one_vote(town: Town) -> None:
    """Where people sign in elsewhere, an account without an identity has no vote: it might be anybody's second one."""
    _, detail = await town.live.waiting(await town.live.dear())
    approval, vote = detail["approval"]["id"], {"choice": "approve", "seen": detail["seen"]}
    async with town.live.as_("sam") as sam:  # returns_reviewer, with a token of the house, and no identity
        assert (await sam.get("/approvals")).status_code == 200
        answer = await sam.post(f"/approvals/{approval}/decide", json=vote)
        assert answer.status_code == 403
        assert "sign in" in answer.json()["detail"]
        made = (await sam.post("/tokens", json={})).json()["token"]
    await town.live.add("olga", "operator", "admin")
    async with town.live.as_("olga") as olga:  # nor is it the one who opens what somebody else approves
        assert (await olga.get("/me")).json()["permissions"] == ["audit", "read"]
        answer = await olga.post("/cases", json={"kind": "returns", "payload": await town.live.small()})
        assert answer.status_code == 403
        await town.live.add("till", "service")
        answer = await olga.post("/tokens", json={"person": "till"})
        assert (answer.status_code, "sign in" in answer.json()["detail"]) == (403, True)
        answer = await olga.delete(f"/tokens/{await town.of('till')}")  # nor does it shut anybody out
        assert (answer.status_code, "sign in" in answer.json()["detail"]) == (403, True)
    async with town.live.as_("till") as till:  # machines have tokens of the house
        assert (await till.get("/me")).json()["permissions"] == ["submit"]
    town.live.tokens["sams"] = made
    async with town.live.as_("sams") as sam:
        assert (await sam.post(f"/approvals/{approval}/decide", json=vote)).status_code == 403
    town.live.tokens["eve"] = town.token("u-eve", "desk")
    async with town.live.as_("eve") as eve:
        town.live.tokens["eves"] = (await eve.post("/tokens", json={"scopes": ["read", "decide"]})).json()["token"]
        assert (await eve.post(f"/approvals/{approval}/decide", json=vote)).status_code == 200
    async with town.live.as_("eves") as again:  # another token of the same person
        assert (await again.get("/me")).json()["id"] == "u-eve"
        assert (await again.post(f"/approvals/{approval}/decide", json=vote)).status_code == 409


async def test_a_token_of_the_house_does_not_outlive_its_person_at_the_issuer(town: Town) -> None:
    town.live.tokens["leah"] = town.token("u-leah", "desk")
    async with town.live.as_("leah") as leah:
        own = (await leah.post("/tokens", json={"days": 300})).json()["token"]
    clock: Any = town.live.house.database.clock
    clock.advance(timedelta(days=6))
    assert (await town.ask(town.token("u-leah", "desk"))).status_code == 200
    clock.advance(timedelta(days=6))
    assert (await town.ask(own)).status_code == 200
    clock.advance(timedelta(days=2))
    assert "has not signed in for 7 days" in await town.refused(own)
    assert (await town.ask(town.token("u-leah", "ops"))).status_code == 200
    assert (await town.ask(own)).json()["roles"] == ["operator"]


async def test_a_machine_that_signs_in_never_decides(town: Town) -> None:
    me = (await town.ask(town.token("u-bot", "bots", "desk", "ops"))).json()
    assert me["permissions"] == ["operate", "read", "submit"]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "https://other.example"}, "somebody else"),
        ({"aud": []}, "the claim 'aud'"),
        ({"aud": None}, "lacks the claim 'aud'"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": None}, "lacks the claim 'iss'"),
        ({"sub": None}, "lacks the claim 'sub'"),
        ({"sub": "x" * 201}, "who you are"),
        ({"exp": None}, "lacks the claim 'exp'"),
        ({"exp": "tomorrow"}, "no time"),
        ({"exp": float("nan")}, "no time"),
        ({"exp": 1e300}, "no time"),
        ({"exp": True}, "no time"),
        ({"nonce": "n"}, "ID token"),
        ({"at_hash": "h"}, "ID token"),
        ({"typ": "ID"}, "ID token"),
        ({"typ": "Refresh"}, "ID token"),
        ({"cnf": {"jkt": "k"}}, "bound to a key"),
    ],
    ids=lambda each: "-".join(f"{k}={v}"[:20] for k, v in each.items()) if isinstance(each, dict) else None,
)
async def test_a_token_that_says_something_else(town: Town, claims: JSON, said: str) -> None:
    assert said in await town.refused(town.token("u-ada", "ops", **claims))


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        ({"exp": -31, "iat": -300}, "expired"),
        ({"iat": 31, "exp": 300}, "not valid yet"),
        ({"nbf": 31}, "not valid yet"),
        ({"exp": 90_000}, "lives too long"),
        ({"exp": -29, "iat": -300}, ""),
        ({"iat": 29, "nbf": 29, "exp": 300}, ""),
    ],
    ids=str,
)
async def test_times_by_the_clock_of_the_house(town: Town, shift: dict[str, float], said: str) -> None:
    """The clocks may be half a minute apart, and no more."""
    now = town.live.house.database.clock.now().timestamp()
    claims: JSON = {name: now + by for name, by in shift.items()}
    token = town.token("u-ada", "ops", **claims)
    if said:
        assert said in await town.refused(token)
    else:
        assert (await town.ask(token)).status_code == 200


async def test_a_token_that_was_good_expires(town: Town) -> None:
    token = town.token("u-ada", "ops")
    assert (await town.ask(token)).status_code == 200
    town.live.house.database.clock.advance(timedelta(seconds=331))  # type: ignore[attr-defined]
    assert "expired" in await town.refused(token)


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_token_that_is_forged(town: Town) -> None:
    claims, good = town.says("u-ada", "ops"), town.token("u-ada", "ops")
    head, body, signature = good.split(".")
    unsigned = f"{_part({'alg': 'none', 'kid': 'one'})}.{_part(claims)}."
    signed = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(claims)}"
    public = json.dumps(town.issuer.public("one")).encode()  # whoever takes it for a shared secret knows it
    digest = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    shared = f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    other = f"{head}.{_part({**claims, 'groups': ['desk']})}.{signature}"
    with issuing() as thief:
        thief.make("one")
        stolen = thief.sign(claims, "one")
        elsewhere = {"jku": f"{thief.url}/keys", "x5u": f"{thief.url}/x", "jwk": thief.public("one")}
        pointing = thief.sign(claims, "one", elsewhere)
        assert "signature" in await town.refused(stolen)
        assert "signature" in await town.refused(pointing)
        assert thief.asked == 0
    assert "not signed in a way" in await town.refused(unsigned)
    assert "not signed in a way" in await town.refused(shared)
    assert "signature" in await town.refused(other)
    assert "signature" in await town.refused(f"{head}.{body}.{'A' * len(signature)}")
    for junk in ("a.b.c", "..", f"{head}.{body}.", f"{'e' * 4000}.{'e' * 3000}.e", f"{head}.{_part([1])}.{signature}"):
        assert await town.refused(junk)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"typ": "logout+jwt"}, "no access token"),
        ({"typ": "dpop+jwt"}, "no access token"),
        ({"crit": ["exp"], "exp": 1}, "can't be read"),
        ({"crit": ["b64"], "b64": True}, "not known here"),
        ({"kid": ""}, "name its key"),
        ({"kid": "nobody"}, "no such key"),
        ({"alg": "RS256"}, "not signed as its key signs"),
    ],
    ids=str,
)
async def test_headers_that_are_refused(town: Town, header: JSON, said: str) -> None:
    head = {"alg": "ES256", "kid": "one", "typ": "at+jwt", **header}
    _, body, signature = town.token("u-ada", "ops").split(".")
    assert said in await town.refused(f"{_part(head)}.{body}.{signature}")
    assert (await town.ask(town.token("u-ada", "ops", header={"typ": "at+jwt"}))).status_code == 200


# its keys


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _keys(issuer: Issuer, **more: Any) -> tuple[IssuerKeys, _Clock]:
    clock = _Clock()
    settings = {"issuer": issuer.url, "audience": AUDIENCE, "pause_s": 10, "grace_s": 60, "keys_for_s": 600, **more}
    return IssuerKeys(OidcSettings(**settings), clock), clock


async def test_a_new_key_is_found_and_an_old_one_stays_for_its_time() -> None:
    with issuing() as issuer:
        issuer.make("old")
        keys, clock = _keys(issuer)
        await keys.get("old")
        issuer.make("new")
        issuer.listed.remove("old")
        clock.now += 11
        await keys.get("new")
        assert issuer.asked == 2
        await keys.get("old")  # a token that was signed just before is good for a minute
        clock.now += 601
        with pytest.raises(Unauthenticated):
            await keys.get("old")
        await keys.get("new")
        assert issuer.asked == 3


async def test_unknown_keys_make_nobody_ask_the_issuer_all_the_time() -> None:
    with issuing() as issuer:
        issuer.make("one")
        keys, clock = _keys(issuer)
        for number in range(50):
            with pytest.raises(Unauthenticated):
                await keys.get(f"guess-{number}")
        assert issuer.asked == 1
        clock.now += 11
        with pytest.raises(Unauthenticated):
            await keys.get("guess")
        assert issuer.asked == 2


async def test_while_the_issuer_is_away_known_keys_go_on_and_unknown_ones_wait() -> None:
    with issuing() as issuer:
        issuer.make("one")
        keys, clock = _keys(issuer, keys_at_most_s=3600)
        await keys.get("one")
        issuer.broken = True
        clock.now += 1800
        await keys.get("one")
        for _ in range(3):
            with pytest.raises(SignInUnavailable) as away:
                await keys.get("two")
        assert away.value.problem()["retry_after"] == 10
        clock.now += 1801
        with pytest.raises(SignInUnavailable):
            await keys.get("one")  # nobody has said for an hour that it is good
        issuer.broken = False
        clock.now += 11
        await keys.get("one")


async def test_an_issuer_that_says_it_is_another_one_is_not_believed() -> None:
    with issuing() as issuer:
        issuer.make("one")
        issuer.says_it_is = "https://other.example"
        with pytest.raises(SignInUnavailable):
            await _keys(issuer)[0].get("one")


async def test_keys_that_are_no_public_keys_are_passed_over() -> None:
    with issuing() as issuer:
        issuer.make("good")
        issuer.make("short", "RS256", bits=1024)
        good, short = issuer.public("good"), issuer.public("short")
        odd = [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {"kty": "EC", "kid": "half"}, 7, {**good, "kid": 3}]
        sealing = {**good, "kid": "sealing", "use": "enc"}
        assert list(usable([*odd, sealing, short, good])) == ["good"]
        assert usable(None) == {}
