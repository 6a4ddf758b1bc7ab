"""Answers to the questions of plain graphs, as rows: the first one counts, and a run reads only what is written here.

Kinds of business task have none of these: their questions are reviews, and their answers votes.
"""

from __future__ import annotations

from typing import Any, Literal

from core.actions import JSON
from core.errors import AlreadyDecided, Forbidden
from core.ids import digest
from core.people import Permission, Person, require
from engine.answers import fit
from engine.served import Asked, Within
from engine.threads import seen_by, written_by
from ledger.database import Database, Ledger
from ledger.thread_tables import ThreadAnswerRow, ThreadRow

AnsweredBy = Literal["reviewers", "opener"]


class Answers:
    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, person: Person, thread_id: str, resume: JSON, by: AnsweredBy) -> Within:
        """Checks and writes the answers, in the transaction that writes the run which goes on with them."""

        def within(ledger: Ledger, run_id: str) -> None:
            thread = seen_by(person, ledger.threads.get(thread_id))
            _let(ledger, person, thread, by)
            rows = ledger.threads.answers(thread_id)
            settled = {row.interrupt_id: _told(row) for row in rows}
            asked = [
                Asked(each["id"], task, each["value"]) for task, some in thread.interrupts.items() for each in some
            ]
            still = [each for each in asked if each.id not in settled]
            said = fit(resume, still, settled=settled, shown=ledger.threads.seen(thread_id, person.id))
            for question, value in said.items():
                if not ledger.threads.answer(thread_id, question, "answered", person.id, value, run_id):
                    raise AlreadyDecided(f"'{question}' is answered.", hint="Read the thread's state.")
                body = {"thread": thread_id, "question": question, "by": person.id, "value": digest(value)}
                ledger.audit.append("thread.answered", body)

        return within

    async def given(self, workspace: str, thread_id: str, run_id: str = "") -> dict[str, JSON]:
        """What was answered on a thread, by question; of one run, if that is named."""

        def work(ledger: Ledger) -> dict[str, JSON]:
            return {
                row.interrupt_id: row.value["value"]
                for row in ledger.threads.answers(thread_id)
                if row.kind == "answered" and run_id in ("", row.run_id)
            }

        return await self._database.read(workspace, work)

    async def begun_with(self, workspace: str, run_id: str) -> dict[str, Any] | None:
        """Config, context and metadata of a run; None if there is none of this id."""

        def work(ledger: Ledger) -> dict[str, Any] | None:
            run = ledger.threads.run(run_id)
            if run is None:
                return None
            return {"config": run.asked["config"], "context": run.asked["context"], "metadata": run.meta}

        return await self._database.read(workspace, work)


def _let(ledger: Ledger, person: Person, thread: ThreadRow, by: AnsweredBy) -> None:
    """Raises `Forbidden` for whoever may not answer here."""
    if by == "opener":
        written_by(person, thread)
        return
    require(person, Permission.DECIDE)
    for starter in {*thread.starters, thread.opened_by}:
        if person.id == starter:
            why = "started this"
        elif person.id in ledger.people.keepers(person.workspace, starter):
            why = f"holds a token of {starter}, who started this"
        else:
            continue
        raise Forbidden(f"{person.id} {why}, and nobody answers for themselves.", hint="Another person is to answer.")


def _told(row: ThreadAnswerRow) -> str:
    return f"{row.kind} by {row.person}"
