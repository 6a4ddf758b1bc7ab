"""Plain graphs on threads, with their records and steps in a file and on a server: run, asked, answered, taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlmodel import select

from core.errors import AlreadyDecided, Busy, Conflict, Forbidden, NotFound, SetupError
from core.people import Person
from core.settings import ThreadSettings
from engine.served import Served
from engine.stream import Stream
from engine.thread_answers import Answers
from engine.thread_runs import ThreadRuns
from engine.thread_starts import Wish
from engine.threads import Threads
from graphs.checkpoints import InlineSqliteSaver
from graphs.plain import PlainGraph
from graphs.plain_load import load_graph
from graphs.plain_steps import Steps
from ledger.database import Database, Ledger
from ledger.thread_tables import ThreadEventRow
from tests.support.ledgers import copied, template
from tests.support.plain_graphs import REACHED, WAITING
from tests.support.servers import POSTGRES, answers

SERVER = pytest.param(
    "postgresql", marks=pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL server answers")
)
ANN = Person(id="ann", roles=frozenset({"service"}))
RITA = Person(id="rita", roles=frozenset({"returns_reviewer"}))


@pytest.fixture(scope="module", params=["sqlite", SERVER])
def made_for_threads(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    with template(request.param) as where:
        yield request.param, where


@dataclass
class Room:
    database: Database
    threads: Threads
    runs: ThreadRuns

    async def run(self, graph: str, thread: str = "", person: Person = ANN, **wish: Any) -> tuple[str, Any]:
        """The thread, and what the run's end says."""
        wish.setdefault("creates", not thread)
        run = await self.runs.start(person, thread, Wish(graph, **wish))
        return run.thread_id, await self.runs.over("default", run.id)

    def served(self, name: str) -> Served:
        return self.threads.served[name]


def saver_of(database: Database, folder: Path) -> Any:
    if not database.apart:
        return InlineSqliteSaver.at(folder / "checkpoints.db")
    from graphs.checkpoints_server import PooledPostgresSaver

    saver = PooledPostgresSaver(database.lend)  # type: ignore[attr-defined]
    saver.setup_once()
    return saver


@pytest_asyncio.fixture
async def room(made_for_threads: tuple[str, str], tmp_path: Path) -> AsyncIterator[Room]:
    with copied(*made_for_threads) as store:
        database = store.open()
        saver = saver_of(database, tmp_path)
        threads, steps, said = Threads(database, {}), Steps(saver), Answers(database)
        for name in ("one_step", "two_gates", "waits"):
            graph = load_graph(name, f"tests.support.plain_graphs:{name}", saver)
            threads.served[name] = PlainGraph(name, "", graph, steps, said, "opener")
        settings = ThreadSettings(concurrency=1, queue_limit=2)
        runs = ThreadRuns(database, threads, Stream(), settings, worker="w", alone=not database.apart)
        await runs.open()
        yield Room(database, threads, runs)
        await runs.close()
        saver.close()


async def test_a_graph_is_run_asks_is_answered_and_ends(room: Room) -> None:
    thread, asked = await room.run("two_gates", input={"name": "a"})
    (question,) = asked["values"]["__interrupt__"]
    await room.threads.shown(ANN, {thread: [question["id"]]})
    _, then = await room.run("two_gates", thread, resume="yes", resumes=True)
    (second,) = then["values"]["__interrupt__"]
    with pytest.raises(AlreadyDecided, match="answered by ann"):
        await room.run("two_gates", thread, resume={question["id"]: "yes"}, resumes=True)
    _, end = await room.run("two_gates", thread, resume={second["id"]: "yes"}, resumes=True)
    assert end == {"values": {"log": ["first", "one: yes", "two: yes"], "name": "a"}, "status": "success"}
    state = await room.served("two_gates").state(ANN, thread)
    assert (state.next, state.asked) == ([], [])
    assert len(await room.served("two_gates").history(ANN, thread, 10)) == 5
    assert [row.status for row in await room.threads.runs(ANN, thread, status="", limit=9, offset=0)] == [
        "success",
        "interrupted",
        "interrupted",
    ]


async def test_what_a_run_did_to_the_state_is_taken_back_with_it(room: Room) -> None:
    thread, _ = await room.run("one_step", input={"name": "a"})
    before = await room.served("one_step").state(ANN, thread)
    run = await room.runs.start(ANN, thread, Wish("one_step", input={"name": "b"}))
    await room.runs.over("default", run.id)
    assert (await room.served("one_step").state(ANN, thread)).values["name"] == "b"
    await room.served("one_step").roll_back(ANN, thread, run.id)
    assert await room.served("one_step").state(ANN, thread) == before


async def test_a_copy_goes_its_own_way_and_nothing_is_left_of_a_thread_that_is_deleted(room: Room) -> None:
    thread, _ = await room.run("one_step", input={"name": "a"})
    copy = (await room.threads.copy(ANN, thread)).id
    await room.run("one_step", copy, input={"name": "b"})
    assert (await room.served("one_step").state(ANN, thread)).values == {"log": ["first"], "name": "a"}
    assert (await room.served("one_step").state(ANN, copy)).values == {"log": ["first", "first"], "name": "b"}
    step = await room.threads.write_state(ANN, copy, {"log": ["written"]}, "first", "")
    assert (await room.served("one_step").state(ANN, copy, step)).values["log"][-1] == "written"
    for each in (thread, copy):
        await room.threads.delete(ANN, each)
        with pytest.raises(NotFound):
            await room.threads.get(ANN, each)
        assert (await room.served("one_step").state(ANN, each)).values == {}

    def left(ledger: Ledger) -> int:
        return len(ledger.session.exec(select(ThreadEventRow)).all())

    assert await room.database.read("default", left) == 0


async def test_threads_of_others_are_not_there(room: Room) -> None:
    thread, _ = await room.run("one_step", input={"name": "a"})
    ben, far = Person(id="ben", roles=ANN.roles), Person(id="ann", workspace="elsewhere", roles=RITA.roles)
    for person in (ben, far):
        with pytest.raises(NotFound):
            await room.threads.get(person, thread)
        with pytest.raises((NotFound, Forbidden)):
            await room.run("one_step", thread, person, input={"name": "x"})
    assert (await room.threads.get(RITA, thread)).opened_by == "ann"
    with pytest.raises(Forbidden):
        await room.run("one_step", thread, RITA, input={"name": "x"})


async def test_more_runs_than_there_is_room_for_wait_and_too_many_are_refused(room: Room) -> None:
    for name in "bcd":
        WAITING[name], REACHED[name] = asyncio.Event(), asyncio.Event()
    runs = [await room.runs.start(ANN, "", Wish("waits", input={"name": name}, creates=True)) for name in "bcd"]
    await asyncio.wait_for(REACHED["b"].wait(), 20)
    assert not REACHED["c"].is_set()
    with pytest.raises(Busy):
        await room.run("waits", input={"name": "e"})
    for name in "bcd":
        WAITING[name].set()
    ends = [await room.runs.over("default", run.id) for run in runs]
    assert [end["values"]["log"][-1] for end in ends] == ["held b", "held c", "held d"]  # type: ignore[index,call-overload]


async def test_a_thread_keeps_to_its_graph(room: Room) -> None:
    thread, _ = await room.run("one_step", input={"name": "a"})
    with pytest.raises(Conflict, match="of graph one_step"):
        await room.run("two_gates", thread, input={"name": "a"})


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("nowhere.py:graph", "no file"),
        ("tests.support.plain_graphs:nothing", "has no 'nothing'"),
        ("tests.support.plain_graphs:DONE", "is a list"),
        ("tests.support.plain_graphs", "no ':attribute'"),
        ("tests.support.no_such_module:graph", "ModuleNotFoundError"),
        ("tests.support.plain_graphs:chain", "takes arguments"),
    ],
)
def test_a_graph_that_can_not_be_loaded_is_told_with_its_setting(path: str, why: str) -> None:
    with pytest.raises(SetupError, match=why) as told:
        load_graph("mine", path, None)
    assert "[graphs.mine]" in told.value.hint
