"""One suite for every way that events take: HTTP into the house itself, and NATS JetStream."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from core.states import CaseStatus
from engine.bus.embedded import EmbeddedBus
from engine.bus.nats import REASON
from engine.bus.port import Answer, Delivery
from engine.bus.publisher import Publisher
from ledger.process_tables import OutboxRow
from tests.serving.door import Http
from tests.support.folders import quick_folder
from tests.support.post import HEARING, Jetstream, Shaky, event, news, numbers, outbox, token_of
from tests.support.servers import NATS
from tests.support.till import Till, open_till, write

Post = Http | Jetstream
ASK = write("people.ask")
"""It waits for somebody."""


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    with quick_folder() as folder:
        async with open_till(folder / "house", kind=HEARING) as opened:
            yield opened


@pytest.fixture(params=["http", "nats"])
async def post(request: pytest.FixtureRequest, till: Till) -> AsyncIterator[Post]:
    luck = random.Random(7)
    made: Post = (
        Http(till, await token_of(till, "ops"), luck) if request.param == "http" else Jetstream(till, NATS, luck)
    )
    if isinstance(made, Jetstream):
        await made.open()
    yield made
    await made.close()


async def test_tripled_shuffled_and_one_in_ten_refused_each_counts_once_in_its_order(till: Till, post: Post) -> None:
    cases = [await till.run([ASK], customer=f"cus_{n}") for n in range(3)]
    sent = [event(case, number) for case in cases for number in range(1, 13)] * 3
    random.Random(11).shuffle(sent)

    await post.send(*sent)
    await post.settled()

    assert [await numbers(till, case) for case in cases] == [list(range(1, 13))] * 3
    assert [len(await news(till, case)) for case in cases] == [12] * 3
    assert await post.refused() == []
    await till.settle(*cases)
    for case in cases:  # nobody was asked again, and what waited still waits
        await till.approve("ann", case)
        assert await till.status(case) is CaseStatus.CLOSED
    assert (await till.check()).findings == []


async def test_what_is_ahead_waits_for_a_minute_and_goes_on_with_a_note_of_what_is_missing(
    till: Till, post: Post
) -> None:
    case = await till.run([ASK])
    await post.send(event(case, 1), event(case, 4), event(case, 3))
    await post.settled()
    assert await numbers(till, case) == [1]

    await till.later(seconds=59)
    assert await numbers(till, case) == [1]
    await till.later(seconds=2)
    assert await numbers(till, case) == [1, 3, 4]
    assert await till.trace(case, "events.missing") == [{"from": 2, "to": 2, "source": "bank"}]

    await post.send(event(case, 2), event(case, 5))
    await post.settled()
    assert await numbers(till, case) == [1, 3, 4, 5]
    late = next(row for row in await news(till, case) if row.payload["event"]["sequence"] == 2)
    assert (late.note, late.processed_at is not None) == ("number 2 came when 5 was next", True)
    assert [body["sequence"] for body in await till.trace(case, "event.late")] == [2]


async def test_what_can_not_be_taken_is_told_or_kept_apart_and_holds_up_no_other(till: Till, post: Post) -> None:
    case = await till.run([ASK])
    await post.send(
        b'{"specversion": "1.0", "id": ',
        b"[" * 100_000,
        event("case_nobody", 1),
        event(case, 1),
        event(case, 2, type="till.burnt"),
        event(case, 2, specversion="2.0"),
        event(case, 2, dataschema="urn:countersign:schema:till.refilled:9"),
        event(case, 2, data={"coins": "many"}),
        event(case, 1, data={"coins": 999}),
        event(case, 2),
    )
    await post.settled()

    assert await numbers(till, case) == [1, 2]
    reasons = sorted(await post.refused())
    assert len(reasons) == 8, reasons
    for words in ("no JSON", "no case 'case_nobody'", "takes up no 'till.burnt'", "CloudEvents '2.0'", "data.coins"):
        assert any(words in reason for reason in reasons), (words, reasons)
    assert len(await till.trace(case, "event.contradicted")) >= 1


async def test_what_happened_is_told_at_least_once_and_in_the_order_of_its_case(till: Till, post: Post) -> None:
    bus = Shaky(post.bus if isinstance(post, Jetstream) else EmbeddedBus(), random.Random(3))
    await till.house.mail.close()
    cases = [await till.run([ASK], customer=f"cus_{n}") for n in range(4)]
    for case in cases[:3]:
        await till.approve("ann", case)
    await till.reject("ann", cases[3])

    publisher = Publisher(till.house.database, bus, till.house.stream)
    while len(await outbox(till)) < 4 * 4 + 3:
        await asyncio.gather(publisher.publish(), return_exceptions=True)

    assert bus.lost > 0
    heard = await post.heard()
    kinds = ["case.opened", "review.requested", "review.decided", "effect.done", "case.closed"]
    for case in cases:
        mine = {each["id"]: each for each in heard if each["subject"] == case}
        order = [int(each["sequence"]) for each in heard if each["subject"] == case]
        assert order == sorted(set(order)) == list(range(1, len(mine) + 1))
        expected = kinds if case != cases[3] else [each for each in kinds if each != "effect.done"]
        assert [each["type"] for each in mine.values()] == [f"com.countersign.{each}" for each in expected]
    assert "cus_" not in json.dumps(heard)


# NATS alone


async def test_a_process_that_dies_between_the_inbox_and_the_answer_gets_it_again_and_it_counts_once(
    till: Till,
) -> None:
    case = await till.run([ASK])
    post = Jetstream(till, NATS)
    wrote = asyncio.Event()

    async def dies(deliveries: Sequence[Delivery]) -> list[Answer]:
        await post.take(deliveries)
        wrote.set()
        raise asyncio.CancelledError

    await post.open(dies)
    try:
        await post.send(event(case, 1), event(case, 2))
        await wrote.wait()
        await post.bus.stop()

        await post.bus.start(post.take)
        await post.ready()
        await post.settled()
        assert await numbers(till, case) == [1, 2]
        assert len(await till.trace(case, "event.received")) == 2
    finally:
        await post.close()


async def test_no_header_of_a_sender_keeps_its_message_from_being_kept_apart_or_anothers_from_being_taken(
    till: Till,
) -> None:
    await till.set_roles("lil", "operator")
    case = await till.run([ASK])
    post = Jetstream(till, NATS)
    await post.open()
    try:
        await post.send(event(case, 1), headers={"Nats-Msg-Id": "1"})
        # True of what came in by this name, and of what is kept apart by it not: the server would refuse it there.
        await post.send(b"{", headers={"nats-expected-last-subject-sequence": "1", "Sent-By": "them"})
        await post.send(b"{", headers={"Nats-Expected-Last-Subject-Sequence": "2"})
        await post.settled()
        assert await numbers(till, case) == [1]
        kept = [headers.keys() for headers, _ in await post.kept("DEAD")]
        assert [[name for name in names if "sequence" in name.lower()] for names in kept] == [[], []]
        assert ["Sent-By" in names for names in kept] == [True, False]
        assert all(REASON in names for names in kept)

        await asyncio.sleep(0.3)  # longer than the server's own window: by itself it tells nothing
        await post.send(event(case, source="other"), by="lil", headers={"Nats-Msg-Id": "1"})
        await post.settled()
        assert [row.payload["event"]["source"] for row in await news(till, case)] == ["bank", "other"]
    finally:
        await post.close()


@pytest.fixture
def broker() -> Iterator[Broker]:
    with quick_folder() as folder:
        made = Broker(folder / "jetstream")
        made.start()
        yield made
        made.kill()


class Broker:
    """A server of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["nats-server", "-js", "-sd", str(self._folder), "-a", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


async def test_a_broker_that_is_killed_and_comes_back_is_used_again_and_nothing_is_lost(
    till: Till, broker: Broker
) -> None:
    await till.house.mail.close()
    case = await till.run([ASK])
    post = Jetstream(till, broker.url)
    await post.open()
    publisher = Publisher(till.house.database, post.bus, till.house.stream)
    try:
        await post.send(event(case, 1))
        await post.settled()
        broker.kill()
        await post.ready(ok=False)
        await till.approve("ann", case)  # the house goes on without it
        assert await till.status(case) is CaseStatus.CLOSED
        other = await till.run([ASK])
        asked: list[OutboxRow] = await outbox(till)
        assert asked == []

        broker.start()
        await post.ready()
        await post.send(event(other, 1), event(other, 2))
        await post.settled()
        assert await numbers(till, other) == [1, 2]
        while len(await outbox(till)) < 7:
            await asyncio.gather(publisher.publish(), return_exceptions=True)
        heard = [(each["subject"], each["sequence"]) for each in await post.heard()]
        assert sorted(heard) == [(case, str(n)) for n in range(1, 6)] + [(other, "1"), (other, "2")]
    finally:
        await post.close()
