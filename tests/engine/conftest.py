"""A till, opened: one house for each test, over a folder that was prepared once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.folders import quick_folder
from tests.support.till import Till, open_till


@pytest.fixture(scope="session")
def prepared() -> Iterator[Path]:
    async def open_and_close(folder: Path) -> None:
        async with open_till(folder):
            pass

    with quick_folder() as folder:
        asyncio.run(open_and_close(folder / "house"))
        yield folder / "house"


@pytest.fixture
def folder(prepared: Path) -> Iterator[Path]:
    """A data folder with an empty ledger and two accounts."""
    with quick_folder() as fresh:
        yield Path(shutil.copytree(prepared, fresh / "house"))


@pytest.fixture
async def till(folder: Path) -> AsyncIterator[Till]:
    async with open_till(folder) as opened:
        yield opened
