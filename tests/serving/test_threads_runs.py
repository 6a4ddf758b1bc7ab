"""Runs of plain graphs as a stock client sees them: what they stream, how they are joined, called off and queued."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
import pytest_asyncio
from langgraph_sdk.errors import ConflictError, NotFoundError

from tests.serving.talk import Talk, let_go, reached, talking
from tests.support.folders import quick_folder
from tests.support.plain_graphs import DONE, WAITING

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talk() -> AsyncIterator[Talk]:
    with quick_folder() as folder:
        async with talking(folder) as found:
            yield found


async def parts(stream: Any) -> list[Any]:
    return [part async for part in stream]


async def test_a_run_streams_its_metadata_then_values_and_an_end_each_with_a_number(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]
    made: list[Any] = []
    found = await parts(client.runs.stream(thread, "one_step", input={"name": "a"}, on_run_created=made.append))
    assert [part.event for part in found] == ["metadata", "values", "values", "end"]
    assert [part.id for part in found] == ["1", "2", "3", "4"]
    assert found[0].data == {"run_id": made[0]["run_id"], "attempt": 1}
    assert made[0]["thread_id"] == thread
    assert found[2].data == {"log": ["first"], "name": "a"}
    run = await client.runs.get(thread, made[0]["run_id"])
    assert (run["status"], run["thread_id"]) == ("success", thread)
    whole = await client.threads.get(thread)
    assert (whole["status"], whole["values"]) == ("idle", {"log": ["first"], "name": "a"})
    assert whole["metadata"] == {"graph_id": "one_step", "assistant_id": "one_step"}


async def test_every_mode_that_is_named_is_streamed(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]
    modes: list[Any] = ["values", "updates", "custom", "tasks", "checkpoints", "debug"]
    found = await parts(
        client.runs.stream(thread, "nested", input={"name": "a"}, stream_mode=modes, stream_subgraphs=True)
    )
    events = [part.event for part in found]
    assert {event.partition("|")[0] for event in events} == {*modes, "metadata", "end"}
    (below,) = [part for part in found if part.event.startswith("updates|below:")]
    assert below.data == {"inner": {"log": ["inner"]}}
    assert [part.data for part in found if part.event == "custom"] == [{"progress": "half"}]
    assert next(part.data for part in found if part.event == "updates") == {"report": {"log": ["reported"]}}


async def test_messages_come_word_by_word_in_both_of_the_forms_that_clients_read(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]
    said = {"messages": [{"role": "user", "content": "Speak."}]}
    found = await parts(client.runs.stream(thread, "speaks", input=said, stream_mode=["messages", "messages-tuple"]))
    assert {part.event for part in found} == {"metadata", "messages", "messages/metadata", "messages/partial", "end"}
    pieces = [part.data for part in found if part.event == "messages"]
    assert "".join(chunk["content"] for chunk, _ in pieces) == "Three plain words."
    assert pieces[0][1]["langgraph_node"] == "speak"
    partial = [part.data[0]["content"] for part in found if part.event == "messages/partial"]
    assert partial[-1] == "Three plain words."
    assert all(later.startswith(earlier) for earlier, later in pairwise(partial))
    values = (await client.threads.get_state(thread))["values"]
    assert [each["type"] for each in values["messages"]] == ["human", "ai"]  # type: ignore[call-overload]


async def test_wait_gives_the_values_and_a_failure_as_the_client_reads_it(talk: Talk) -> None:
    client = talk.as_()
    assert await client.runs.wait(None, "one_step", input={"name": "b"}) == {"log": ["first"], "name": "b"}
    thread = (await client.threads.create())["thread_id"]
    with pytest.raises(Exception, match="ValueError: the till is empty"):
        await client.runs.wait(thread, "broken", input={"name": "b"})
    told = await client.runs.wait(thread, "broken", input={"name": "b"}, raise_error=False)
    assert told == {"__error__": {"error": "ValueError", "message": "the till is empty"}}
    assert (await client.threads.get(thread))["status"] == "error"
    found = await parts(client.runs.stream(thread, "broken", input={"name": "b"}))
    assert [part.event for part in found] == ["metadata", "values", "error", "end"]


async def test_a_stream_is_read_again_from_any_event_and_whole_after_the_end(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, "loud", input={"name": "a"}, stream_mode=["custom", "values"])
    whole = await parts(client.runs.join_stream(thread, run["run_id"], last_event_id="-1"))
    assert [part.id for part in whole] == [str(n) for n in range(1, len(whole) + 1)]
    assert len(whole) > 1_000
    assert whole[-1].event == "end"
    rest = await parts(client.runs.join_stream(thread, run["run_id"], last_event_id="990"))
    assert rest == whole[990:]
    only = await parts(client.runs.join_stream(thread, run["run_id"], stream_mode="values"))
    assert {part.event for part in only} == {"metadata", "values", "end"}
    assert (await client.runs.join(thread, run["run_id"]))["log"] == ["shouted"]


async def test_a_stock_client_whose_line_is_cut_comes_back_by_itself_and_misses_nothing(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]

    class Cutting(httpx.AsyncHTTPTransport):
        cuts = 1

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            if "stream" in request.url.path and Cutting.cuts:
                Cutting.cuts -= 1
                inner = response.stream

                class Short(httpx.AsyncByteStream):
                    async def __aiter__(self) -> AsyncIterator[bytes]:
                        async for piece in inner:  # type: ignore[union-attr]
                            yield piece
                            raise httpx.ReadError("cut", request=request)

                response.stream = Short()
            return response

    client.http.client._transport = Cutting()
    found = await parts(client.runs.stream(thread, "loud", input={"name": "a"}, stream_mode="custom"))
    assert [part.data for part in found if part.event == "custom"] == [{"n": n} for n in range(1_000)]
    assert Cutting.cuts == 0


async def test_headers_say_where_the_run_is(talk: Talk) -> None:
    async with talk.http() as http:
        thread = (await http.post("/threads", json={})).json()["thread_id"]
        body = {"assistant_id": "one_step", "input": {"name": "h"}}
        for way, back in (("stream", "stream"), ("wait", "join")):
            got = await http.post(f"/threads/{thread}/runs/{way}", json=body)
            base = got.headers["content-location"]
            assert base.startswith(f"/threads/{thread}/runs/")
            assert got.headers["location"] == f"{base}/{back}"
        made = await http.post(f"/threads/{thread}/runs", json=body)
        assert made.headers["content-location"].endswith(made.json()["run_id"])


async def begun(talk: Talk, name: str, thread: str = "") -> tuple[str, str]:
    """A run that waits in its second step."""
    client = talk.as_()
    thread = thread or (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, "waits", input={"name": name})
    await reached(name)
    return thread, run["run_id"]


async def test_a_run_that_is_called_off_stops_and_the_thread_goes_on_later(talk: Talk) -> None:
    client = talk.as_()
    thread, run = await begun(talk, "c1")
    await client.runs.cancel(thread, run, wait=True)
    assert (await client.runs.get(thread, run))["status"] == "interrupted"
    state = await client.threads.get_state(thread)
    assert (state["values"], state["next"]) == ({"log": ["first"], "name": "c1"}, ["hold"])
    let_go("c1")
    assert (await client.runs.wait(thread, "waits", input=None))["log"] == ["first", "held c1"]
    await client.runs.cancel(thread, run)  # of one that is over nothing more becomes


async def test_a_run_that_is_rolled_back_leaves_nothing(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "waits", input={"name": "r0"}, interrupt_before=["hold"])
    before = await client.threads.get_state(thread)
    thread, run = await begun(talk, "r1", thread)
    await client.runs.cancel(thread, run, wait=True, action="rollback")
    assert (await client.threads.get_state(thread))["checkpoint_id"] == before["checkpoint_id"]
    with pytest.raises(NotFoundError):
        await client.runs.get(thread, run)


async def test_a_second_run_may_be_refused_queued_or_put_in_the_first_ones_place(talk: Talk) -> None:
    client = talk.as_()
    thread, run = await begun(talk, "m1")
    with pytest.raises(ConflictError):
        await client.runs.create(thread, "waits", input={"name": "m2"}, multitask_strategy="reject")
    queued = await client.runs.create(thread, "waits", input={"name": "m3"})
    assert (await client.runs.get(thread, queued["run_id"]))["status"] == "pending"
    let_go("m1")
    await reached("m3")
    assert (await client.runs.get(thread, run))["status"] == "success"
    ousting = await client.runs.create(thread, "waits", input={"name": "m4"}, multitask_strategy="interrupt")
    await reached("m4")
    assert (await client.runs.get(thread, queued["run_id"]))["status"] == "interrupted"
    last = await client.runs.create(thread, "waits", input={"name": "m5"}, multitask_strategy="rollback")
    await reached("m5")
    with pytest.raises(NotFoundError):
        await client.runs.get(thread, ousting["run_id"])
    let_go("m5")
    done = await client.runs.join(thread, last["run_id"])
    assert done["log"] == ["first", "held m1", "first", "first", "held m5"]


async def test_of_many_at_once_one_runs_and_the_others_follow_in_their_order(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]
    for n in range(8):
        WAITING[f"q{n}"] = asyncio.Event()
        let_go(f"q{n}")
    WAITING["x"] = asyncio.Event()
    found = await asyncio.gather(*(client.runs.wait(thread, "waits", input={"name": f"q{n}"}) for n in range(8)))
    assert sorted(len(each["log"]) for each in found) == list(range(2, 17, 2))
    runs = await client.runs.list(thread, limit=20)
    assert [each["status"] for each in runs] == ["success"] * 8
    strict = [client.runs.create(thread, "waits", input={"name": "x"}, multitask_strategy="reject") for _ in range(8)]
    told = await asyncio.gather(*strict, return_exceptions=True)
    assert sum(isinstance(each, ConflictError) for each in told) == 7
    let_go("x")
    (run,) = [each for each in told if isinstance(each, dict)]
    await client.runs.join(thread, run["run_id"])
    values = (await client.threads.get_state(thread))["values"]
    assert values["log"][-2:] == ["first", "held x"]  # type: ignore[call-overload]


async def test_a_run_pauses_before_and_after_nodes_and_begins_at_an_older_step(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "two_gates", input={"name": "p"}, interrupt_before=["first"])
    assert (await client.threads.get_state(thread))["next"] == ["first"]
    assert (await client.threads.get(thread))["status"] == "interrupted"
    await client.runs.wait(thread, "two_gates", interrupt_after="*")
    states = await client.threads.get_history(thread)
    assert [state["next"] for state in states] == [["gate_one"], ["first"], ["__start__"]]
    older = states[1]["checkpoint"]
    forked = await client.runs.wait(thread, "two_gates", checkpoint=older)
    assert forked["__interrupt__"][0]["value"] == {"ask": "one?"}
    assert (await client.threads.get_state(thread, checkpoint=older))["next"] == ["first"]


async def test_a_client_that_leaves_may_take_its_run_with_it_and_otherwise_does_not(talk: Talk) -> None:
    client = talk.as_()
    for name, mode, ends in (("d1", "cancel", "interrupted"), ("d2", "continue", "success")):
        thread = (await client.threads.create())["thread_id"]
        stream = client.runs.stream(thread, "waits", input={"name": name}, on_disconnect=mode)  # type: ignore[arg-type]
        run = (await anext(stream)).data["run_id"]
        await reached(name)
        await stream.aclose()  # type: ignore[attr-defined]
        if mode == "continue":
            let_go(name)
        await client.runs.join(thread, run)
        assert (await client.runs.get(thread, run))["status"] == ends


async def test_a_run_without_a_thread_goes_with_it_and_one_may_be_kept(talk: Talk) -> None:
    client = talk.as_()
    before = await client.threads.count()
    run = await client.runs.create(None, "one_step", input={"name": "t"})
    assert (await client.runs.join(run["thread_id"], run["run_id"]))["log"] == ["first"]
    kept = await client.runs.create(None, "one_step", input={"name": "t"}, on_completion="keep")
    await client.runs.join(kept["thread_id"], kept["run_id"])
    assert await client.threads.count() == before + 1


async def test_a_refused_run_changes_nothing(talk: Talk) -> None:
    client = talk.as_()
    thread = (await client.threads.create())["thread_id"]
    done = len(DONE)
    bad: list[tuple[dict[str, Any], int]] = [
        ({"assistant_id": "nobody"}, 404),
        ({"webhook": "http://127.0.0.1:1/"}, 422),
        ({"stream_mode": ["events"]}, 422),
        ({"stream_mode": 7}, 422),
        ({"command": {"resume": "yes"}}, 422),
        ({"command": {"resume": "yes"}, "input": None}, 409),
        ({"after_seconds": -1}, 422),
        ({"multitask_strategy": "perhaps"}, 422),
        ({"config": {"configurable": ["x"]}}, 422),
        ({"metadata": {"x": "y" * 70_000}}, 422),
        ({"checkpoint": {"checkpoint_ns": "below", "checkpoint_id": "x"}}, 422),
        ({"command": {"goto": "gate_two"}, "assistant_id": "one_gate", "input": None}, 403),
    ]
    async with talk.http() as http:
        for change, status in bad:
            body = {"assistant_id": "two_gates", "input": {"name": "z"}, **change}
            got = await http.post(f"/threads/{thread}/runs", json={k: v for k, v in body.items() if v is not None})
            assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json"), (
                change,
                got.text,
            )
        assert (await http.post("/runs/batch", json=[])).status_code == 501
        assert (await http.post(f"/threads/{thread}/runs/crons", json={})).status_code == 501
        assert (await http.get(f"/threads/{thread}/runs/{thread}/stream")).status_code == 404
    assert await client.runs.list(thread) == []
    assert len(DONE) == done
