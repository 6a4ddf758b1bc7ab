"""The steps of a case, and copies from them, as operators see them: over HTTP and at a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.serving.live import Live, Typed, typed

module = pytest.mark.asyncio(loop_scope="module")

Type = Callable[..., Any]


@pytest.fixture
def type_(live: Live) -> Type:
    async def run(*words: str | Path, **more: Any) -> Typed:
        return await asyncio.to_thread(partial(typed, *words, "--data", live.house.settings.data, **more))

    return run


@module
async def test_a_return_is_copied_from_each_of_its_steps_and_the_shop_hears_nothing(live: Live, type_: Type) -> None:
    case, _ = await live.waiting(await live.dear())
    case_id = case["case"]["id"]
    before = len(await live.house.shop.log(0, 10_000))
    listed = await type_("cases", "checkpoints", case_id, "--json")
    assert len(listed.json["items"]) > 5
    ended: list[str] = []
    for step in listed.json["items"]:
        copied = await type_("cases", "fork", case_id, "--at", step["id"], "--json")
        assert copied.code == 0, copied.err
        copy = copied.json["id"]
        await live.house.settled("default", {copy})
        async with live.as_() as http:
            found = (await http.get(f"/cases/{copy}")).json()
        assert (found["case"]["simulated"], found["case"]["forked_from"]) == (True, case_id)
        ended.append(found["summary"])
        if found["case"]["status"] == "closed":
            continue  # what it reads is the world as it is now, in which the original has begun
        (asked,) = [each for each in found["approvals"] if each["status"] == "open"]
        assert asked["simulated"]
        assert asked["reason"].startswith(f"Simulation, a copy of {case_id}: ")
        async with live.as_("rita") as http:
            seen = (await http.get(f"/approvals/{asked['id']}")).json()["seen"]
            said = await http.post(f"/approvals/{asked['id']}/decide", json={"choice": "approve", "seen": seen})
        assert said.status_code == 200, said.text
        await live.house.settled("default", {copy})
        shown = await type_("cases", copy)
        assert "failed" not in shown.out.splitlines()[0]
        assert f"[simulated, a copy of {case_id}]" in shown.out
        assert "Costs" not in shown.out
    assert "returned already" in ended[0]
    assert "refunds.create" in shown.out
    assert ", then done" in shown.out
    assert len(await live.house.shop.log(0, 10_000)) == before
    async with live.as_() as http:
        assert (await http.get(f"/cases/{case_id}")).json()["case"]["status"] == "waiting"
    assert await live.whole()


@module
async def test_steps_are_looked_at_by_who_may_read_and_copied_by_operators(live: Live, type_: Type) -> None:
    case, _ = await live.waiting(await live.dear())
    case_id = case["case"]["id"]
    listed = await type_("cases", "checkpoints", case_id)
    assert "review" in listed.out.splitlines()[-1]
    assert "1 asked" in listed.out.splitlines()[-1]
    last = listed.out.splitlines()[-1].split()[0]
    shown = await type_("cases", "checkpoints", case_id, last)
    assert "Said so far" in shown.out
    assert "refunds.create" in shown.out
    async with live.as_("vera") as http:
        assert (await http.get(f"/cases/{case_id}/checkpoints/{last}")).status_code == 200
        assert (await http.post(f"/cases/{case_id}/fork", json={})).status_code == 403
    assert (await type_("cases", "checkpoints", case_id, "1f-none")).code == 1
    assert (await type_("cases", "fork", "case_nope")).code == 1
    assert "no step" in (await type_("cases", "fork", case_id, "--at", "1f-none")).err
    refused = await type_("cases", "retry", case_id)
    assert refused.code == 1
    assert "nothing of it failed" in refused.err
