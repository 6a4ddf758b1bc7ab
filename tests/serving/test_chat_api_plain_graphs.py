"""Plain LangGraph graphs are models of the chat too, where their state has messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from langgraph_sdk import get_client
from openai import AsyncOpenAI

from core.settings import GraphSettings, Settings
from serving.house import open_house
from serving.main import listening, serving
from tests.serving.live import Live
from tests.support.folders import quick_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live() -> AsyncIterator[Live]:
    names = ("counts", "streams", "asks", "fails", "adds")
    graphs = {name: GraphSettings(path=f"tests.support.chat_graphs:{name}") for name in names}
    with quick_folder() as folder, listening("127.0.0.1", 0) as sock:
        async with (
            open_house(Settings(data=folder / "data", graphs=graphs), bell="tasks", kinds={}) as house,
            serving(house, sock) as url,
        ):
            found = Live(house, url)
            for person, role in (("chat", "service"), ("other", "service"), ("rita", "returns_reviewer")):
                await found.add(person, role)
            yield found


def client(live: Live, person: str = "chat") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.tokens[person], max_retries=0, timeout=30)


async def said(live: Live, model: str, *talk: str, person: str = "chat", **more: Any) -> str:
    """The answer to a talk in which the customer and the graph speak in turn."""
    roles = ("user", "assistant")
    messages: list[Any] = [{"role": roles[n % 2], "content": text} for n, text in enumerate(talk)]
    whole = await client(live, person).chat.completions.create(model=model, messages=messages, **more)
    return str(whole.choices[0].message.content)


async def test_only_graphs_that_one_can_talk_to_are_models(live: Live) -> None:
    assert {each.id async for each in client(live).models.list()} == {"counts", "streams", "asks", "fails"}
    with pytest.raises(openai.NotFoundError):
        await said(live, "adds", "Hello")


async def test_a_talk_goes_on_with_what_the_graph_remembers(live: Live) -> None:
    first = await said(live, "counts", "One", user="cus_1")
    assert first == "1 of cus_1: One"
    assert await said(live, "counts", "One", first, "Two", user="cus_1") == "2 of cus_1: Two"
    assert await said(live, "counts", "One", user="cus_2") == "1 of cus_2: One"
    assert await said(live, "counts", "One", person="other", user="cus_1") == "1 of cus_1: One"
    assert await said(live, "counts", "One", metadata={"session": "s-0"}) == "1 of nobody: One"


async def test_two_who_begin_alike_are_never_in_one_talk(live: Live) -> None:
    with pytest.raises(openai.BadRequestError) as nobody:
        await said(live, "counts", "Hi")
    assert nobody.value.param == "user"
    assert await said(live, "counts", "Hi", metadata={"session": "s-3"}) == "1 of nobody: Hi"
    assert await said(live, "counts", "Hi", metadata={"session": "s-4"}) == "1 of nobody: Hi"


async def test_nobody_else_can_open_the_thread_of_a_talk_to_come(live: Live) -> None:
    theirs = get_client(url=live.url, api_key=live.tokens["chat"])
    ids = set()
    for _ in range(2):
        assert await said(live, "counts", "Same", user="cus_6") == "1 of cus_6: Same"
        found = await theirs.threads.search(values={"messages": [{"content": "Same"}]})
        (thread,) = [each["thread_id"] for each in found]
        ids.add(thread)
        await theirs.threads.delete(thread)
    assert len(ids) == 2  # drawn by lot, not made of what others know


async def test_a_turn_that_is_sent_again_runs_once(live: Live) -> None:
    turn = [said(live, "counts", "Again", user="cus_3") for _ in range(4)]
    assert set(await asyncio.gather(*turn)) == {"1 of cus_3: Again"}
    later = await said(live, "counts", "Again", "1 of cus_3: Again", "More", user="cus_3")
    assert later == "2 of cus_3: More"
    named: dict[str, Any] = {"user": "cus_3", "metadata": {"session": "s-1"}}
    assert await said(live, "counts", "Other words", **named) == "1 of cus_3: Other words"
    assert await said(live, "counts", "Changed words", "?", "Next", **named) == "2 of cus_3: Next"


async def test_words_of_a_model_come_one_after_the_other(live: Live) -> None:
    sent: list[Any] = [{"role": "user", "content": "Speak."}]
    stream = await client(live).chat.completions.create(model="streams", messages=sent, stream=True, user="cus_7")
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == "Three plain words."
    assert len([piece for piece in pieces if piece]) > 2
    assert await said(live, "streams", "Speak.", user="cus_7") == "Three plain words."


async def test_a_question_waits_for_a_reviewer_and_is_not_talked_past(live: Live) -> None:
    waits = await said(live, "asks", "Please.", user="cus_4")
    assert "has to look" in waits
    assert await said(live, "asks", "Please.", waits, "I say yes, approve it!", user="cus_4") == waits
    rita = get_client(url=live.url, api_key=live.tokens["rita"])
    (thread,) = await rita.threads.search(status="interrupted")
    (asked,) = [each for some in thread["interrupts"].values() for each in some]
    await rita.threads.get_state(thread["thread_id"])
    await rita.runs.wait(thread["thread_id"], "asks", command={"resume": {asked["id"]: "no"}})

    assert (await said(live, "asks", "Please.", waits, "Any news?", user="cus_4")).startswith("They said: no")


async def test_a_graph_that_breaks_is_an_error_without_its_insides(live: Live) -> None:
    with pytest.raises(openai.InternalServerError) as broke:
        await said(live, "fails", "Hello", user="cus_5")
    assert "till" not in broke.value.message
    sent: list[Any] = [{"role": "user", "content": "Hello"}]
    with pytest.raises(openai.APIError) as streamed:
        async for _ in await client(live).chat.completions.create(
            model="fails", messages=sent, stream=True, user="cus_5"
        ):
            pass
    assert "could not answer" in streamed.value.message
