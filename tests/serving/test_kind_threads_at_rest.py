"""A thread whose case does not go on: its customer gets an answer that is true, and the thread is free again."""

from __future__ import annotations

import asyncio

import pytest

from engine import releases
from ledger.database import Ledger
from tests.serving.kind_talk import Sdk
from tests.support.chat import cases_of, shopper

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEWS = "They also smell burnt. It is dangerous!"
_PATIENCE_S = 20.0
"""What would never end without it."""


async def held(sdk: Sdk, case: str) -> None:
    def hold(ledger: Ledger) -> None:
        releases.hold(ledger, case, "a new prompt is under review", "ops")

    await sdk.live.house.database.write("default", hold)


async def let_go(sdk: Sdk, case: str) -> None:
    await sdk.live.house.database.write("default", lambda ledger: releases.migrate(ledger, case, "ops"))


async def asked(sdk: Sdk, case: str, what: str) -> None:
    """An operator pauses it, or lets it go on."""
    async with sdk.live.as_() as http:
        answer = await http.post(f"/cases/{case}/{what}")
    assert answer.status_code == 200, answer.text
    await sdk.live.house.settled("default", {case})


async def case_of(sdk: Sdk, thread: str) -> str:
    return str((await sdk.values(thread))["case"]["id"])


async def test_who_writes_into_a_case_that_is_held_back_ends_their_run_and_is_heard_later(sdk: Sdk) -> None:
    thread, _ = await sdk.waiting()
    case = await case_of(sdk, thread)
    await held(sdk, case)
    async with asyncio.timeout(_PATIENCE_S):
        _, values = await sdk.talk(NEWS, thread)
        assert values["messages"][-1]["content"] == NEWS
        _, values = await sdk.talk("Any news?", thread)
    assert "colleague" in values["messages"][-1]["content"]
    await let_go(sdk, case)
    await asked(sdk, case, "resume")
    assert (await sdk.question(thread))["wrote"] == [NEWS]


async def test_in_the_chat_too(sdk: Sdk) -> None:
    bob = await shopper(sdk.live)
    await bob.say(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
    (case,) = await cases_of(sdk.live, bob)
    await held(sdk, case["id"])
    async with asyncio.timeout(_PATIENCE_S):
        answer = await bob.say(NEWS)
    assert "colleague" in answer


async def test_a_case_that_is_held_back_before_it_began_is_not_waited_for(sdk: Sdk) -> None:
    thread, _ = await sdk.waiting()
    case = await case_of(sdk, thread)
    await asked(sdk, case, "pause")
    await held(sdk, case)
    async with asyncio.timeout(_PATIENCE_S):
        await asked(sdk, case, "resume")
        _, values = await sdk.talk("Any news?", thread)
    assert values["case"]["status"] == "open"


async def test_of_a_paused_case_a_thread_says_what_the_chat_says_and_it_is_kept(sdk: Sdk) -> None:
    thread, _ = await sdk.waiting()
    case = await case_of(sdk, thread)
    await asked(sdk, case, "pause")
    _, waited = await sdk.talk("Any news?", thread)
    *_, question, answer = waited["messages"]
    assert question["content"] == "Any news?"
    assert "takes longer than usual" in answer["content"]
    assert (await sdk.values(thread))["messages"] == waited["messages"]
    newest, older = await sdk.as_("chat").threads.get_history(thread, limit=2)
    assert newest["values"]["messages"] == waited["messages"]  # type: ignore[call-overload]
    assert answer not in older["values"]["messages"]  # type: ignore[call-overload]
    _, later = await sdk.talk("Any news?", thread)
    assert [each["content"] for each in later["messages"][-2:]] == [question["content"], answer["content"]]


async def test_what_is_no_number_of_an_event_or_a_step_is_refused_in_words(sdk: Sdk) -> None:
    thread, _ = await sdk.waiting()
    (run,) = await sdk.as_("chat").runs.list(thread)
    case = await case_of(sdk, thread)
    async with sdk.live.as_() as http:
        base = f"{sdk.live.url}/threads/{thread}"
        for wrong in ("x", "-2", "²", "٣", "9" * 20):
            sent = {b"Last-Event-ID": wrong.encode("latin-1" if wrong == "²" else "utf-8")}
            answer = await http.get(f"{base}/runs/{run['run_id']}/stream", headers=sent)
            assert (answer.status_code, answer.json()["field"]) == (422, "Last-Event-ID"), wrong
            step = await http.get(f"{base}/state/{case}-{wrong}")
            assert (step.status_code, "no step" in step.json()["detail"]) == (404, True), wrong


async def test_a_stream_mode_in_which_a_kind_sends_nothing_is_refused(sdk: Sdk) -> None:
    thread, _ = await sdk.waiting()
    for mode in ("tasks", "checkpoints", "debug"):
        wish = {"assistant_id": "returns", "input": {"messages": []}, "stream_mode": ["values", mode]}
        async with sdk.live.as_() as http:
            answer = await http.post(f"{sdk.live.url}/threads/{thread}/runs/stream", json=wish)
        told = answer.json()
        assert (answer.status_code, told["field"], mode in told["detail"]) == (422, "stream_mode", True)
