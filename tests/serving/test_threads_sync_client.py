"""The stock synchronous client, in a thread beside the house."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from tests.serving.talk import Talk, talking
from tests.support.folders import quick_folder


@pytest.fixture
def beside() -> Iterator[Talk]:
    """A house in a thread of its own: the synchronous client blocks this one."""
    ready, over, found = Event(), Event(), list[Talk]()

    async def live() -> None:
        with quick_folder() as folder:
            async with talking(folder) as talk:
                found.append(talk)
                ready.set()
                await asyncio.to_thread(over.wait)

    thread = Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert ready.wait(60)
    yield found[0]
    over.set()
    thread.join(30)


def test_the_synchronous_client_is_served_alike(beside: Talk) -> None:
    client = beside.sync_as()
    assert "one_step" in {each["graph_id"] for each in client.assistants.search(limit=100)}
    thread = client.threads.create()["thread_id"]
    found = list(client.runs.stream(thread, "one_step", input={"name": "s"}, stream_mode="updates"))
    told = [(part.event, part.data) for part in found]
    assert told[1:] == [("updates", {"first": {"log": ["first"]}}), ("end", None)]
    assert client.runs.wait(thread, "one_step", input={"name": "s"})["log"] == ["first", "first"]
    assert client.threads.get_state(thread)["next"] == []
