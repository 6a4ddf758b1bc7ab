"""What clients write beside a thread and its runs may be about people: it is found, and lies nowhere in the clear."""

from __future__ import annotations

import pytest

from tests.serving.live import Live

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "Berta Geheim"


async def test_metadata_is_searched_and_is_in_no_file(live: Live) -> None:
    await live.add("clerk", "service")
    async with live.as_("clerk") as http:
        made = await http.post(f"{live.url}/threads", json={"metadata": {"customer_name": NAME, "n": 1}})
        thread = made.json()["thread_id"]
        await http.post(f"{live.url}/threads", json={"metadata": {"customer_name": "Another"}})
        run = {
            "assistant_id": "returns",
            "input": {"messages": [{"role": "user", "content": "hello"}]},
            "metadata": {"agent_of": NAME},
        }
        begun = await http.post(f"{live.url}/threads/{thread}/runs", json=run)
        assert begun.status_code == 200, begun.text
        told = await http.get(f"{live.url}/threads/{thread}/runs/{begun.json()['run_id']}")
        assert told.json()["metadata"]["agent_of"] == NAME
        found = await http.post(f"{live.url}/threads/search", json={"metadata": {"customer_name": NAME}})
        assert [each["thread_id"] for each in found.json()] == [thread]
        changed = await http.patch(f"{live.url}/threads/{thread}", json={"metadata": {"n": 2}})
        assert {"customer_name": NAME, "n": 2}.items() <= changed.json()["metadata"].items()
    files = [path for path in live.house.settings.data.rglob("*") if path.is_file()]
    assert any(path.name == "ledger.db" for path in files)
    assert [path.name for path in files if NAME.encode() in path.read_bytes()] == []
