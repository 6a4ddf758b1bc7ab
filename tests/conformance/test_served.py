"""Plain graphs on threads, with their records and steps in a file and on a server: run, asked, answered, taken back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlmodel import select

from core.clock import FakeClock
from core.errors import AlreadyDecided, Busy, Conflict, Forbidden, NotFound, SetupError
from core.people import Person
from core.settings import ThreadSettings
from engine.served import Served
from engine.stream import Stream
from engine.thread_answers import Answers
from engine.thread_log import RunLog
from engine.thread_runs import ThreadRuns
from engine.thread_starts import Wish
from engine.threads import Threads
from graphs.checkpoints import InlineSqliteSaver
from graphs.plain import PlainGraph
from graphs.plain_load import load_graph
from graphs.plain_steps import Steps
from ledger.database import Database, Ledger
from ledger.thread_tables import ThreadEventRow, ThreadRunRow
from tests.support.ledgers import copied, template
from tests.support.plain_graphs import AWAY, DONE, REACHED, WAITING
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
    clock: FakeClock

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
        for name in ("one_step", "two_gates", "waits", "outages"):
            graph = load_graph(name, f"tests.support.plain_graphs:{name}", saver)
            threads.served[name] = PlainGraph(name, "", graph, steps, said, "opener")
        settings = ThreadSettings(concurrency=1, queue_limit=2)
        runs = ThreadRuns(database, threads, Stream(), settings, worker="w", alone=not database.apart)
        await runs.open()
        yield Room(database, threads, runs, store.clock)
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


def lost(run: ThreadRunRow, **values: Any) -> Callable[[Ledger], None]:
    """As a process leaves it that dies with it."""

    def work(ledger: Ledger) -> None:
        row = ledger.threads.run(run.id, lock=True)
        assert row is not None
        changed = {"status": "running", "attempt": 1, "not_before": None, "ended_at": None, **values}
        for name, value in changed.items():
            setattr(row, name, value)
        row.lease_until = ledger.threads.lease(-1.0)
        ledger.session.add(row)

    return work


async def found(room: Room, run: ThreadRunRow) -> ThreadRunRow | None:
    return await room.database.read("default", lambda ledger: ledger.threads.run(run.id))


async def test_a_run_that_was_called_off_is_only_ended_by_whoever_takes_it_up(room: Room) -> None:
    for action in ("interrupt", "rollback"):
        wish = Wish("one_step", input={"name": f"off {action}"}, creates=True, after_s=3_600)
        run = await room.runs.start(ANN, "", wish)
        await room.database.write("default", lost(run, wanted=action))
        await room.runs.over("default", run.id)
        left = await found(room, run)
        assert (left.status if left else "") == ("interrupted" if action == "interrupt" else "")
        assert (await room.threads.get(ANN, run.thread_id)).status == "idle"
    assert not [each for each in DONE if each.startswith("first off")]


async def test_a_run_that_was_handed_over_takes_its_steps_along_when_it_is_rolled_back(room: Room) -> None:
    thread, _ = await room.run("one_step", input={"name": "a"})
    before = await room.served("one_step").state(ANN, thread)
    run = await room.runs.start(ANN, thread, Wish("one_step", input={"name": "b"}))
    await room.runs.over("default", run.id)
    await room.database.write("default", lost(run, status="pending", wanted=""))
    await room.runs.cancel(ANN, thread, run.id, "rollback")
    async with asyncio.timeout(20):
        while await found(room, run) is not None:  # noqa: ASYNC110 - what it waits for is a row
            await asyncio.sleep(0.01)
    assert await room.served("one_step").state(ANN, thread) == before


async def test_a_thread_that_is_at_work_again_is_not_cleared_away(room: Room) -> None:
    first = await room.runs.start(ANN, "", Wish("one_step", input={"name": "a"}, creates=True, temporary=True))
    thread = first.thread_id
    await room.runs.over("default", first.id)
    room.clock.advance(timedelta(minutes=10))
    later = Wish("one_step", input={"name": "b"}, after_s=3_600)
    second = await room.runs.start(ANN, thread, later)
    assert (await room.runs.keeping.tidy())["threads"] == 0
    with pytest.raises(Conflict, match="is not over"):
        await room.threads.delete(ANN, thread)
    assert (await room.served("one_step").state(ANN, thread)).values["log"] == ["first"]
    await room.runs.cancel(ANN, thread, second.id, "interrupt")
    assert (await room.runs.keeping.tidy())["threads"] == 0  # it can be read for a while yet
    room.clock.advance(timedelta(minutes=10))
    assert (await room.runs.keeping.tidy())["threads"] == 1
    assert (await room.served("one_step").state(ANN, thread)).values == {}


async def test_outages_of_the_records_end_no_run(room: Room) -> None:
    AWAY["o"] = 5
    thread, _ = await room.run("one_step", input={"name": "a"})
    (other,) = await room.threads.runs(ANN, thread, status="", limit=1, offset=0)
    run = await room.runs.start(ANN, "", Wish("outages", input={"name": "o"}, creates=True))
    over = asyncio.create_task(room.runs.over("default", run.id))
    async with asyncio.timeout(20):
        while not over.done():
            await asyncio.sleep(0.02)
            room.clock.advance(timedelta(seconds=2))
            await room.runs.cancel(ANN, thread, other.id, "interrupt")  # it is over: runs that are due are looked for
    end: Any = await over
    assert end["values"]["log"] == ["looked"]
    assert AWAY["o"] == 0


async def test_what_somebody_queued_who_was_suspended_since_does_not_run(room: Room) -> None:
    eve = Person(id="eve", roles=ANN.roles)
    await room.database.write("default", lambda ledger: ledger.people.add("default", "eve", eve.roles))
    WAITING["s"], REACHED["s"] = asyncio.Event(), asyncio.Event()
    first = await room.runs.start(ANN, "", Wish("waits", input={"name": "s"}, creates=True))
    await asyncio.wait_for(REACHED["s"].wait(), 20)
    queued = await room.runs.start(eve, "", Wish("one_step", input={"name": "of eve"}, creates=True))
    await room.database.write("default", lambda ledger: ledger.people.suspend("default", "eve"))
    WAITING["s"].set()
    await room.runs.over("default", first.id)
    end: Any = await room.runs.over("default", queued.id)
    assert (end["status"], end["error"]["error"]) == ("error", "Forbidden")
    assert "suspended" in end["error"]["message"]
    assert "first of eve" not in DONE


def log_of(room: Room, run: ThreadRunRow, last: int) -> RunLog:
    """As the process writes it that has the run."""
    feed = room.runs.feeds.of(run.id)
    own = {"workspace": "default", "run_id": run.id, "attempt": 1, "last": last, "alone": False}
    return RunLog(room.database, feed, **own, tell=lambda: None)  # type: ignore[arg-type]


async def test_a_run_that_could_not_be_begun_here_is_followed_where_it_goes_on(room: Room) -> None:
    wish = Wish("one_step", input={"name": "a"}, creates=True, after_s=3_600)
    run = await room.runs.start(ANN, "", wish)
    here = log_of(room, run, last=0)
    here.put("metadata", "{}")  # and its transaction failed
    elsewhere = [(1, "metadata", "{}"), (2, "end", "{}")]
    await room.database.write("default", lambda ledger: ledger.threads.quick.log(run.id, elsewhere))
    async with asyncio.timeout(10):
        batches = [batch async for batch in room.runs.feeds.follow("default", run.id)]
    assert [each for batch in batches for each in batch] == elsewhere
    assert here.waiting


async def test_what_was_being_written_as_the_run_was_called_off_is_written_once(room: Room) -> None:
    if not room.database.apart:
        pytest.skip("in a file nothing can come between")
    run = await room.runs.start(ANN, "", Wish("one_step", input={"name": "a"}, creates=True, after_s=3_600))
    await room.database.write("default", lost(run))
    writer = log_of(room, run, last=0)
    await room.database.write("default", lambda ledger: ledger.threads.beat(run.id, 1, ledger.threads.lease(3_600)))
    locked, go = threading.Event(), threading.Event()

    def hold(ledger: Ledger) -> None:
        ledger.threads.run(run.id, lock=True)
        locked.set()
        go.wait(20)

    holder = asyncio.create_task(room.database.write("default", hold))
    await asyncio.to_thread(locked.wait, 20)
    emitting = asyncio.create_task(writer.emit("custom", "x" * 300_000))
    await asyncio.sleep(0.1)
    emitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await emitting
    go.set()
    await holder
    await writer.close()
    assert writer.waiting == []
    events = await room.database.read("default", lambda ledger: ledger.threads.events(run.id))
    assert [seq for seq, _, _ in events] == [1]


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
