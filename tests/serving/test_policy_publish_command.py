"""From a file to being in force and back, typed: keygen, trust, sign, publish, draft, decide, history, rollback."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest_asyncio

from core.settings import Settings
from tests.serving.live import Live, Typed, living, typed
from tests.support.folders import quick_folder
from tests.support.repository import ROOT

SHIPPED = (ROOT / "policies" / "books" / "tau2_retail.yaml").read_text()
KIND = "tau2_retail"


@pytest_asyncio.fixture
async def live() -> AsyncIterator[Live]:
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data")) as found:
            for name in ("ann", "ben"):
                await found.add(name, "policy_approver")
            yield found


async def test_a_policy_goes_from_a_file_into_force_and_back(live: Live, tmp_path: Path) -> None:
    async def run(*words: str | Path, **more: Any) -> Typed:
        return await asyncio.to_thread(partial(typed, *words, "--data", live.house.settings.data, **more))

    async def approve(name: str) -> None:
        async with live.as_(name) as http:
            (waits,) = (await http.get("/approvals")).json()["items"]
            seen = (await http.get(f"/approvals/{waits['id']}")).json()["seen"]
            answer = await http.post(f"/approvals/{waits['id']}/decide", json={"choice": "approve", "seen": seen})
            assert answer.status_code == 200, answer.text

    async def in_force() -> str:
        async with live.as_("vera") as http:
            return next(each["version"] for each in (await http.get("/policies")).json() if each["kind"] == KIND)

    first = await in_force()
    new = tmp_path / f"{KIND}.yaml"
    text = re.sub(r"^approved_by: .*$", "approved_by: [lead]", SHIPPED, flags=re.M)
    new.write_text(text.replace(f"version: {first}", "version: 2026.12-1"))
    key = tmp_path / "lead.key"
    made = await asyncio.to_thread(typed, "policy", "keygen", key, "--no-passphrase")
    assert key.stat().st_mode & 0o777 == 0o600
    unsigned = await run("policy", "sign", new, "--as", "nobody", "--key", key)
    assert (unsigned.code, "approved_by" in unsigned.err) == (2, True)
    await run("policy", "trust", "add", "lead", made.out.strip())
    signed = await run("policy", "sign", new, "--as", "lead", "--key", key)
    assert "signed by lead" in signed.out, signed.err
    asked = await run("policy", "publish", tmp_path / f"{KIND}.signed.json", "--note", "A trial")
    assert "waits for" in asked.out, (asked.out, asked.err)
    assert await in_force() == first
    async with live.as_("ann") as http:
        (waits,) = (await http.get("/approvals")).json()["items"]
        detail = (await http.get(f"/approvals/{waits['id']}")).json()
    draft = await run("policy", "draft", detail["args"]["bundle"])
    assert (draft.out, "Signed by lead" in draft.err) == (new.read_text(), True)
    for name in ("ann", "ben")[: detail["approval"]["people"]]:
        await approve(name)
    await live.house.settled("default", {waits["case_id"]})
    assert await in_force() == "2026.12-1"
    told = await run("policy", "history", KIND)
    assert "2026.12-1" in told.out
    assert "signed by lead" in told.out
    old = await run("policy", "history", KIND, "--text", first)
    assert old.out == SHIPPED
    back = await run("policy", "rollback", KIND, first)
    assert "waits for" in back.out, back.err
    async with live.as_("ann") as http:
        (waits,) = (await http.get("/approvals")).json()["items"]
    for name in ("ann", "ben")[: waits["people"]]:
        await approve(name)
    await live.house.settled("default", {waits["case_id"]})
    assert await in_force() == first
    again = await run("policy", "publish", tmp_path / f"{KIND}.signed.json")
    assert again.code == 1
    assert "it was signed to follow" in again.out
    assert await live.whole()
