"""Tokens and identities over PostgreSQL: with the API's own login, beside other processes, and at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlmodel import select

from core.access_settings import AuthSettings, OidcSettings
from core.errors import NotAllowed, Unauthenticated
from core.people import Person
from core.settings import Settings
from core.wire_people import NewToken
from ledger.database import Database, Ledger
from ledger.server import server_database
from ledger.tables import SYSTEM, IdentityRow
from serving.auth import minting
from serving.auth.door import Door
from serving.auth.oidc import SignIn
from serving.house import House
from tests.serving.logins import Logins, logins, with_roles
from tests.support.oidc_issuer import AUDIENCE, issuing
from tests.support.servers import fresh_database, needs_postgres

pytestmark = needs_postgres


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logins]:
    with fresh_database() as server:
        asyncio.run(with_roles(tmp_path_factory.mktemp("tokens"), server))
        with logins(server) as each:
            yield each


@pytest.fixture
def desk(place: Logins) -> Iterator[Database]:
    database = server_database(place.desk, connections=4)
    yield database
    database.close()


def _door(database: Database, folder: Path, **auth: Any) -> Door:
    """That of a process of its own: a door asks nothing of its house but its records and settings."""
    settings = Settings(data=folder, auth=AuthSettings(**auth))
    return Door(cast(House, SimpleNamespace(settings=settings, database=database)))


async def test_the_api_makes_and_ends_tokens_with_its_own_login(desk: Database, place: Logins, tmp_path: Path) -> None:
    def people(ledger: Ledger) -> str:
        ledger.people.add("default", "root", frozenset({"admin"}))
        ledger.people.add("default", "shop", frozenset({"service"}))
        return ledger.people.new_token("default", "root", timedelta(days=2))

    root = await desk.write("default", people)
    first, second = _door(desk, tmp_path), _door(server_database(place.desk, connections=2), tmp_path, remembered_s=0)
    admin = await first.who(root)
    wanted = NewToken(person="shop", scopes=["submit"])
    token, row = await desk.write("default", lambda ledger: minting.mint(ledger, admin, wanted, AuthSettings()))
    assert (await first.who(token)).scopes == (await second.who(token)).scopes == frozenset({"submit"})
    assert (await desk.read("default", lambda ledger: ledger.people.tokens.get(row.id))).last_used_at
    await desk.write("default", lambda ledger: minting.end(ledger, admin, row.id))
    for door in (first, second):
        with pytest.raises(Unauthenticated, match="revoked"):
            await door.who(token)
    await desk.write("default", lambda ledger: ledger.people.suspend("default", "root"))
    for door in (first, second):
        with pytest.raises(Unauthenticated, match="not active"):
            await door.who(root)


async def test_workers_see_who_holds_an_account_and_no_token(desk: Database, place: Logins) -> None:
    def account(ledger: Ledger) -> None:
        ledger.people.add("default", "bot", frozenset({"service"}))
        ledger.people.keep("default", "bot", "chief")

    await desk.write("default", account)
    for login in (place.agents, place.executor):
        theirs = server_database(login, connections=2)
        assert await theirs.read("default", lambda ledger: ledger.people.keepers("default", "bot")) == ["chief"]
        for look in (lambda ledger: ledger.people.tokens.good(), lambda ledger: ledger.people.has_identity("d", "x")):
            with pytest.raises(NotAllowed):
                await theirs.read("default", look)
        theirs.close()


async def test_who_comes_twice_at_once_for_the_first_time_is_one_person(desk: Database) -> None:
    with issuing() as issuer:
        issuer.make("one")
        settings = OidcSettings(issuer=issuer.url, audience=AUDIENCE, roles={"ops": ["operator"]})
        sign_in, now = SignIn(settings, desk), desk.clock.now().timestamp()
        claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "ada", "groups": ["ops"], "iat": now, "exp": now + 60}
        found = await asyncio.gather(*(sign_in.person(issuer.sign({**claims, "n": n}, "one")) for n in range(4)))
        assert {each.id for each, _ in found} == {"ada"}

    rows = await desk.read(SYSTEM, lambda ledger: ledger.session.exec(select(IdentityRow)).all())
    assert [row.subject for row in rows] == ["ada"]
    assert found[0][0] == Person(id="ada", roles=frozenset({"operator"}))
