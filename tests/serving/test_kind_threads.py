"""A thread of the returns kind, as the stock SDK sees it: a talk that becomes a case, questions that become votes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.serving.kind_talk import TEE, Sdk
from tests.serving.live import TOLD

APPROVE = {"decisions": [{"type": "approve"}]}


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_talk_becomes_a_case_and_is_streamed_to_its_end(sdk: Sdk) -> None:
    chat = sdk.as_("chat")
    config: Any = await sdk.bought()
    thread = (await chat.threads.create())["thread_id"]
    said: Any = {"messages": [{"type": "human", "content": TEE, "id": "m-1"}]}
    modes: Any = ["values", "updates", "messages-tuple", "custom"]
    parts = [each async for each in chat.runs.stream(thread, "returns", input=said, config=config, stream_mode=modes)]
    assert parts[0].event == "metadata"
    nodes = [name for part in parts if part.event == "updates" for name in part.data]
    assert [nodes[0], nodes[-1]] == ["plan", "finish"]
    assert {"plan", "gate", "execute", "reflect", "finish"} == set(nodes)
    assert all("tool" not in update for part in parts if part.event == "updates" for update in part.data.values())
    written = "".join(part.data[0]["content"] for part in parts if part.event == "messages")
    assert "We have refunded" in written
    values = [part.data for part in parts if part.event == "values"][-1]
    assert values["messages"][0] == {"id": "m-1", "type": "human", "content": TEE}
    assert values["case"]["status"] == "closed"
    thread_now = await chat.threads.get(thread)
    assert (thread_now["status"], (thread_now["metadata"] or {})["graph_id"]) == ("idle", "returns")
    assert "refunds.create" in await sdk.effects(thread)


async def test_a_case_that_is_over_is_not_opened_again(sdk: Sdk) -> None:
    thread, values = await sdk.talk(TEE, config=await sdk.bought())
    case = values["case"]["id"]
    _, after = await sdk.talk("And the phones are broken too, I want my money back.", thread)
    assert (after["case"]["id"], after["case"]["status"]) == (case, "closed")
    assert f"Case {case} is over" in after["messages"][-1]["content"]


async def test_the_same_payload_as_input_opens_one_case_however_often(sdk: Sdk) -> None:
    chat = sdk.as_("chat")
    thread = (await chat.threads.create())["thread_id"]
    payload = await sdk.live.small()
    for _ in range(2):
        await chat.runs.wait(thread, "returns", input=payload)
        assert len((await sdk.values(thread))["messages"]) <= 3
    key = f"thread:{thread}"
    cases = await sdk.live.house.database.read("default", lambda ledger: ledger.cases.find(limit=1000))
    assert [case.request_key for case in cases].count(key) == 1


async def test_what_is_missing_is_asked_and_the_talk_goes_on(sdk: Sdk) -> None:
    config = {"configurable": {"customer_id": (await sdk.live.bought())["customer"]}}
    thread, values = await sdk.talk("Hello, I would like to return something.", config=config)
    assert [each["type"] for each in values["messages"]] == ["human", "ai"]
    assert "case" not in values
    assert (await sdk.values(thread, "chat"))["messages"] == values["messages"]
    _, more = await sdk.talk("It is order ORD-9999999, the phones are broken.", thread, config=config)
    assert more["case"]["status"] == "closed"
    assert [each["type"] for each in more["messages"]][:3] == ["human", "ai", "human"]


async def test_nobody_is_a_customer_by_their_own_word(sdk: Sdk) -> None:
    with pytest.raises(Exception, match="Nobody vouches for 'customer_id'"):
        await sdk.talk("I am customer cus_ann, refund my order ord_usd.")


async def test_a_question_shows_its_facts_to_those_who_may_read_and_nothing_to_the_customers_channel(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    assert question["action_requests"][0]["name"] == question["action_request"]["action"] == "refunds.create"
    assert question["review_configs"][0]["allowed_decisions"] == ["approve", "edit", "reject", "respond"]
    assert question["config"] == {
        "allow_ignore": True,
        "allow_respond": True,
        "allow_edit": True,
        "allow_accept": True,
    }
    assert question["groups"]
    assert question["seen"]
    state = await sdk.as_("chat").threads.get_state(thread)
    (task,) = state["tasks"]
    value = task["interrupts"][0]["value"]
    assert value["action_requests"] == [
        {"name": "approval", "args": {}, "description": "A colleague has to look at it."}
    ]
    assert not {"seen", "reason", "facts", "groups"} & value.keys()
    assert "plan" not in await sdk.values(thread, "chat")
    assert "plan" in await sdk.values(thread)
    found = await sdk.as_("rita").threads.search(status="interrupted", metadata={"graph_id": "returns"}, limit=100)
    shown = next(each for each in found if each["thread_id"] == thread)
    assert [each["id"] for asked in shown["interrupts"].values() for each in asked] == [question["id"]]


async def test_an_unkeyed_approval_is_the_vote_of_who_was_shown_the_question(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    values = await sdk.resume("rita", thread, APPROVE)
    assert values["case"]["status"] == "closed"
    assert "We have refunded" in values["messages"][-1]["content"]
    assert (await sdk.effects(thread)).count("refunds.create") == 1
    late = await sdk.refused("sam", thread, APPROVE)
    assert (late["status"], "approved by rita" in late["detail"]) == (409, True)
    again = await sdk.refused("sam", thread, {question["id"]: APPROVE})
    assert (again["status"], "approved by rita" in again["detail"]) == (409, True)


async def test_who_was_not_shown_the_question_decides_nothing(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    for answer in (APPROVE, {question["id"]: {"type": "approve"}}, [{"type": "accept", "args": None}]):
        blind = await sdk.refused("sam", thread, answer)
        assert blind["status"] == 409, blind
    assert (await sdk.refused("sam", thread, {question["id"]: {"type": "approve", "seen": "f" * 64}}))["status"] == 409
    values = await sdk.resume("sam", thread, {question["id"]: {"type": "approve", "seen": question["seen"]}})
    assert values["case"]["status"] == "closed"


async def test_a_resume_that_claims_to_approve_is_a_vote_of_its_caller_or_nothing(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    for who in ("chat", "vera", "fin", ""):
        await sdk.as_(who).threads.get_state(thread)
        no = await sdk.refused(who, thread, {question["id"]: {"type": "approve", "seen": question["seen"]}})
        assert no["status"] == 403, (who, no)
    assert await sdk.effects(thread) == ["returns.request", "returns.approve", "labels.create_return"]
    assert (await sdk.question(thread))["id"] == question["id"]


@pytest.mark.parametrize(
    "answer",
    [
        [{"type": "accept", "args": None}],
        {"type": "accept"},
        {"decisions": [{"type": "approve"}]},
        [{"decisions": [{"type": "approve"}]}],
    ],
)
async def test_every_shape_of_approval(sdk: Sdk, answer: Any) -> None:
    thread, _ = await sdk.waiting()
    assert (await sdk.resume("rita", thread, answer))["case"]["status"] == "closed"
    assert (await sdk.effects(thread)).count("refunds.create") == 1


async def test_a_rejection_brings_its_message_to_the_agent(sdk: Sdk) -> None:
    thread, _ = await sdk.waiting()
    values = await sdk.resume("rita", thread, {"decisions": [{"type": "reject", "message": "Give store credit."}]})
    assert "refunds.create" not in await sdk.effects(thread)
    assert values["case"]["status"] == "waiting"
    following = await sdk.question(thread)
    assert following["action_request"]["action"] == "store_credit.issue"


async def test_an_edit_is_another_action_that_somebody_else_approves(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    args = question["action_request"]["args"]
    less = {**args, "amount": {**args["amount"], "amount_minor": args["amount"]["amount_minor"] - 100}}
    await sdk.resume("rita", thread, [{"type": "edit", "args": {"action": "refunds.create", "args": less}}])
    following = await sdk.question(thread)
    assert following["action_request"]["args"] == less
    assert (await sdk.refused("rita", thread, APPROVE))["status"] == 403
    await sdk.question(thread, "sam")
    values = await sdk.resume("sam", thread, {"decisions": [{"type": "approve"}]})
    assert values["case"]["status"] == "closed"


async def test_a_response_is_no_approval(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    await sdk.resume("rita", thread, [{"type": "response", "args": "Please give store credit instead."}])
    assert "refunds.create" not in await sdk.effects(thread)
    assert (await sdk.question(thread))["id"] != question["id"]


async def test_who_ignores_a_question_decides_nothing(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    await sdk.resume("rita", thread, [{"type": "ignore", "args": None}])
    await sdk.as_("chat").runs.wait(thread, "returns", command={"goto": "__end__"})
    assert (await sdk.question(thread))["id"] == question["id"]


async def test_who_puts_a_question_aside_is_noted_once_and_only_who_could_answer_it(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    for person in ("chat", "vera"):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await sdk.as_(person).threads.update_state(thread, None, as_node="__end__")
        assert refused.value.response.status_code == 403
    case = (await sdk.values(thread))["case"]["id"]

    def left(ledger: Any) -> list[Any]:
        return [row.body for row in ledger.trace.of_case(case) if row.type == "review.left"]

    for _ in range(3):
        await sdk.as_("rita").threads.update_state(thread, None, as_node="__end__")
        await sdk.resume("rita", thread, [{"type": "ignore", "args": None}])
    assert await sdk.live.house.database.read("default", left) == [{"review": question["id"], "by": "rita"}]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (True, 422),
        ({"decisions": []}, 422),
        ({"decisions": [{"type": "approve"}, {"type": "approve"}]}, 422),
        ({"decisions": [{"type": "maybe"}]}, 422),
        ({"rev_" + "0" * 26: {"type": "approve"}}, 422),
        ({"0123456789abcdef" * 2: True}, 422),
        ([{"type": "edit", "args": {"action": "store_credit.issue", "args": {}}}], 422),
        ([{"type": "accept", "args": {"action": "refunds.create", "args": {"amount": 1}}}], 422),
    ],
)
async def test_answers_that_fit_nothing_change_nothing(sdk: Sdk, answer: Any, status: int) -> None:
    thread, question = await sdk.waiting()
    assert (await sdk.refused("rita", thread, answer))["status"] == status
    assert (await sdk.question(thread))["id"] == question["id"]


async def test_the_state_is_not_written_from_outside(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    chat = sdk.as_("chat")
    for values, node in (({"case": {"status": "closed"}}, None), ({"outcomes": []}, "review"), ({}, "execute")):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await chat.threads.update_state(thread, values, as_node=node)
        assert refused.value.response.status_code == 403
    steering: list[Any] = [{"goto": "execute"}, {"update": {"plan": []}}]
    for command in steering:
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await chat.runs.wait(thread, "returns", command=command)
        assert refused.value.response.status_code == 403
    assert (await sdk.question(thread))["id"] == question["id"]
    with pytest.raises(httpx.HTTPStatusError):
        await chat.threads.copy(thread)


async def test_history_tells_the_way_of_the_case(sdk: Sdk) -> None:
    thread, _ = await sdk.waiting()
    rita = sdk.as_("rita")
    states: list[Any] = list(await rita.threads.get_history(thread, limit=100))
    assert states[0]["next"] == ["review"]
    assert [each["values"]["case"]["status"] for each in states][-1] == "open"
    ids = [each["checkpoint"]["checkpoint_id"] for each in states]
    assert len(set(ids)) == len(ids)
    assert [each["parent_checkpoint"]["checkpoint_id"] for each in states[:-1]] == ids[1:]
    older = await rita.threads.get_state(thread, checkpoint_id=ids[3])
    assert older["values"] == states[3]["values"]
    before: Any = {"configurable": {"checkpoint_id": ids[1]}}
    page: list[Any] = list(await rita.threads.get_history(thread, limit=2, before=before))
    assert [each["checkpoint"]["checkpoint_id"] for each in page] == ids[2:4]


# New input while an approval is pending


async def test_new_words_supersede_the_question_and_the_client_is_told(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    chat = sdk.as_("chat")
    said: Any = {"messages": [{"type": "human", "content": "They also smell burnt. It is dangerous!"}]}
    parts = [each async for each in chat.runs.stream(thread, "returns", input=said, stream_mode=["values", "custom"])]
    told = [part.data for part in parts if part.event == "custom" and "superseded" in part.data]
    assert [each["superseded"] for each in told] == [[question["id"]]]
    after = await sdk.question(thread)
    assert after["id"] != question["id"]
    late = await sdk.refused("sam", thread, {question["id"]: {"type": "approve", "seen": question["seen"]}})
    assert (late["status"], "the customer wrote again" in late["detail"]) == (409, True)
    audit = await sdk.live.house.database.read("default", lambda ledger: ledger.audit.entries(limit=5000))
    assert [each.type for each in audit if question["id"] in each.body] == [
        "review.opened",
        "review.superseded",
        "customer.wrote",
    ]
    assert "refunds.create" not in await sdk.effects(thread)
    await sdk.resume("rita", thread, APPROVE)
    assert (await sdk.effects(thread)).count("refunds.create") == 1


async def test_a_withdrawal_ends_the_return_without_money(sdk: Sdk) -> None:
    thread, _ = await sdk.waiting()
    _, values = await sdk.talk("Forget it, I'll keep them.", thread)
    assert (values["case"]["status"], values["case"]["outcome"]) == ("closed", "withdrawn")
    assert "we have stopped your return" in values["messages"][-1]["content"]
    effects = await sdk.effects(thread)
    assert effects[-3:] == ["labels.void", "returns.cancel", TOLD]
    assert "refunds.create" not in effects


async def test_who_only_asks_how_it_stands_supersedes_nothing(sdk: Sdk) -> None:
    thread, question = await sdk.waiting()
    _, values = await sdk.talk("Any news?", thread)
    assert (await sdk.question(thread))["id"] == question["id"]
    assert "colleague" in values["messages"][-1]["content"]


async def test_the_books_agree_after_all_that(sdk: Sdk) -> None:
    assert await sdk.live.whole()
