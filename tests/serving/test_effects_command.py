"""Effects after the fact, by API and by command: a real returns case is taken back, and what nobody knows is told."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from core.states import RunStatus
from tests.serving.live import Live, Typed, typed
from tools.fulfillment.faults import Fault, Faults, PlannedFault
from tools.fulfillment.shop import EmbeddedShop

module = pytest.mark.asyncio(loop_scope="module")


async def type_(live: Live, *words: str | Path) -> Typed:
    return await asyncio.to_thread(partial(typed, *words, "--data", live.house.settings.data))


async def taken_back(live: Live) -> None:
    await live.house.sweeper.sweep()
    await live.house.compensation.settled()


@module
async def test_what_a_cancelled_return_did_at_the_shop_is_taken_back(live: Live) -> None:
    case, _ = await live.waiting(await live.dear())
    name = case["case"]["id"]
    before = await live.done_at_the_shop(name)
    assert {"returns.request", "returns.approve"} <= set(before)
    early = await type_(live, "cases", "compensate", name)
    assert early.code == 1
    assert "Cancel it" in early.err or "still be needed" in early.err
    async with live.as_() as http:
        assert (await http.post(f"/cases/{name}/cancel")).status_code == 200
        await live.house.settled("default", {name})
        await taken_back(live)
        found = (await http.get(f"/cases/{name}/compensation")).json()["items"]
    assert {each["standing"] for each in found} == {"taken_back"}, found
    undone = (await live.done_at_the_shop(name))[len(before) :]
    assert undone[-1] == "returns.cancel"
    assert undone.count("returns.cancel") == 1  # it takes back the approval and the request
    assert ("labels.void" in undone) == ("labels.create_return" in before)
    told = await type_(live, "cases", "compensate", name, "--look")
    assert told.code == 0
    assert "taken back" in told.out
    again = await type_(live, "cases", "compensate", name)
    assert again.code == 1
    assert "Nothing of this case is left" in again.err
    assert await live.whole()


@module
async def test_an_outcome_that_nobody_knows_is_listed_with_the_providers_word(live: Live) -> None:
    assert (await type_(live, "cases", "unknown")).code == 0
    shop = live.house.shop
    assert isinstance(shop, EmbeddedShop)
    lost = PlannedFault(operation="refunds.create", fault=Fault.TIMEOUT_AFTER)
    shop.faults = Faults.script([lost, PlannedFault(operation="find", fault=Fault.ERROR, times=1000)])
    case, approval = await live.waiting(await live.small())
    assert approval["approval"]["tool"] == "effect.reconcile"
    assert "Approve: it did happen" in approval["approval"]["reason"]
    down = await type_(live, "cases", "unknown")
    assert down.code == 1
    assert "the provider does not answer" in down.out
    shop.faults = None
    told = await type_(live, "cases", "unknown", "--json")
    (each,) = told.json["items"]
    assert (each["case_id"], each["tool"], each["provider_says"]) == (case["case"]["id"], "refunds.create", "happened")
    assert each["approval"] == approval["approval"]["id"]
    async with live.as_() as http:
        for tool, count in (("effect.reconcile", 1), ("labels.void", 0)):
            page = (await http.get("/approvals", params={"tool": tool})).json()
            assert len(page["items"]) == count
    runs = await live.house.database.read("default", lambda ledger: ledger.effects.runs(case["case"]["id"]))
    assert RunStatus.UNKNOWN in {run.status for run in runs}  # whoever looks changes nothing
