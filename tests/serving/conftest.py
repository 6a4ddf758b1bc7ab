"""One house for each module of these tests: its cases don't know of each other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from core.settings import Settings
from tests.serving.kind_talk import Sdk
from tests.serving.live import Live, living
from tests.support.folders import quick_folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live() -> AsyncIterator[Live]:
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data")) as found:
            yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sdk(live: Live) -> AsyncIterator[Sdk]:
    await live.add("chat", "service")
    await live.add("fin", "finance_controller")
    found = Sdk(live)
    yield found
    await found.close()
