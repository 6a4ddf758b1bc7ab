"""Questions of plain graphs: who may answer, that one answer counts, and that no way leads past them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from langgraph_sdk.errors import ConflictError, NotFoundError, PermissionDeniedError, UnprocessableEntityError

from tests.serving.talk import Talk, let_go, reached, talking
from tests.support.folders import quick_folder
from tests.support.plain_graphs import DONE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talk() -> AsyncIterator[Talk]:
    with quick_folder() as folder:
        async with talking(folder) as found:
            yield found


async def asking(talk: Talk, graph: str, name: str) -> tuple[str, str]:
    """A thread with a question open, and its id."""
    client = talk.as_("ann")
    thread = (await client.threads.create())["thread_id"]
    values: Any = await client.runs.wait(thread, graph, input={"name": name})
    return thread, str(values["__interrupt__"][0]["id"])


async def resumed(talk: Talk, person: str, thread: str, graph: str, resume: Any) -> Any:
    """What came of an answer. Raises the stock client's error for its refusal."""
    client = talk.as_(person)
    run = await client.runs.create(thread, graph, command={"resume": resume})
    return await client.runs.join(thread, run["run_id"])


def paid(name: str) -> int:
    return DONE.count(f"paid {name}")


async def test_a_question_is_shown_wherever_a_client_looks_for_it(talk: Talk) -> None:
    client = talk.as_("ann")
    thread = (await client.threads.create())["thread_id"]
    modes: list[Any] = ["values", "updates"]
    parts = [part async for part in client.runs.stream(thread, "two_gates", input={"name": "s"}, stream_mode=modes)]
    (update,) = [part.data for part in parts if part.event == "updates" and "__interrupt__" in part.data]
    (asked,) = update["__interrupt__"]
    assert asked["value"] == {"ask": "one?"}
    assert [part.data for part in parts if part.event == "values"][-1]["__interrupt__"] == [asked]
    whole = await client.threads.get(thread)
    assert whole["status"] == "interrupted"
    assert list(whole["interrupts"].values()) == [[asked]]
    state = await client.threads.get_state(thread)
    assert (state["next"], state["interrupts"]) == (["gate_one"], [asked])
    found = await client.threads.search(status="interrupted", metadata={"graph_id": "two_gates"})
    assert thread in {each["thread_id"] for each in found}


async def test_two_reviewers_at_once_make_one_payment_and_the_second_is_told_who_was_first(talk: Talk) -> None:
    for keyed in (False, True):
        for trial in range(5):
            name = f"race {keyed} {trial}"
            thread, question = await asking(talk, "one_gate", name)
            for person in ("rita", "sam"):
                await talk.as_(person).threads.get_state(thread)
            resume: Any = {question: "yes"} if keyed else "yes"
            told = await asyncio.gather(
                *(resumed(talk, person, thread, "one_gate", resume) for person in ("rita", "sam")),
                return_exceptions=True,
            )
            (refused,) = [each for each in told if isinstance(each, Exception)]
            assert isinstance(refused, ConflictError)
            winner = "rita" if isinstance(told[1], Exception) else "sam"
            assert f"answered by {winner}" in refused.response.json()["detail"]
            assert paid(name) == 1


async def test_a_second_approval_of_the_first_gate_leaves_the_second_gate_alone(talk: Talk) -> None:
    thread, question = await asking(talk, "two_gates", "gates")
    client = talk.as_("ann")
    values: Any = await resumed(talk, "ann", thread, "two_gates", {question: "yes"})
    (second,) = values["__interrupt__"]
    with pytest.raises(ConflictError):
        await resumed(talk, "ann", thread, "two_gates", {question: "yes"})
    assert (await client.threads.get_state(thread))["interrupts"] == [second]
    assert paid("gates") == 0
    values = await resumed(talk, "ann", thread, "two_gates", {second["id"]: "yes"})
    assert values["log"] == ["first", "one: yes", "two: yes"]
    assert paid("gates") == 1


async def test_of_a_doubled_approval_without_an_id_only_one_counts(talk: Talk) -> None:
    for trial in range(5):
        name = f"double {trial}"
        thread, _ = await asking(talk, "two_gates", name)
        client = talk.as_("ann")
        told = await asyncio.gather(
            *(client.runs.create(thread, "two_gates", command={"resume": "yes"}) for _ in range(3)),
            return_exceptions=True,
        )
        (run,) = [each for each in told if isinstance(each, dict)]
        await client.runs.join(thread, run["run_id"])
        assert sum(isinstance(each, ConflictError) for each in told) == 2
        assert (await client.threads.get_state(thread))["next"] == ["gate_two"]
        assert paid(name) == 0


async def test_an_answer_without_an_id_is_for_what_its_sender_was_shown(talk: Talk) -> None:
    thread, _ = await asking(talk, "one_gate", "unseen")
    with pytest.raises(ConflictError) as unseen:
        await resumed(talk, "rita", thread, "one_gate", "yes")
    assert "not what you were shown" in unseen.value.response.json()["detail"]
    await talk.as_("rita").threads.get(thread)
    await resumed(talk, "rita", thread, "one_gate", "yes")
    assert paid("unseen") == 1


async def test_unknown_stale_and_late_answers_are_refused(talk: Talk) -> None:
    thread, question = await asking(talk, "two_gates", "late")
    client = talk.as_("ann")
    with pytest.raises(UnprocessableEntityError) as unknown:
        await resumed(talk, "ann", thread, "two_gates", {"0" * 32: "yes"})
    assert question in unknown.value.response.json()["hint"]
    await resumed(talk, "ann", thread, "two_gates", "yes")
    await resumed(talk, "ann", thread, "two_gates", "yes")
    assert paid("late") == 1
    for late in ("yes", {question: "yes"}):
        with pytest.raises(ConflictError):
            await resumed(talk, "ann", thread, "two_gates", late)
    assert paid("late") == 1
    assert len(await client.runs.list(thread)) == 3


async def test_nobody_answers_for_themselves_and_only_who_decides_answers(talk: Talk) -> None:
    thread, question = await asking(talk, "one_gate", "eyes")
    await talk.add("olga", "operator")
    await talk.as_("olga").threads.get(thread)
    for person, refusal in (("ann", PermissionDeniedError), ("ben", NotFoundError)):
        with pytest.raises(refusal):
            await resumed(talk, person, thread, "one_gate", {question: "yes"})
    own = (await talk.as_("olga").threads.create())["thread_id"]
    values: Any = await talk.as_("olga").runs.wait(own, "one_gate", input={"name": "eyes"})
    with pytest.raises(PermissionDeniedError) as own_word:
        await resumed(talk, "olga", own, "one_gate", {values["__interrupt__"][0]["id"]: "yes"})
    assert "nobody answers for themselves" in own_word.value.response.json()["detail"]
    assert paid("eyes") == 0
    assert len(await talk.as_("ann").runs.list(thread)) == 1


async def test_no_way_leads_around_a_question_that_reviewers_answer(talk: Talk) -> None:
    thread, _ = await asking(talk, "one_gate", "around")
    client = talk.as_("ann")
    ways: list[dict[str, Any]] = [
        {"command": {"goto": "gate_two"}},
        {"command": {"update": {"log": ["two: yes"]}}},
        {"checkpoint": {"checkpoint_id": (await client.threads.get_state(thread))["checkpoint_id"]}},
    ]
    for way in ways:
        with pytest.raises(PermissionDeniedError):
            await client.runs.create(thread, "one_gate", **way)
    with pytest.raises(PermissionDeniedError):
        await client.threads.update_state(thread, {"log": ["two: yes"]}, as_node="gate_two")
    with pytest.raises(PermissionDeniedError):
        await client.threads.copy(thread)
    aside = await client.threads.update_state(thread, None, as_node="__end__")
    assert aside["checkpoint"]["checkpoint_id"] == ways[2]["checkpoint"]["checkpoint_id"]
    assert (await client.threads.get_state(thread))["next"] == ["gate_two"]
    assert paid("around") == 0


async def test_new_input_takes_the_place_of_a_question_for_all_to_see(talk: Talk) -> None:
    thread, question = await asking(talk, "one_gate", "anew")
    await talk.as_("rita").threads.get(thread)
    client = talk.as_("ann")
    parts = [
        part async for part in client.runs.stream(thread, "one_gate", input={"name": "anew"}, stream_mode=["custom"])
    ]
    assert [part.data for part in parts if part.event == "custom"] == [{"superseded": [question]}]
    for resume in ({question: "yes"}, "yes"):
        with pytest.raises(ConflictError) as stale:
            await resumed(talk, "rita", thread, "one_gate", resume)
        assert "superseded by ann" in stale.value.response.json()["detail"]
    assert paid("anew") == 0
    entries = [each for each in await talk.audited("thread.superseded") if each["thread"] == thread]
    assert [each["question"] for each in entries] == [question]


async def test_two_questions_at_once_are_answered_one_by_one_or_together(talk: Talk) -> None:
    client = talk.as_("ann")
    for together in (False, True):
        thread = (await client.threads.create())["thread_id"]
        values: Any = await client.runs.wait(thread, "both_sides", input={"name": "b"})
        asked = {each["value"]["ask"]: each["id"] for each in values["__interrupt__"]}
        with pytest.raises(UnprocessableEntityError):
            await resumed(talk, "ann", thread, "both_sides", "yes")
        if together:
            both = {asked["left?"]: "l", asked["right?"]: "r"}
            values = await resumed(talk, "ann", thread, "both_sides", both)
        else:
            values = await resumed(talk, "ann", thread, "both_sides", {asked["right?"]: "r"})
            assert [each["id"] for each in values["__interrupt__"]] == [asked["left?"]]
            values = await resumed(talk, "ann", thread, "both_sides", {asked["left?"]: "l"})
        assert sorted(values["log"]) == ["left: l", "right: r"]


async def test_a_run_that_goes_on_with_an_answer_is_never_rolled_back_and_pays_once(talk: Talk) -> None:
    thread, question = await asking(talk, "paid_then_held", "kept")
    run = await talk.as_("rita").runs.create(thread, "paid_then_held", command={"resume": {question: "yes"}})
    await reached("kept")
    client = talk.as_("ann")
    async with talk.http("ann") as http:
        refused = await http.post(f"/threads/{thread}/runs/{run['run_id']}/cancel?wait=1&action=rollback")
    assert refused.status_code == 409
    assert "can't be taken back" in refused.json()["detail"]
    new = {"name": "kept"}
    with pytest.raises(ConflictError):
        await client.runs.create(thread, "paid_then_held", input=new, multitask_strategy="rollback")
    await client.runs.cancel(thread, run["run_id"], wait=True)
    let_go("kept")
    values: Any = await client.runs.wait(thread, "paid_then_held", input=None)
    assert values["log"] == ["pay: yes", "held kept"]
    assert paid("kept") == 1
    assert len(await client.runs.list(thread)) == 3
