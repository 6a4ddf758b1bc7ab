"""Effects of which nobody knows whether they happened: what people are asked, and what the provider says now."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any, NamedTuple

from core.errors import CountersignError, OutcomeUnknown
from core.ports import Tools
from core.states import ReviewStatus
from engine import incidents
from ledger.database import Database, Ledger
from ledger.tables import ActionRow, ReviewRow, RunRow

_PATIENCE_S = 5.0
"""A provider that does not answer holds up nobody who looks."""


class Word(StrEnum):
    """What a provider says of a call, by its key."""

    HAPPENED = "happened"
    NOT_THERE = "not_there"
    CANT_TELL = "cant_tell"  # it can't be asked
    DOWN = "down"


class Unknown(NamedTuple):
    run: RunRow
    action: ActionRow
    asked: ReviewRow | None
    """The question to people; none where nobody is asked (any more)."""
    word: Word
    result: dict[str, Any]


async def unknowns(database: Database, tools: Tools, workspace: str, limit: int = 200) -> list[Unknown]:
    """Those of a workspace, the oldest first. It only asks: nothing is recorded, and nothing is called."""
    rows = await database.read(workspace, lambda ledger: _rows(ledger, limit))
    words = await asyncio.gather(*(_word(tools, run) for run, _, _ in rows))
    return [Unknown(*row, word, result) for row, (word, result) in zip(rows, words, strict=True)]


def _rows(ledger: Ledger, limit: int) -> list[tuple[RunRow, ActionRow, ReviewRow | None]]:
    return [
        (run, ledger.effects.action(run.action_id), _question(ledger, run)) for run in ledger.effects.unknown(limit)
    ]


def _question(ledger: Ledger, run: RunRow) -> ReviewRow | None:
    for review in ledger.reviews.of_case(run.case_id):
        asked = ledger.effects.action(review.action_id)
        if asked.tool == incidents.RECONCILE and asked.args.get("action_id") == run.action_id:
            return review if review.status == ReviewStatus.OPEN else None
    return None


async def _word(tools: Tools, run: RunRow) -> tuple[Word, dict[str, Any]]:
    spec = tools.specs().get(run.tool)
    if spec is None or not spec.lookup:
        return Word.CANT_TELL, {}
    try:
        async with asyncio.timeout(_PATIENCE_S):
            found = await tools.lookup(run.tool, run.key)
    except OutcomeUnknown:
        return Word.CANT_TELL, {}
    except (TimeoutError, CountersignError):
        return Word.DOWN, {}
    return (Word.HAPPENED, found) if found is not None else (Word.NOT_THERE, {})
