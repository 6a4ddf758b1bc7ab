"""How often somebody may ask, and what guessing brings."""

from __future__ import annotations

import logging
from dataclasses import replace

import httpx
import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import event

from core.access_settings import AuthSettings
from core.settings import Settings
from serving.api.app import make_app
from serving.auth.door import Door
from serving.auth.rates import Rates
from serving.house import House
from tests.serving.live import Live, living
from tests.support.folders import quick_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIGHT = AuthSettings(requests_per_s=0.01, requests_at_once=5, failures_per_minute=0.6, failures_at_once=3)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_bucket_is_emptied_and_fills_again() -> None:
    clock = Clock()
    rates = Rates(2.0, 3, clock=clock)
    assert [rates.wait("ann") for _ in range(4)] == [0, 0, 0, 1]
    assert (rates.empty("ann"), rates.wait("bob")) == (1, 0)  # another one's is full
    clock.now += 0.5
    assert [rates.wait("ann"), rates.wait("ann")] == [0, 1]
    clock.now += 3600
    assert [rates.wait("ann") for _ in range(4)] == [0, 0, 0, 1]  # it never holds more
    assert Rates(0.0, 1).wait("ann") == Rates(0.0, 1).wait("ann") == 0
    assert Rates(0.01, 1, clock=clock).empty("x") == 0


async def test_only_so_many_are_kept() -> None:
    clock = Clock()
    rates = Rates(1.0, 1, most=10, clock=clock)
    for number in range(1000):
        assert rates.wait(f"10.0.0.{number}") == 0
    assert len(rates) == 10
    assert rates.wait("10.0.0.999") == 1


async def test_who_asks_too_often_is_told_when_to_come_back(live: Live) -> None:
    """On each surface alike, whichever of their tokens they come with."""
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data", auth=TIGHT)) as tight:
            tight.tokens["other"] = await tight.house.database.write(
                "default", lambda ledger: ledger.people.new_token("default", "vera", None)
            )
            async with tight.as_("vera") as http, tight.as_("other") as other, tight.as_("rita") as rita:
                assert [(await http.get("/me")).status_code for _ in range(3)] == [200] * 3
                assert [(await other.get("/me")).status_code for _ in range(2)] == [200] * 2
                for path in ("/me", f"{tight.url}/v1/models"):
                    answer = await other.get(path)
                    assert answer.status_code == 429
                    assert int(answer.headers["Retry-After"]) > 50
                assert (await rita.get("/me")).status_code == 200
                assert (await http.get(f"{tight.url}/ok")).status_code == 200


async def test_nobody_fills_the_disk_with_attachments() -> None:
    with quick_folder() as folder:
        auth = AuthSettings(attached_bytes_a_day=1_000)
        async with living(Settings(data=folder / "data", auth=auth)) as small:
            await small.add("kiosk", "service")
            async with small.as_() as http, small.as_("kiosk") as other:
                first = await http.post("/attachments", content=b"1" * 900)
                assert first.status_code == 201
                assert (await http.post("/attachments", content=b"1" * 900)).json() == first.json()  # it is there
                answer = await http.post("/attachments", content=b"2" * 900)
                assert answer.status_code == 429
                assert 0 < int(answer.headers["Retry-After"]) <= 86_400
                assert (await other.post("/attachments", content=b"2" * 900)).status_code == 201
            assert len(list(small.house.attachments.iterdir())) == 2


async def test_guessing_tokens_is_slow_and_told(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data", auth=TIGHT)) as tight:
            async with tight.as_("vera") as vera:
                assert (await vera.get("/me")).status_code == 200
                guess = {"Authorization": "Bearer cs_guess-that-nobody-should-read-in-a-log"}
                with caplog.at_level(logging.INFO, "countersign"):
                    found = [(await vera.get("/me", headers=guess)).status_code for _ in range(5)]
                assert found == [401, 401, 401, 429, 429]
                told = [each.getMessage() for each in caplog.records if "wrong tokens" in each.getMessage()]
                assert told == ["wrong tokens come from 127.0.0.1: further ones are refused for a while"]
                assert "guess-that" not in caplog.text
                assert (await vera.get("/me")).status_code == 200  # who was let in before goes on
                assert (await vera.get("/me", headers={"Authorization": ""})).status_code == 401
            app = make_app(tight.house)
            bearer = {"Authorization": f"Bearer {tight.tokens['rita']}"}
            for address, status in (("203.0.113.7", 200), ("2001:db8::1", 200)):
                transport = ASGITransport(app, client=(address, 1))
                async with AsyncClient(transport=transport, base_url="http://x", headers=bearer) as other:
                    assert (await other.get("/api/v1/me")).status_code == status


async def test_a_network_of_ipv6_is_one_sender(live: Live) -> None:
    door = Door(_tight(live))
    for last in range(3):
        with pytest.raises(Exception, match="not known"):
            await door.who("cs_guess", f"2001:db8::{last}")
    with pytest.raises(Exception, match="Too many wrong tokens"):
        await door.who("cs_guess", "2001:db8::ffff")
    with pytest.raises(Exception, match="not known"):
        await door.who("cs_guess", "2001:db8:0:1::1")


def _tight(live: Live) -> House:
    return replace(live.house, settings=live.house.settings.model_copy(update={"auth": TIGHT}))


async def test_a_token_is_looked_up_once_a_second_at_most(live: Live) -> None:
    """And a change that this process makes counts at once."""
    seen: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM token" in statement:
            seen.append(statement)

    door = Door(live.house)
    await door.who(live.tokens["vera"])  # notes its use, which is a change
    await door.who(live.tokens["vera"])
    engine = live.house.database.engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        for _ in range(20):
            assert (await door.who(live.tokens["vera"])).id == "vera"
        assert len(seen) <= 3
        await live.house.database.write(
            "default", lambda ledger: ledger.people.add("default", "vera", frozenset({"viewer", "compliance"}))
        )
        assert (await door.who(live.tokens["vera"])).roles == {"viewer", "compliance"}
    finally:
        event.remove(engine, "before_cursor_execute", hear)


async def test_a_strange_header_is_no_server_error(live: Live) -> None:
    async with httpx.AsyncClient() as http:
        for value in (b"Bearer \xff\xfe", b"Bearer", b"bearer x y", b"Bearer eyJ.a.b", b"Basic cs_x"):
            answer = await http.get(f"{live.url}/api/v1/me", headers={b"Authorization": value})
            assert answer.status_code == 401, value
            assert answer.headers["content-type"] == "application/problem+json"
