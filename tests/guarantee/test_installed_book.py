"""The book that is installed is the one in force, until another one is published."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.guarantee.stage import empty_house, play
from tests.support.till import open_till
from tests.support.till_kind import BOOK, KIND


@pytest.mark.xfail(
    strict=True,
    reason="PolicyOffice._install: the key of a version and the one before it is taken the second time round",
)
def test_a_book_that_is_changed_there_and_back_and_there_again_is_in_force() -> None:
    """The looser one must not stay because it was there before."""
    loose = BOOK.read_text()
    strict = loose.replace("auto: 50 USD", "auto: 5 USD")

    async def in_force(folder: Path, text: str) -> str:
        book = folder.parent / "till.yaml"
        book.write_text(text)
        async with open_till(folder, kind=replace(KIND, book=book)) as till:
            return till.house.judge.book("till", till.clock.now()).digest

    with empty_house() as folder:
        for text in (loose, strict, loose, strict):
            assert play(in_force(folder, text)) == hashlib.sha256(text.encode()).hexdigest()
