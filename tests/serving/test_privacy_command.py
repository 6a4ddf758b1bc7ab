"""A person's data from the command line: handed out to a file that only its owner reads, and erased."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.settings import Settings
from tests.serving.live import Live, living, typed
from tests.support.folders import quick_folder


@pytest.fixture
async def shop() -> AsyncIterator[Live]:
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data")) as live:
            yield live


async def test_a_customer_is_handed_out_and_erased_beside_a_running_server(shop: Live, tmp_path: Path) -> None:
    payload = await shop.small()
    customer = str(payload["customer_id"])
    assert (await shop.submit(payload))["case"]["status"] == "closed"
    data, out = shop.house.settings.data, tmp_path / "theirs.json"

    assert (await asyncio.to_thread(typed, "privacy", "export", customer, "--out", out, "--data", data)).code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    (case,) = json.loads(out.read_text())["cases"]
    assert case["payload"]["customer_id"] == customer
    assert (await asyncio.to_thread(typed, "privacy", "erase", customer, "--yes", "--data", data)).out.endswith(
        "It is erased.\n"
    )
    assert "nothing left" in (await asyncio.to_thread(typed, "privacy", "erase", customer, "--yes", "--data", data)).out
    (case,) = (await asyncio.to_thread(typed, "privacy", "export", customer, "--data", data)).json["cases"]
    assert ("payload" in case, case["outcome"]) == (False, "refunded")
    async with shop.as_() as http:
        assert (await http.get(f"/cases/{case['id']}")).status_code == 200
    assert (await asyncio.to_thread(typed, "audit", "verify", "--data", data)).code == 0
    assert (await asyncio.to_thread(typed, "audit", "check", "--data", data)).code == 0
    assert (await asyncio.to_thread(typed, "privacy", "erase", "cus_nobody", "--yes", "--data", data)).code != 0
