"""Streams: one log, read once for all; replay, follow, come back; limits, slow readers, readers that vanish."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio

from core.settings import Settings, StreamSettings
from serving.api.sse import TRACE, Streams, follow
from tests.serving.live import Live, living
from tests.support.folders import quick_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

Said = tuple[str, str, Any]
"""Id, event and data of one event of a stream."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small() -> AsyncIterator[Live]:
    """A house that lets few streams in, and has little in memory."""
    few = StreamSettings(open=6, of_person=4, send_s=0.5, keep=20, keep_bytes=400_000)
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data", streams=few)) as found:
            yield found


async def events(answer: httpx.Response) -> AsyncIterator[Said]:
    seq, event = "", ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        match name:
            case "id":
                seq = value
            case "event":
                event = value
            case "data" | "data:":
                yield seq, event, json.loads(value) if value else None


@asynccontextmanager
async def stream(live: Live, path: str, person: str = "", after: object = None) -> AsyncIterator[AsyncIterator[Said]]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with live.as_(person) as http, http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer)


async def until(said: AsyncIterator[Said], *ends: str) -> list[Said]:
    found: list[Said] = []
    async with asyncio.timeout(20):
        async for one in said:
            found.append(one)
            if one[1] in ends:
                return found
    return found


async def happens(live: Live, case: str, many: int, size: int = 10) -> None:
    """So many entries of a case's log."""

    def add(ledger: Any) -> None:
        for number in range(many):
            ledger.trace.add(case, "test.happened", {"number": number, "text": "x" * size})

    await live.house.database.write("default", add)
    live.house.stream.publish()


async def freed(live: Live, person: str = "") -> None:
    """Waits until a place is free again, by taking it."""
    async with asyncio.timeout(20), live.as_(person) as http:
        while True:
            async with http.stream("GET", "/events") as answer:
                if answer.status_code == 200:
                    return
            await asyncio.sleep(0.02)


async def test_a_case_is_replayed_marked_and_followed_to_its_end(live: Live) -> None:
    case, _ = await live.waiting(await live.dear())
    name = case["case"]["id"]
    async with stream(live, f"/cases/{name}/events", "vera") as said:
        before = await until(said, "replayed")
        assert [each[2]["case_id"] for each in before[:-1]] == [name] * (len(before) - 1)
        async with live.as_() as http:
            await http.post(f"/cases/{name}/cancel")
        rest = await until(said, "end")
    numbers = [int(seq) for seq, event, _ in before[:-1] + rest[:-1]]
    assert numbers == sorted(set(numbers))
    assert rest[-2][1] == "case.cancelled"
    async with stream(live, f"/cases/{name}/events", after=numbers[2]) as again:
        assert [int(seq) for seq, *_ in await until(again, "end")][:-1] == numbers[3:]


async def test_each_reader_gets_its_own_and_all_get_the_same(live: Live) -> None:
    one, other = [(await live.waiting(await live.dear()))[0]["case"]["id"] for _ in range(2)]
    async with (
        stream(live, f"/cases/{one}/events") as first,
        stream(live, f"/cases/{other}/events") as second,
        stream(live, "/events") as desk,
        stream(live, "/events", "vera") as viewer,
    ):
        for said in (first, second, desk, viewer):
            await until(said, "replayed")
        await happens(live, one, 3)
        await happens(live, other, 2)
        for case in (one, other):
            async with live.as_() as http:
                await http.post(f"/cases/{case}/cancel")
        ended = [await until(first, "end"), await until(second, "end")]
        for told, case, many in ((ended[0], one, 3), (ended[1], other, 2)):
            assert sum(event == "test.happened" for _, event, _ in told) == many
            assert {data["case_id"] for _, _, data in told[:-1]} == {case}
        both = [await until(desk, "case.cancelled"), await until(viewer, "case.cancelled")]
        assert both[0] == both[1]


async def test_what_happens_while_a_reader_is_away_is_there_when_it_comes_back(live: Live) -> None:
    name = (await live.waiting(await live.dear()))[0]["case"]["id"]
    async with stream(live, f"/cases/{name}/events") as said:
        last = (await until(said, "replayed"))[-1][0]
    await happens(live, name, 450)
    async with stream(live, f"/cases/{name}/events", after=last) as said:
        found = await until(said, "replayed")
    assert [data["body"]["number"] for _, _, data in found[:-1]] == list(range(450))


async def test_a_position_that_is_none_is_refused(live: Live) -> None:
    async with live.as_() as http:
        for wrong in ("x", "-1", "1.5", "٣", "9" * 20):
            answer = await http.get("/events", headers=[(b"Last-Event-ID", wrong.encode())])
            assert answer.status_code == 422
            assert answer.json()["field"].lower().endswith("last-event-id")


async def test_only_so_many_streams_are_open_at_once(small: Live) -> None:
    async with small.as_() as http, small.as_("vera") as viewer, small.as_("rita") as third:
        opened = [await http.send(http.build_request("GET", "/events"), stream=True) for _ in range(4)]
        assert {answer.status_code for answer in opened} == {200}
        refused = await http.get("/events")
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "10"
        assert refused.json()["type"] == "urn:countersign:busy"
        opened += [await viewer.send(viewer.build_request("GET", "/events"), stream=True) for _ in range(2)]
        full = await third.get("/events")
        assert (full.status_code, "too many" in full.json()["detail"].lower()) == (429, True)
        for answer in opened:
            await answer.aclose()
    await freed(small, "rita")


def raw(live: Live, path: str, after: int) -> socket.socket:
    """A reader with hardly any room, that has asked and takes nothing."""
    host, port = live.url.removeprefix("http://").split(":")
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect((host, int(port)))
    asked = f"GET /api/v1{path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {live.tokens['']}\r\n"
    found.sendall(f"{asked}Last-Event-ID: {after}\r\n\r\n".encode())
    found.setblocking(False)
    return found


async def all_of(sock: socket.socket) -> str:
    """What a raw reader gets when it takes everything after all, until the server ends it."""
    loop, parts = asyncio.get_running_loop(), []
    async with asyncio.timeout(20):
        while True:
            try:
                part = await loop.sock_recv(sock, 65536)
            except ConnectionError:
                break
            if not part:
                break
            parts.append(part)
            if part.endswith(b"0\r\n\r\n"):
                break
    return b"".join(parts).decode(errors="replace")


async def test_a_slow_reader_is_let_go_and_misses_nothing_when_it_comes_back(live: Live, small: Live) -> None:
    """It is further behind than the memory is long: it is told so, with the number to come back with."""
    name = (await small.waiting(await small.dear()))[0]["case"]["id"]
    async with stream(small, f"/cases/{name}/events") as said:
        last = int((await until(said, "replayed"))[-1][0])
    gone = 0
    sock = raw(small, f"/cases/{name}/events", last)
    with sock:
        await loop_turns()
        for _ in range(20):
            await happens(small, name, 5, size=40_000)
            await loop_turns()
        got = await all_of(sock)
    seen = [int(line[4:]) for line in got.replace("\r", "").split("\n") if line.startswith("id: ")]
    gone = max(seen, default=last)
    assert "event: test.happened" in got
    async with stream(small, f"/cases/{name}/events", after=gone) as said:
        rest = [int(seq) for seq, event, _ in await until(said, "replayed") if event != "replayed"]
    rows = await small.house.database.read("default", lambda ledger: ledger.trace.of_case(name, last))
    numbers = sorted({each for each in seen if each > last} | set(rest))
    assert numbers == [row.seq for row in rows]
    assert gone < numbers[-1], "it was slow, and yet it got everything at once"


async def loop_turns() -> None:
    """Lets the server's side do what it can."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def test_a_reader_that_vanishes_leaves_nothing_behind(small: Live) -> None:
    for _ in range(3):
        readers = [raw(small, "/events", 0) for _ in range(4)]
        await asyncio.sleep(0)
        for sock in readers:
            sock.close()
        await freed(small)


async def test_what_is_told_to_others_is_a_stream_too(live: Live) -> None:
    await live.add("shop", "service")
    async with live.as_("shop") as http:
        bought = {"kind": "returns", "payload": await live.small()}
        for person in ("vera", "shop"):
            async with live.as_(person) as reader:
                path = "/events/published"
                headers = {"Accept": "text/event-stream"}
                async with reader.stream("GET", path, headers=headers) as answer:
                    said = events(answer)
                    mine = (await http.post("/cases", json=bought, headers={"Prefer": "wait=30"})).json()["case"]["id"]
                    async with asyncio.timeout(20):
                        async for _, event, data in said:
                            if data and data.get("subject") == mine and event.endswith("opened"):
                                break
            bought = {"kind": "returns", "payload": await live.small()}


async def test_a_reader_behind_the_memory_is_told_the_number_to_come_back_with(small: Live) -> None:
    name = (await small.waiting(await small.dear()))[0]["case"]["id"]
    streams, house = Streams(small.house), small.house

    def reader(after: int) -> AsyncIterator[Any]:
        return follow(streams, house.database, "default", "trace", TRACE, after)

    last = await house.database.read("default", lambda ledger: ledger.trace.last())
    slow, quick = reader(last), reader(last)
    assert [sent_as(await anext(each))[1] for each in (slow, quick)] == ["replayed", "replayed"]
    for _ in range(5):  # the memory holds 20 entries: the quick one takes 10 at a time, the slow one none
        await happens(small, name, 10)
        taken = [sent_as(await anext(quick)) for _ in range(10)]
        assert [data["body"]["number"] for *_, data in taken] == list(range(10))
    seq, event, data = sent_as(await anext(slow))
    assert (int(seq), event, data) == (last, "closed", {"why": "too slow"})
    with pytest.raises(StopAsyncIteration):
        await anext(slow)
    again = reader(int(seq))
    assert [sent_as(await anext(again))[1] for _ in range(51)] == ["test.happened"] * 50 + ["replayed"]


def sent_as(one: Any) -> Said:
    text = (one if isinstance(one, bytes) else one.encode()).decode().replace("\r\n", "\n")
    fields = {name: value for name, _, value in (line.partition(": ") for line in text.strip().split("\n"))}
    return fields["id"], fields["event"], json.loads(fields["data"]) if fields.get("data") else None
