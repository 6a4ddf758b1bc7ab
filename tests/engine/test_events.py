"""Events from outside, as they come over HTTP: who may send what, what they do to a case, and what they never do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from core.errors import Busy
from core.events import BATCH, SEQUENCE_LIMIT, STRUCTURED, event_of
from core.people import Person
from core.settings import EngineSettings
from core.states import CaseStatus, Desired
from engine.bus.embedded import EmbeddedBus
from engine.bus.publisher import Publisher
from engine.in_turn import LINE_LIMIT, State
from tests.serving.door import door
from tests.support.folders import quick_folder
from tests.support.post import HEARING, event, news, outbox, token_of
from tests.support.servers import fresh_database
from tests.support.till import Till, open_till, pay, person, write

ASK = write("people.ask")
URL = "/api/v1/events"


class Api:
    """The house's door, for one person."""

    def __init__(self, till: Till, token: str) -> None:
        self.http = door(till, token)

    async def send(self, *events: dict[str, Any]) -> Response:
        body, kind = (events[0], STRUCTURED) if len(events) == 1 else (list(events), BATCH)
        return await self.http.post(URL, content=json.dumps(body), headers={"Content-Type": kind})


@pytest.fixture
async def till(folder: Path) -> AsyncIterator[Till]:
    async with open_till(folder, kind=HEARING) as opened:
        yield opened


@pytest.fixture
async def ops(till: Till) -> AsyncIterator[Api]:
    api = Api(till, await token_of(till, "ops"))
    yield api
    await api.http.aclose()


async def test_news_for_a_case_is_kept_and_does_no_harm_whatever_the_case_does(till: Till, ops: Api) -> None:
    waiting = await till.run([ASK])
    paused = await till.submit([write()], customer="cus_2")
    await till.hold(paused)
    closed = await till.run([write()])

    answers = [(await ops.send(event(case, 1))).json() for case in (waiting, paused, closed)]
    await till.settle(waiting)

    assert [(each["state"], each["new"]) for each in answers] == [("taken", True), ("taken", True), ("noted", True)]
    assert [(await news(till, case))[0].note for case in (waiting, paused, closed)] == [
        "had nothing to answer",
        "",
        "the case is closed",
    ]
    again = await ops.send(event(waiting, 1))
    assert (again.status_code, again.json()["new"], again.headers["location"]) == (
        202,
        False,
        f"/api/v1/cases/{waiting}",
    )
    assert await till.status(closed) is CaseStatus.CLOSED
    assert [body["reason"] for body in await till.trace(closed, "event.late")] == ["the case is closed"]
    await till.let_go(paused)
    await till.approve("ann", waiting)
    assert [await till.status(case) for case in (waiting, paused)] == [CaseStatus.CLOSED] * 2
    assert (await till.check()).findings == []


async def test_no_event_can_pass_for_a_decision(till: Till, ops: Api) -> None:
    """The attacker knows everything about the question, and sends it in every form there is."""
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    claim = {
        "interrupt_id": review.interrupt_id,
        "review_id": review.id,
        "choice": "approve",
        "event": {"interrupt_id": review.interrupt_id},
        "payload": {"interrupt_id": review.interrupt_id, "review_id": review.id},
    }
    decided = f"{review.id}:approved:{review.version}"
    tries = [
        event(case, type="till.told", data=claim),
        event(case, type="till.told", data=claim, interrupt_id=review.interrupt_id, review_id=review.id),
        event(case, type="till.told", source="desk", id=decided, data=claim),
        event(case, type="review.decided", data=claim),
        event(case, type="com.countersign.review.decided", source="urn:countersign:default", data=claim),
        event(case, data=claim),
    ]
    codes = [(await ops.send(each)).status_code for each in tries]
    await till.settle(case)

    assert codes == [202, 202, 202, 422, 422, 422]
    assert await till.status(case) is CaseStatus.WAITING
    assert await till.happened(case) == []
    kept = await news(till, case)
    assert {row.type for row in kept} == {"case.news"}
    assert [set(row.payload) for row in kept] == [{"event"}] * 3  # nothing of it lies where an answer is looked for
    assert {row.note for row in kept} == {"had nothing to answer"}
    await till.approve("ann", case)  # the desk's own event was not used up by the attacker's
    assert await till.happened(case) == ["gift.pay"]
    assert (await till.check()).findings == []


async def test_the_first_of_two_that_contradict_each_other_counts_and_the_log_has_both(till: Till, ops: Api) -> None:
    case, other = await till.run([ASK]), await till.run([ASK], customer="cus_2")
    first = event(case, 1)
    await ops.send(first)
    for changed in (first | {"data": {"coins": 7}}, first | {"subject": other}, first | {"sequence": "2"}):
        answer = await ops.send(changed)
        body = answer.json()
        assert (answer.status_code, body["type"], body["present"]) == (409, "urn:countersign:contradicted", case)
        assert body["earlier"] == event_of(first).digest
    assert [row.payload["event"]["data"] for row in await news(till, case)] == [{"coins": 1}]
    assert await news(till, other) == []
    logged = await till.trace(case, "event.contradicted")
    assert len(logged) == 3
    assert {body["earlier"] for body in logged} == {event_of(first).digest}

    await ops.send(event(case, 3))
    usurped = await ops.send(event(case, 3, id="another"))
    assert (usurped.status_code, usurped.json()["present"]) == (409, case)


async def test_an_event_opens_a_case_once(till: Till, ops: Api) -> None:
    def order(text: str, **more: Any) -> dict[str, Any]:
        payload = {"customer": "cus_1", "script": [[write(text=text)]]}
        data = {"kind": "till", "payload": payload}
        made = {"specversion": "1.0", "id": "order-1", "source": "shop", "type": "com.countersign.case.submit"}
        return made | {"data": data} | more

    opened, again = [(await ops.send(order("a"))).json() for _ in range(2)]
    assert (opened["state"], again["state"], again["case"]) == ("taken", "known", opened["case"])
    other = await ops.send(order("b"))
    assert (other.status_code, other.json()["present"]) == (409, opened["case"])
    assert len(await till.trace(opened["case"], "event.contradicted")) == 1
    elsewhere = await ops.send(order("b", source="mail"))
    assert elsewhere.json()["state"] == "taken"
    await till.settle(opened["case"], elsewhere.json()["case"])
    assert await till.happened(opened["case"]) == ["note.write"]

    for wrong, code in (
        (order("a", id="2", data={"kind": "nothing", "payload": {}}), 404),
        (order("a", id="3", data={"kind": "till", "payload": {"customer": 1}}), 422),
        (order("a", id="4", data={"kind": "till"}), 422),
        (order("a", id="5", dataschema="urn:countersign:schema:case.submit:2"), 422),
    ):
        assert (await ops.send(wrong)).status_code == code, wrong


async def test_a_batch_is_answered_one_by_one_and_attributes_may_come_as_headers(till: Till, ops: Api) -> None:
    case = await till.run([ASK])
    answer = await ops.send(event(case, 1), event("case_nobody", 1), event(case, 2), event(case, 1))
    items = answer.json()["items"]
    assert answer.status_code == 202
    assert [each.get("state") or each["status"] for each in items] == ["taken", 404, "taken", "known"]
    assert answer.json()["refused"] == 1

    sent = {name: str(value) for name, value in event(case, 3).items() if name != "data"}
    headers = {f"ce-{name}": value for name, value in sent.items()} | {"Content-Type": "application/json"}
    assert (await ops.http.post(URL, content=b'{"coins": 3}', headers=headers)).json()["state"] == "taken"
    assert [row.payload["event"]["data"]["coins"] for row in await news(till, case)] == [1, 2, 3]

    shuffled = (await ops.send(*(event(case, number) for number in (6, 5, 8, 4, 7)))).json()["items"]
    assert [each["state"] for each in shuffled] == ["held", "held", "held", "taken", "taken"]
    assert [row.payload["event"]["sequence"] for row in await news(till, case)] == list(range(1, 9))
    assert (await ops.send(event(case, 8))).json()["state"] == "known"


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"{", {"Content-Type": STRUCTURED}, 422),
        (b"[" * 200_000, {"Content-Type": STRUCTURED}, 422),
        (b"[]", {"Content-Type": STRUCTURED}, 422),
        (b"{}", {"Content-Type": BATCH}, 422),
        (b"{}", {"Content-Type": "text/plain"}, 422),
        (b"\xff\xfe", {"Content-Type": STRUCTURED}, 422),
        (b"x" * 1_100_000, {"Content-Type": STRUCTURED}, 413),
        (json.dumps([{}] * 1001).encode(), {"Content-Type": BATCH}, 413),
        (json.dumps(event("c", 1, data={"text": "x" * 70_000})).encode(), {"Content-Type": STRUCTURED}, 413),
        (json.dumps(event("c", 1, data={"n": 2**70})).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, data={"t": "a\0b"})).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, data={"t": "\ud800"})).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, data={"n": float("nan")})).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, data=[1])).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, sequence="0")).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, sequence=str(2**31 - 1))).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, sequence="9" * 30)).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, id="a b\n")).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, time="yesterday")).encode(), {"Content-Type": STRUCTURED}, 422),
        (json.dumps(event("c", 1, specversion="0.3")).encode(), {"Content-Type": STRUCTURED}, 422),
    ],
)
async def test_what_is_no_event_is_told_so(ops: Api, body: bytes, headers: dict[str, str], code: int) -> None:
    answer = await ops.http.post(URL, content=body, headers=headers)
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["hint"] or code == 413


async def test_who_may_send_and_who_may_read(till: Till, ops: Api) -> None:
    case = await till.run([ASK])
    await till.set_roles("bot", "service")
    bot, eve = Api(till, await token_of(till, "bot")), Api(till, await token_of(till, "eve"))
    try:
        assert (await eve.send(event(case, 1))).status_code == 403
        assert (await bot.send(event(case, 1))).status_code == 404  # a stranger's case is none
        assert (await ops.http.post(URL, headers={"Authorization": ""})).status_code == 401
        assert (await ops.send(event(case, 1))).json()["state"] == "taken"

        bots = Person(id="bot", roles=frozenset({"service"}))
        mine, _ = await till.house.submit(bots, "till", {"customer": "c", "script": [[write()]]})
        await till.settle(mine.id)
        assert (await bot.send(event(mine.id, 1))).json()["state"] == "noted"  # its own source and numbers
        while await till.house.mail.publisher.publish():
            pass
        seen = [(await api.http.get(f"{URL}/published")).json() for api in (bot, ops)]
        assert {each["subject"] for each in seen[0]["items"]} == {mine.id}
        assert {each["subject"] for each in seen[1]["items"]} == {mine.id, case}
        rest = (await ops.http.get(f"{URL}/published", params={"after": seen[1]["next"]})).json()
        assert (rest["items"], rest["next"]) == ([], seen[1]["next"])
    finally:
        await bot.http.aclose()
        await eve.http.aclose()


async def test_what_waits_goes_on_though_one_that_waits_too_can_not() -> None:
    """The highest number there is, and one from before there was a highest."""
    with quick_folder() as folder, fresh_database() as url:
        async with open_till(folder / "a", kind=HEARING, server=url) as till:
            cases = sorted([await till.run([ASK], customer=f"cus_{n}") for n in range(3)])
            sent = [event_of(event(case, SEQUENCE_LIMIT)) for case in cases]
            sent[1] = sent[1].model_copy(update={"sequence": SEQUENCE_LIMIT + 1})
            told = await till.house.mail.arrivals.take(person("ops"), sent)
            assert [getattr(each, "state", each) for each in told] == [State.HELD] * 3
            await till.later(seconds=61)
            assert [len(await news(till, case)) for case in cases] == [1, 0, 1]


async def test_no_more_wait_for_others_than_a_line_and_a_case_hold_and_those_are_not_lost(till: Till) -> None:
    case = await till.run([ASK])
    take = till.house.mail.arrivals.take
    for source in "abcdef":
        ahead = [event_of(event(case, n, source=source, id=f"{source}{n}")) for n in range(2, LINE_LIMIT + 3)]
        told = await take(person("ops"), ahead)
        held = [each for each in told if getattr(each, "state", None) is State.HELD]
        assert len(held) == (LINE_LIMIT if source != "f" else 0)
        assert all(isinstance(each, Busy) for each in told[len(held) :])
        assert len(told) == LINE_LIMIT + 1
    last = event_of(event(case, LINE_LIMIT + 2, source="a", id=f"a{LINE_LIMIT + 2}"))
    told = await take(person("ops"), [event_of(event(case, 1, source="a")), last])
    assert [getattr(each, "state", each) for each in told] == [State.TAKEN] * 2
    assert [row.payload["event"]["sequence"] for row in await news(till, case)] == list(range(1, LINE_LIMIT + 3))


async def test_two_processes_on_one_server_take_each_event_once_and_one_of_them_publishes() -> None:
    quiet = EngineSettings(sweep_s=3600, lease_s=5)
    with quick_folder() as one, quick_folder() as two, fresh_database() as url:
        async with (
            open_till(one / "a", kind=HEARING, server=url, engine=quiet) as here,
            open_till(two / "b", kind=HEARING, server=url, engine=quiet) as there,
        ):
            for till in (here, there):
                await till.house.mail.close()
            cases = [await here.run([ASK], customer=f"cus_{n}") for n in range(2)]
            sent = [event_of(event(case, number)) for case in cases for number in range(1, 21)]
            halves = [sent, list(reversed(sent))]
            told = await asyncio.gather(
                *(
                    till.house.mail.arrivals.take(person("ops"), half[start : start + 8])
                    for till, half in zip((here, there), halves, strict=True)
                    for start in range(0, len(half), 8)
                )
            )
            states = [getattr(each, "state", each) for batch in told for each in batch]
            assert len(states) == 80
            assert states.count(State.KNOWN) == 40
            await here.settle(*cases)
            for case in cases:
                rows = await news(here, case)
                assert [row.payload["event"]["sequence"] for row in rows] == list(range(1, 21))

            first, second = (Publisher(till.house.database, EmbeddedBus(), till.house.stream) for till in (here, there))
            assert await first.publish() > 0
            await here.want(cases[0], Desired.CANCEL)
            assert await second.publish() == 0  # the seat is taken
            assert await first.publish() > 0
            await first.leave()
            await here.want(cases[1], Desired.CANCEL)
            assert await second.publish() > 0
            await second.leave()
            places = [row.position for row in await outbox(here)]
            assert places == list(range(1, len(places) + 1))
