"""The till of the engine's tests, for graphs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.folders import quick_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as fresh:
        yield fresh / "house"
