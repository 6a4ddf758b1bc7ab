"""What no case needs any more goes; what was decided, approved and paid stays, and a waiting case goes on as before."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.settings import EngineSettings, RetentionSettings
from core.states import CaseStatus, Desired
from engine.housekeeping import since_when
from ledger.tables import SYSTEM
from tests.support.servers import POSTGRES, answers, fresh_database
from tests.support.till import Till, open_till, pay, write
from tools.fulfillment.faults import Fault

HOUR = 1 / 24
ENGINE = EngineSettings(sweep_s=3600, lease_s=0.2, keep_checkpoints_days=HOUR)
KEPT = RetentionSettings(closed_days=2, cancelled_days=1, spent_days=1)

Steps = Callable[[str], int]
Opened = tuple[Till, Steps]


@pytest.fixture(
    params=[
        "folder",
        pytest.param("server", marks=pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL here")),
    ]
)
async def opened(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Opened]:
    """A till on each database, and how many checkpoints a case has there."""
    if request.param == "folder":
        async with open_till(folder, engine=ENGINE, retention=KEPT) as till:
            yield till, lambda case: _in_file(folder, case)
        return
    with fresh_database() as url:
        async with open_till(folder, engine=ENGINE, retention=KEPT, server=url) as till:
            yield till, lambda case: _on_server(url, case)


def _in_file(folder: Path, case: str) -> int:
    with closing(sqlite3.connect(folder / "checkpoints.db")) as file:
        return int(file.execute("SELECT count(*) FROM checkpoints WHERE thread_id = ?", (case,)).fetchone()[0])


def _on_server(url: str, case: str) -> int:
    with psycopg.connect(url) as server:
        row = server.execute("SELECT count(*) FROM checkpoints WHERE thread_id = %s", (case,)).fetchone()
        return int(row[0]) if row else 0


async def _chain(till: Till) -> list[str]:
    def verified(ledger: Any) -> list[str]:
        assert ledger.audit.verify("default")[1] is None
        return [row.type for row in ledger.audit.entries()]

    return list(await till.read(verified))


async def test_a_case_goes_on_after_its_earlier_steps_were_cut(opened: Opened) -> None:
    till, steps = opened
    closed = await till.run([pay("5.00")])
    waiting = await till.run([pay("60.00")], [pay("70.00")], [write(text="done")])
    assert min(steps(waiting), steps(closed)) > 3
    assert await till.house.housekeeper.run() == {}  # nobody is old yet

    till.clock.advance(timedelta(hours=2))
    young = await till.run([pay("60.00")], customer="cus_2")
    assert await till.house.housekeeper.plan() == {"cases cut to their last step": 2}
    done = await till.house.housekeeper.run()

    assert done["cases cut to their last step"] == 2
    assert (steps(waiting), steps(closed)) == (1, 1)
    assert steps(young) > 3
    assert await till.read(lambda ledger: since_when(ledger, waiting)) == till.clock.now()
    assert await till.read(lambda ledger: since_when(ledger, young)) is None
    assert await till.house.housekeeper.run() == {}  # each once

    await till.approve("ann", waiting)  # the first question, which was asked before the cut
    assert await till.status(waiting) == CaseStatus.WAITING
    await till.approve("ann", waiting)
    assert await till.status(waiting) == CaseStatus.CLOSED
    assert await till.happened(waiting) == ["gift.pay", "gift.pay", "note.write"]
    assert (await till.check()).findings == []
    assert "housekeeping.done" in await _chain(till)


async def test_a_case_that_ran_since_is_cut_again(opened: Opened) -> None:
    till, steps = opened
    case = await till.run([pay("60.00")], [write(text="done")])
    till.clock.advance(timedelta(hours=2))
    await till.house.housekeeper.run()
    await till.approve("ann", case)
    assert steps(case) > 1

    till.clock.advance(timedelta(hours=2))
    await till.house.housekeeper.run()

    assert steps(case) == 1
    assert len(await till.trace(case, "case.pruned")) == 2


async def test_a_case_that_is_over_for_long_loses_its_content_and_keeps_what_it_was_decided_by(opened: Opened) -> None:
    till, steps = opened
    photo, shared, new = ("a" * 40, "b" * 40, "c" * 40)
    for name in (photo, shared, new):
        (till.house.attachments / name).write_bytes(b"a picture")
    paid = await till.run([pay("60.00")], [write(text=f"{photo}")], [write(text=shared)], [write(text=new)])
    await till.approve("ann", paid)
    other = await till.run([pay("60.00")], [write(text=shared)], customer="cus_2")
    cancelled = await till.run([pay("60.00")], customer="cus_3")
    await till.want(cancelled, Desired.CANCEL)
    for name in (photo, shared):
        os.utime(till.house.attachments / name, (0, 0))
    before = await till.read(
        lambda ledger: (
            [row.id for row in ledger.effects.actions(paid)],
            [(row.status, row.result) for row in ledger.effects.runs(paid)],
            [(row.component, row.amount_minor) for row in ledger.costs.of_case(paid)],
        )
    )
    entries = await _chain(till)

    till.clock.advance(timedelta(hours=30))
    assert (await till.house.housekeeper.run())["cases erased"] == 1  # the cancelled one
    till.clock.advance(timedelta(hours=30))
    done = await till.house.housekeeper.run()

    assert (done["cases erased"], done["attachments"]) == (1, 1)
    row = await till.case(paid)
    assert (row.payload, row.erased_at, row.outcome) == ({}, till.clock.now(), "done")
    assert row.payload_digest
    assert steps(paid) == 0
    assert await till.trace(paid, "case.submitted") == []
    assert len(await till.trace(paid, "case.erased")) == 1
    assert [each.name for each in sorted(till.house.attachments.iterdir())] == [shared, new]
    assert (await till.case(other)).payload  # unfinished: it keeps everything, however old
    assert before == await till.read(
        lambda ledger: (
            [row.id for row in ledger.effects.actions(paid)],
            [(row.status, row.result) for row in ledger.effects.runs(paid)],
            [(row.component, row.amount_minor) for row in ledger.costs.of_case(paid)],
        )
    )
    assert (await till.check()).findings == []
    chain = await _chain(till)
    assert chain[: len(entries)] == entries
    assert chain.count("case.erased") == 2
    while done := await till.house.housekeeper.run():
        assert done.keys() <= {"outbox rows"}  # the last one goes when another follows


async def test_a_file_of_which_no_case_was_made_goes_after_a_day(opened: Opened) -> None:
    till, _ = opened
    named, unnamed, broken_off, new, other = ("a" * 40, "b" * 40, f"{'c' * 40}.0a1b2c3d", "d" * 40, "README")
    for name in (named, unnamed, broken_off, new, other):
        (till.house.attachments / name).write_bytes(b"a picture")
    await till.run([write(text=named)])
    for name in (named, unnamed, broken_off, other):
        os.utime(till.house.attachments / name, (0, 0))

    await till.house.housekeeper.run()  # the worker's own round may have been faster
    assert sorted(each.name for each in till.house.attachments.iterdir()) == sorted([named, new, other])
    (till.house.attachments / unnamed).write_bytes(b"a picture")
    os.utime(till.house.attachments / unnamed, (0, 0))
    assert await till.house.housekeeper.plan() == {"attachments that no case names": 1}
    assert (await till.house.housekeeper.run())["attachments"] == 1


async def test_an_event_that_comes_again_is_known_after_its_case_was_erased(opened: Opened) -> None:
    till, _ = opened
    case = await till.run([write()])

    def post(ledger: Any) -> None:
        payload = {"event": {"digest": "d1", "data": {"name": "Ann"}}}
        ledger.cases.post(ledger.cases.get(case), source="crm", event_id="7", event="case.news", payload=payload)

    await till.house.database.write("default", post)
    till.clock.advance(timedelta(days=3))
    assert (await till.house.housekeeper.run())["cases erased"] == 1

    seen = await till.read(lambda ledger: ledger.arrivals.seen("crm", ["7"]))
    assert (seen["7"].case_id, seen["7"].digest) == (case, "d1")
    kept = await till.read(lambda ledger: [row.payload for row in ledger.cases.unprocessed(case)])
    assert "Ann" not in str(kept)


async def test_a_case_about_which_people_are_still_asked_is_never_touched(opened: Opened) -> None:
    """Cancelled while nobody knew what came of its parcel: that question stays, and all that tells of the case."""
    till, _ = opened
    till.fail(("parcel.send", Fault.TIMEOUT_AFTER))
    case = await till.run([write("parcel.send")])
    await till.want(case, Desired.CANCEL)
    assert await till.status(case) == CaseStatus.CANCELLED
    assert (await till.review(case)).status == "open"

    till.clock.advance(timedelta(hours=50))
    done = await till.house.housekeeper.run()

    assert "cases erased" not in done
    assert (await till.case(case)).payload


async def test_what_has_served_its_time_goes(opened: Opened) -> None:
    till, _ = opened
    case = await till.run([pay("60.00")])
    await till.approve("ann", case)  # its expiry's timer will not fire any more
    await till.house.database.write(SYSTEM, lambda ledger: ledger.people.new_token("default", "ann", timedelta(1)))

    till.clock.advance(timedelta(days=1, hours=1))
    done = await till.house.housekeeper.run()
    assert done["timer rows"] == 1
    assert "token rows" not in done  # it ended just now
    till.clock.advance(timedelta(days=1))
    assert (await till.house.housekeeper.run())["token rows"] == 1


async def test_the_sweeper_keeps_house_piece_by_piece(till: Till, folder: Path) -> None:
    cases = [await till.run([write(text=str(n))]) for n in range(3)]
    assert all(_in_file(folder, case) > 1 for case in cases)

    await till.later(days=31)
    await till.house.sweeper.sweep()

    assert [_in_file(folder, case) for case in cases] == [1, 1, 1]


async def test_a_file_gets_smaller_when_much_is_cut(folder: Path) -> None:
    async with open_till(folder, engine=ENGINE) as till:
        for n in range(8):
            await till.run(*([write(text=f"{n}{turn}" * 500)] for turn in range(4)))
        till.clock.advance(timedelta(hours=2))
        with closing(sqlite3.connect(folder / "checkpoints.db")) as file:
            before = file.execute("PRAGMA page_count").fetchone()[0]
        await till.house.housekeeper.run()
        with closing(sqlite3.connect(folder / "checkpoints.db")) as file:
            assert file.execute("PRAGMA page_count").fetchone()[0] < before / 2
