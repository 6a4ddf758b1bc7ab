"""What reviewers answered is what is done: under the config it was asked under, once, and never by who is behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, PermissionDeniedError

from core.people import Person
from core.settings import GraphSettings, Settings
from serving.house import open_house
from serving.main import listening, serving
from tests.serving.live import Live
from tests.support.asking_graphs import PAID, TROUBLE
from tests.support.folders import quick_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEN: dict[str, Any] = {
    "config": {"configurable": {"amount": 10}, "tags": ["ten"]},
    "context": {"amount": 10},
    "metadata": {"amount": 10},
}
AGREED = [10, 10, 10, ["ten"]]
MORE = 1_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live() -> AsyncIterator[Live]:
    graphs = {
        name: GraphSettings(path=f"tests.support.asking_graphs:{name}") for name in ("pays", "pays_twice", "pays_below")
    }
    people = {"ann": "service", "bot": "service", "rita": "returns_reviewer", "olga": "operator", "otto": "operator"}
    with quick_folder() as folder, listening("127.0.0.1", 0) as sock:
        async with (
            open_house(Settings(data=folder / "data", graphs=graphs), bell="tasks", kinds={}) as house,
            serving(house, sock) as url,
        ):
            found = Live(house, url)
            for person, role in people.items():
                await found.add(person, role)
            yield found


def as_(live: Live, person: str) -> LangGraphClient:
    return get_client(url=live.url, api_key=live.tokens[person])


async def asking(live: Live, name: str, person: str = "ann", graph: str = "pays") -> tuple[str, str]:
    """A thread with a question open, and its id."""
    client = as_(live, person)
    thread = (await client.threads.create())["thread_id"]
    values: Any = await client.runs.wait(thread, graph, input={"name": name}, **TEN)
    return thread, str(values["__interrupt__"][0]["id"])


async def answered(live: Live, person: str, thread: str, question: str, graph: str = "pays", **more: Any) -> Any:
    client = as_(live, person)
    run = await client.runs.create(thread, graph, command={"resume": {question: "yes"}}, **more)
    return await client.runs.join(thread, run["run_id"])


def paid(name: str) -> list[Any]:
    return [(amount, said) for who, amount, said in PAID if who == name]


async def test_a_run_that_begins_nothing_new_brings_no_config_of_its_own(live: Live) -> None:
    thread, question = await asking(live, "own")
    for beside in ({"config": {"configurable": {"amount": MORE}}}, {"context": {"amount": MORE}}):
        with pytest.raises(PermissionDeniedError):
            await answered(live, "rita", thread, question, **beside)
        with pytest.raises(PermissionDeniedError):
            await as_(live, "ann").runs.create(thread, "pays", **beside)
    aside: Any = {"metadata": {"amount": MORE}, "config": {"tags": ["more"]}}
    await as_(live, "ann").runs.wait(thread, "pays", **aside)
    await answered(live, "rita", thread, question, **aside)
    assert paid("own") == [(AGREED, "yes")]


async def test_an_answer_is_carried_out_with_what_its_question_was_asked_about(live: Live) -> None:
    client = as_(live, "ann")
    thread, question = await asking(live, "failed")
    TROUBLE.add("failed")
    assert "__error__" in await answered(live, "rita", thread, question)
    more: Any = {"config": {"configurable": {"amount": MORE}}, "context": {"amount": MORE}}
    again = await client.runs.create(thread, "pays", input={}, **more)
    await client.runs.join(thread, again["run_id"])
    await live.house.served["pays"].roll_back(Person(id="ann"), thread, again["run_id"])
    TROUBLE.clear()
    await client.runs.wait(thread, "pays")
    assert paid("failed") == [(AGREED, "yes")]


async def test_what_an_open_question_is_about_is_not_deleted(live: Live) -> None:
    client = as_(live, "ann")
    thread, question = await asking(live, "kept")
    (run,) = await client.runs.list(thread)
    with pytest.raises(ConflictError):
        await client.runs.delete(thread, run["run_id"])
    await answered(live, "rita", thread, question)
    assert paid("kept") == [(AGREED, "yes")]
    await client.runs.delete(thread, run["run_id"])


@pytest.mark.parametrize("graph", ["pays_twice", "pays_below"])
async def test_one_answer_is_never_taken_for_two_questions(live: Live, graph: str) -> None:
    thread, question = await asking(live, graph, graph=graph)
    await answered(live, "rita", thread, question, graph)
    assert paid(graph) == [("first", "yes")]
    for _ in range(2):
        await as_(live, "ann").runs.wait(thread, graph)
    assert ("second", "yes") not in paid(graph)


async def test_whoever_brought_something_answers_nothing_though_their_runs_are_deleted(live: Live) -> None:
    thread, _ = await asking(live, "eyes")
    olga = as_(live, "olga")
    again: Any = await olga.runs.wait(thread, "pays", input={"name": "eyes"}, **TEN)
    question = again["__interrupt__"][0]["id"]
    await answered(live, "rita", thread, question)
    more: Any = await olga.runs.wait(thread, "pays", input={"name": "eyes"})
    await as_(live, "ann").runs.wait(thread, "pays")
    last = more["__interrupt__"][0]["id"]
    for run in await olga.runs.list(thread, limit=100):
        try:
            await olga.runs.delete(thread, run["run_id"])
        except ConflictError:
            continue
    with pytest.raises(PermissionDeniedError):
        await answered(live, "olga", thread, last)
    assert paid("eyes") == [(AGREED, "yes")]


async def test_whoever_holds_the_token_of_an_account_does_not_answer_for_it(live: Live) -> None:
    thread, question = await asking(live, "keeper", "bot")
    database = live.house.database
    await database.write("default", lambda ledger: ledger.people.keep("default", "bot", "otto"))
    with pytest.raises(PermissionDeniedError) as held:
        await answered(live, "otto", thread, question)
    assert "holds a token of bot" in held.value.response.json()["detail"]
    assert paid("keeper") == []
    await answered(live, "rita", thread, question)
    assert paid("keeper") == [(AGREED, "yes")]
