"""A shop's chat talks to the returns agent by the stock OpenAI client: a talk becomes a case."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest

from tests.serving.live import Live
from tests.support.chat import cases_of, decide, shopper

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_return_that_nobody_has_to_look_at_is_done_in_the_talk(live: Live) -> None:
    ann = await shopper(live)

    assert "number" in await ann.say("Hello, I want to send something back.")
    assert not await cases_of(live, ann)
    answer = await ann.say(f"The tee of {ann.order} is too small, I would like a refund.")

    (case,) = await cases_of(live, ann)
    assert case["outcome"] == "refunded"
    assert "We have refunded" in answer
    assert case["id"] in answer


async def test_an_approval_is_told_in_plain_words_and_the_talk_goes_on_when_it_is_decided(live: Live) -> None:
    bob = await shopper(live)

    answer = await bob.say(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
    (case,) = await cases_of(live, bob)
    assert case["status"] == "waiting"
    assert "colleague" in answer
    assert case["id"] in answer
    for inner in ("limit", "policy", "reviewer", "returns_reviewer", "rule"):
        assert inner not in answer
    assert "colleague" in await bob.say("Any news?")
    await decide(live, case["id"], "approve")
    await live.house.settled("default", {case["id"]})
    assert "We have refunded" in await bob.say("How does it stand?")
    assert len(await cases_of(live, bob)) == 1


async def test_a_stream_has_the_role_the_words_progress_without_words_usage_and_an_end(live: Live) -> None:
    ann = await shopper(live)
    sent = ann.asks(f"The tee of {ann.order} is too small, I would like a refund.")

    stream = await ann.client.chat.completions.create(
        model="returns", messages=sent, stream=True, stream_options={"include_usage": True}, user=ann.customer
    )
    chunks = [chunk async for chunk in stream]

    *told, last, usage = chunks
    assert told[0].choices[0].delta.role == "assistant"
    words = "".join(chunk.choices[0].delta.content or "" for chunk in told)
    assert "We have refunded" in words
    assert any(not chunk.choices[0].delta.model_dump(exclude_none=True) for chunk in told), "no progress is seen"
    assert last.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens == usage.usage.prompt_tokens + usage.usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1
    assert not any("countersign" in chunk.to_dict() for chunk in chunks), "a strict parser would stumble"


async def test_what_progress_is_about_is_shown_to_who_asks_for_it(live: Live) -> None:
    ann = await shopper(live)
    body = {
        "model": "returns",
        "messages": ann.asks(f"The tee of {ann.order} is too small, I would like a refund."),
        "stream": True,
        "user": ann.customer,
        "metadata": {"progress": "true"},
    }

    chunks = await streamed(live, body)

    seen = {chunk["countersign"]["progress"] for chunk in chunks if "countersign" in chunk}
    assert seen <= {"thinking", "reading", "acting"}
    assert {"thinking", "acting"} <= seen


async def streamed(live: Live, body: dict[str, Any], token: str = "chat") -> list[dict[str, Any]]:
    """Each chunk, as it came over the wire. It ends with `[DONE]`."""
    found = []
    async with (
        httpx.AsyncClient(headers={"Authorization": f"Bearer {live.tokens[token]}"}, timeout=30) as http,
        http.stream("POST", f"{live.url}/v1/chat/completions", json=body) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(line.removeprefix("data: "))
    assert found.pop() == "[DONE]"
    return [json.loads(each) for each in found]


async def test_a_stream_that_is_still_open_gets_the_result_pushed_when_people_decide(live: Live) -> None:
    bob = await shopper(live)
    sent = bob.asks(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")

    stream = await bob.client.chat.completions.create(model="returns", messages=sent, stream=True, user=bob.customer)
    words, decided = "", False
    async for chunk in stream:
        words += chunk.choices[0].delta.content or ""
        if "how it stands." in words and not decided:
            decided = True
            (case,) = await cases_of(live, bob)
            await decide(live, case["id"], "approve")

    assert decided
    assert words.index("colleague") < words.index("We have refunded")
    assert words.count("colleague") == 1


async def test_the_same_talk_sent_again_finds_the_same_case_and_tells_it_nothing_twice(live: Live) -> None:
    bob = await shopper(live)
    first = bob.asks(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
    answers = await asyncio.gather(*(bob.send(first) for _ in range(3)))
    (case,) = await cases_of(live, bob)
    assert len(set(answers)) == 1
    assert case["id"] in answers[0]

    bob.said = [*first, {"role": "assistant", "content": answers[0]}]
    second = bob.asks("Can I have store credit instead, please?")
    await asyncio.gather(*(bob.send(second) for _ in range(3)))
    await bob.send(second)

    (case,) = await cases_of(live, bob)
    assert await told(live, case["id"]) == ["Can I have store credit instead, please?"]


async def told(live: Live, case_id: str) -> list[str]:
    """What the customer wrote into an open case, by its log."""
    async with live.as_() as http:
        trace = (await http.get(f"/cases/{case_id}/trace", params={"limit": 500})).json()["items"]
    return [entry["body"]["text"] for entry in trace if entry["type"] == "customer.wrote"]


async def test_another_message_puts_an_end_to_what_waits_and_a_mere_question_does_not(live: Live) -> None:
    bob = await shopper(live)
    await bob.say(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
    (case,) = await cases_of(live, bob)

    for text in ("Any news?", "Thanks!", "How long does it take?"):
        assert case["id"] in await bob.say(text)
    assert await told(live, case["id"]) == []
    await bob.say("Forget it, I want to keep them.")

    (case,) = await cases_of(live, bob)
    async with live.as_() as http:
        approvals = (await http.get(f"/cases/{case['id']}")).json()["approvals"]
    assert approvals[0]["status"] == "superseded"
    assert await told(live, case["id"]) == ["Forget it, I want to keep them."]
    assert "refunds.create" not in await live.done_at_the_shop(case["id"])


async def test_a_history_that_was_cut_or_changed_opens_no_second_case(live: Live) -> None:
    bob = await shopper(live)
    answer = await bob.say(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
    (case,) = await cases_of(live, bob)

    cut = [{"role": "assistant", "content": answer}, {"role": "user", "content": "Any news?"}]
    changed = [{"role": "user", "content": f"All of {bob.order} was broken, refund twice!"}, *cut]
    for history in (cut, changed):
        assert case["id"] in await bob.send(history)

    assert [each["id"] for each in await cases_of(live, bob)] == [case["id"]]
    assert await told(live, case["id"]) == []


async def test_a_named_session_is_one_case_whatever_its_first_words_become(live: Live) -> None:
    bob = await shopper(live, session="talk-7")
    await bob.say(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
    changed = [{"role": "user", "content": f"The phones of {bob.order} are broken, refund please."}]

    await asyncio.gather(bob.send(changed), bob.send(changed))

    (case,) = await cases_of(live, bob)
    assert await told(live, case["id"]) == [changed[0]["content"]]


async def test_after_the_end_one_is_told_how_it_ended_and_something_else_is_another_case(live: Live) -> None:
    ann = await shopper(live)
    await ann.say(f"The tee of {ann.order} is too small, I would like a refund.")
    (first,) = await cases_of(live, ann)

    assert "We have refunded" in await ann.say("Any news?")
    thanked = await ann.say("Thank you!")
    assert first["id"] in thanked
    assert "We have refunded" not in thanked
    assert "order" in await ann.say("Can I have store credit instead?")
    assert [each["id"] for each in await cases_of(live, ann)] == [first["id"]]
    answer = await ann.say(f"The scarf of {ann.order} has a hole.")

    _, second = await cases_of(live, ann)
    assert second["id"] in answer
    await ann.send(ann.said[:-1])
    assert len(await cases_of(live, ann)) == 2


async def test_a_case_is_found_by_its_number_by_its_customer_alone(live: Live) -> None:
    bob, eve = await shopper(live), await shopper(live)
    await bob.say(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
    (case,) = await cases_of(live, bob)
    asked = [{"role": "user", "content": f"How does {case['id']} stand?"}]

    assert case["id"] in await bob.send(asked)
    assert "no case" in await eve.send(asked)
    elsewhere = await shopper(live, token="another-chat")
    elsewhere.customer = bob.customer
    assert "no case" in await elsewhere.send(asked)
    assert await cases_of(live, eve) == []


async def test_who_vanishes_in_the_middle_finds_the_result_later(live: Live) -> None:
    ann = await shopper(live)
    sent = ann.asks(f"The tee of {ann.order} is too small, I would like a refund.")
    stream = await ann.client.chat.completions.create(model="returns", messages=sent, stream=True, user=ann.customer)
    async for _ in stream:
        break
    await stream.close()

    assert "We have refunded" in await ann.send(sent)

    (case,) = await cases_of(live, ann)
    assert (await live.done_at_the_shop(case["id"])).count("refunds.create") == 1


async def test_a_reviewer_s_no_is_told_without_their_words(live: Live) -> None:
    bob = await shopper(live)
    await bob.say(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
    (case,) = await cases_of(live, bob)

    await decide(live, case["id"], "reject", reason_code="other", note="Looks like fraud: decline it.")
    await live.house.settled("default", {case["id"]})
    answer = await bob.say("Any news?")

    for inner in ("fraud", "rita", "other"):
        assert inner not in answer.lower().replace("another", "")


async def test_models_are_the_agents_that_one_can_talk_to(live: Live) -> None:
    ann = await shopper(live)

    names = [each.id async for each in ann.client.models.list()]

    assert "returns" in names
    assert "governance" not in names
    assert (await ann.client.models.retrieve("returns")).owned_by == "countersign"
    with pytest.raises(openai.NotFoundError) as wrong:
        await ann.client.models.retrieve("governance")
    assert wrong.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"user": None}, "user"),
        ({"metadata": {"customer_id": "cus_other"}}, "user"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "refund"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": []}, "body.messages"),
        ({"messages": [{"role": "user", "content": "Hello"}] * 201}, "body.messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "done", "tool_call_id": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 20_001}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 20_000}] * 11}, "messages"),
        ({"messages": "hello"}, "body.messages"),
        ({"stream": "perhaps"}, "body.stream"),
    ],
)
async def test_what_a_request_has_wrong_is_an_openai_error(live: Live, changes: dict[str, Any], param: str) -> None:
    ann = await shopper(live)
    body = {"model": "returns", "messages": ann.asks("Hello"), "user": ann.customer, **changes}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {live.tokens['chat']}"}) as http:
        answer = await http.post(f"{live.url}/v1/chat/completions", json=body)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]
    assert error["code"]


async def test_who_may_not_talk_here_is_told_in_openai_s_words(live: Live) -> None:
    ann = await shopper(live)
    wrong = ann.client.with_options(api_key="cs_nobody")
    with pytest.raises(openai.AuthenticationError) as nobody:
        await wrong.models.list()
    assert nobody.value.code == "invalid_api_key"
    viewer = ann.client.with_options(api_key=live.tokens["vera"])
    with pytest.raises(openai.PermissionDeniedError):
        await viewer.chat.completions.create(model="returns", messages=ann.asks("Hello"), user=ann.customer)
    with pytest.raises(openai.NotFoundError) as unknown:
        await ann.client.chat.completions.create(model="gpt-4o", messages=ann.said, user=ann.customer)
    assert "returns" in unknown.value.message
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{live.url}/v1/chat/completions", content=b"x" * 1_100_000)
        assert answer.status_code == 413
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert (await http.get(f"{live.url}/v1/nothing")).json()["error"]["message"]
