"""Nobody takes all there is of threads: streams of runs have their place among all streams, and queues a share each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from core.settings import GraphSettings, Settings, StreamSettings, ThreadSettings
from serving.house import open_house
from serving.main import listening, serving
from tests.serving.live import Live
from tests.serving.talk import let_go, reached
from tests.support.folders import quick_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live() -> AsyncIterator[Live]:
    settings = {
        "graphs": {"waits": GraphSettings(path="tests.support.plain_graphs:waits")},
        "streams": StreamSettings(of_person=2),
        "threads": ThreadSettings(queue_limit=3, queue_of_person=2),
    }
    with quick_folder() as folder, listening("127.0.0.1", 0) as sock:
        async with (
            open_house(Settings(data=folder / "data", **settings), bell="tasks", kinds={}) as house,  # type: ignore[arg-type]
            serving(house, sock) as url,
        ):
            found = Live(house, url)
            for person in ("ann", "ben", "cat"):
                await found.add(person, "service")
            yield found


def http(live: Live, person: str) -> httpx.AsyncClient:
    headers = {"X-Api-Key": live.tokens[person]}
    return httpx.AsyncClient(base_url=live.url, headers=headers, timeout=30)


async def begun(client: httpx.AsyncClient, name: str) -> str:
    """A thread whose run waits until the test lets it go."""
    thread = str((await client.post("/threads", json={})).json()["thread_id"])
    asked = {"assistant_id": "waits", "input": {"name": name}}
    assert (await client.post(f"/threads/{thread}/runs", json=asked)).status_code == 200
    await reached(name)
    return thread


async def test_streams_of_runs_are_counted_with_all_others_and_nothing_begins_beyond(live: Live) -> None:
    async with http(live, "ann") as client, http(live, "ben") as other:
        thread = await begun(client, "places")
        (run,) = (await client.get(f"/threads/{thread}/runs")).json()
        base = f"/threads/{thread}/runs"
        asked = {"assistant_id": "waits", "input": {"name": "beyond"}}
        async with (
            client.stream("GET", f"{base}/{run['run_id']}/stream") as first,
            client.stream("GET", f"{base}/{run['run_id']}/join") as second,
        ):
            assert (first.status_code, second.status_code) == (200, 200)
            for where in (f"{base}/wait", f"{base}/stream", "/runs/wait", "/runs/stream"):
                assert (await client.post(where, json=asked)).status_code == 429
            for way in ("stream", "join"):
                assert (await client.get(f"{base}/{run['run_id']}/{way}")).status_code == 429
            assert (await other.post("/runs/wait", json={"assistant_id": "nothing"})).status_code == 404
            assert len((await client.get(base)).json()) == 1
            let_go("places")
            for each in (first, second):
                await each.aread()
        for _ in range(5):
            joined = await client.get(f"{base}/{run['run_id']}/join")
            assert joined.json()["log"] == ["first", "held places"]
        for _ in range(5):
            assert (await client.get(f"{base}/nothing/join")).status_code == 404


async def test_runs_for_later_take_nobody_elses_place_in_the_queue(live: Live) -> None:
    async with http(live, "ann") as client, http(live, "ben") as other, http(live, "cat") as third:
        later = {"assistant_id": "waits", "input": {"name": "later"}, "after_seconds": 3_000}
        for person in (client, third):
            codes = [(await person.post("/runs", json=later)).status_code for _ in range(3)]
            assert codes == [200, 200, 429]
        thread = await begun(other, "queue")
        asked = {"assistant_id": "waits", "input": {"name": "queue"}}
        told = await asyncio.gather(*(other.post(f"/threads/{thread}/runs", json=asked) for _ in range(3)))
        assert sorted(each.status_code for each in told) == [200, 200, 429]
        (refused,) = [each.json() for each in told if each.status_code == 429]
        assert "runs of ben wait" in refused["detail"]
        let_go("queue")
