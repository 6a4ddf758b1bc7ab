"""Another release while cases wait: none is left behind, and operators say which of them goes on under what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agents.role import Role
from core.errors import Conflict
from core.settings import EngineSettings
from core.states import CaseStatus, Desired
from engine import releases
from engine.releases import Altered
from ledger.database import Ledger
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database
from tests.support.site import LEASE_S, Site
from tests.support.till import Till, open_till, pay, write
from tests.support.till_kind import BOOK, KIND

C = CaseStatus
NEW = replace(KIND, role=Role(name=KIND.role.name, prompt=f"{KIND.role.prompt} Be kind."))
OLD_RELEASE, NEW_RELEASE = "2026.10", "2026.11"


@pytest.fixture
def site() -> Iterator[Site]:
    with fresh_database() as url, quick_folder() as folder:
        yield Site(url, folder)


async def wait_at_the_desk(till: Till, *names: str) -> list[str]:
    cases = []
    for name in names:
        await till.set_balance("1000.00", name)
        cases.append(await till.run([pay("100.00", name)], [write()], customer=name))
    assert [await till.status(case) for case in cases] == [C.WAITING] * len(cases)
    return cases


async def altered(till: Till) -> dict[str, Altered]:
    """What this house's own parts alter."""

    def look(ledger: Ledger) -> list[Altered]:
        policy = till.house.judge.book("till", ledger.now).digest
        return releases.altered(ledger, {"till": {**till.house.workers.parts["till"], "policy": policy}})

    return {each.case_id: each for each in await till.read(look)}


async def say(till: Till, case: str, what: str) -> None:
    def step(ledger: Ledger) -> None:
        match what:
            case "hold":
                releases.hold(ledger, case, "the new prompt is looked at", "ops")
            case "migrate":
                releases.migrate(ledger, case, "ops")
            case "finish-old":
                releases.finish_old(ledger, case, "ops")

    await till.house.database.write("default", step)


async def test_what_waited_goes_on_under_the_new_release(folder: Path) -> None:
    engine = EngineSettings(sweep_s=3600, release=OLD_RELEASE)
    async with open_till(folder, engine=engine) as till:
        cases = await wait_at_the_desk(till, "a", "b")
        assert await altered(till) == {}
    async with open_till(folder, engine=engine.model_copy(update={"release": NEW_RELEASE}), kind=NEW) as till:
        found = await altered(till)
        assert {case: set(each.changed) for case, each in found.items()} == {case: {"prompt"} for case in cases}
        assert {each.ran_with for each in found.values()} == {OLD_RELEASE}
        assert all(each.changed["prompt"] is not None for each in found.values())  # since this house opened
        for case in cases:
            await till.approve("ann", case)
        assert [await till.status(case) for case in cases] == [C.CLOSED] * 2
        assert [await till.happened(case) for case in cases] == [["gift.pay", "note.write"]] * 2
        assert (await till.case(cases[0])).made_with["release"] == NEW_RELEASE


async def test_another_policy_alters_what_waits(folder: Path) -> None:
    async with open_till(folder) as till:
        (case,) = await wait_at_the_desk(till, "a")
        till.change_policy(BOOK.read_text().splitlines()[-1], BOOK.read_text().splitlines()[-1] + "  # as before")
        assert set((await altered(till))[case].changed) == {"policy"}


async def test_a_case_that_is_held_takes_up_nothing_until_it_is_let_go(folder: Path) -> None:
    async with open_till(folder) as till:
        held, dropped, free = await wait_at_the_desk(till, "a", "b", "c")
        for case in (held, dropped):
            await say(till, case, "hold")
        for case in (held, free):
            await till.approve("ann", case)
        await till.house.sweeper.sweep()
        assert [await till.status(case) for case in (held, free)] == [C.WAITING, C.CLOSED]
        assert await till.happened(held) == []
        assert "case.held" in await till.audit(held)
        assert (await till.check()).findings == []

        await say(till, held, "migrate")
        await till.later(seconds=1)
        assert await till.status(held) is C.CLOSED
        assert await till.happened(held) == ["gift.pay", "note.write"]

        await till.want(dropped, Desired.CANCEL)  # people may end it all the same
        assert await till.status(dropped) is C.CANCELLED
        with pytest.raises(Conflict, match="is cancelled"):
            await say(till, dropped, "hold")


async def test_a_case_is_finished_by_the_release_that_it_ran_with(site: Site) -> None:
    async with site.worker("old-1", release=OLD_RELEASE) as old:
        bound, moved = await wait_at_the_desk(old, "a", "b")
    async with site.worker("new", release=NEW_RELEASE, kind=NEW) as new:
        assert set(await altered(new)) == {bound, moved}
        await say(new, bound, "finish-old")
        alive = await new.read(lambda ledger: releases.at_work(ledger, OLD_RELEASE, timedelta(seconds=LEASE_S)))
        assert alive == []  # so whoever binds it is told
        for case in (bound, moved):
            await new.vote("ann", (await new.review(case)).id, wait=False)
        await new.settle(moved)
        await new.house.sweeper.sweep()
        assert [await new.status(case) for case in (bound, moved)] == [C.WAITING, C.CLOSED]

        async with site.worker("old-2", release=OLD_RELEASE) as old:
            await old.house.sweeper.sweep()
            await old.settle(bound)
            assert await old.status(bound) is C.CLOSED
            row = await old.case(bound)
            assert (row.made_with["release"], row.release) == (OLD_RELEASE, OLD_RELEASE)
            assert await old.happened(bound) == ["gift.pay", "note.write"]
            assert (await old.check()).findings == []
