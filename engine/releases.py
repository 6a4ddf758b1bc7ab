"""What a deployment alters for cases that wait, and what operators let become of them.

Each segment notes what it ran with: digests of the kind's graph, prompt and model and of the policy in force. Where the
present ones are others, the case would go on under something else than it began with. By default it does. Operators may
hold it back, or have it ended by workers of the release that it ran with. Policy is not theirs to choose: whichever
release goes on with a case, the gate and the executor decide by the policy that is in force then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from core.errors import Conflict
from core.states import FINISHED
from ledger.database import Ledger
from ledger.process_tables import WorkerRow
from ledger.tables import CaseRow

PARTS = ("graph", "prompt", "model", "policy")


class Altered(BaseModel):
    """A case that would go on under something else than its last segment ran with."""

    case_id: str
    workspace: str
    kind: str
    status: str
    ran_at: datetime | None
    """When its last segment began; None if that was before such things were noted."""
    ran_with: str
    """The release of the worker that ran it."""
    changed: dict[str, datetime | None]
    """Each part that is another one now, and since when; None while nothing runs with it yet."""
    held: str
    only_release: str


def made_with(parts: Mapping[str, str], policy: str, release: str, at: datetime) -> dict[str, Any]:
    """What a segment notes of itself."""
    return {**parts, "policy": policy, "release": release, "at": at.isoformat()}


def altered(ledger: Ledger, present: Mapping[str, Mapping[str, str]]) -> list[Altered]:
    """Of all cases that have begun and wait, those that the present parts (digests, for each kind) would alter."""
    workers = ledger.workers.everyone()
    since = {
        (kind, part): _since(ledger, workers, kind, part, digest)
        for kind, parts in present.items()
        for part, digest in parts.items()
    }
    found = []
    for case in ledger.cases.begun():
        now, then = present.get(case.kind, {}), case.made_with
        changed = [part for part in PARTS if then.get(part) != now.get(part)]
        if changed:
            found.append(
                Altered(
                    case_id=case.id,
                    workspace=case.workspace,
                    kind=case.kind,
                    status=case.status,
                    ran_at=datetime.fromisoformat(then["at"]) if "at" in then else None,
                    ran_with=str(then.get("release", "")),
                    changed={part: since.get((case.kind, part)) for part in changed},
                    held=case.held,
                    only_release=case.release,
                )
            )
    return found


def _since(ledger: Ledger, workers: Sequence[WorkerRow], kind: str, part: str, digest: str) -> datetime | None:
    if part == "policy":
        return max((row.at for row in ledger.policies.published(kind) if row.digest == digest), default=None)
    return min((row.started_at for row in workers if row.parts.get(kind, {}).get(part) == digest), default=None)


def hold(ledger: Ledger, case_id: str, why: str, by: str) -> None:
    """The case takes up nothing until it is let go. Raises `Conflict` if it is over."""
    case = _unfinished(ledger, case_id)
    case.held = why[:200] or "held by operators"
    _note(ledger, case, "case.held", {"why": case.held, "by": by})


def migrate(ledger: Ledger, case_id: str, by: str) -> None:
    """The case goes on under whatever there is now, whoever takes it. Raises `Conflict` if it is over."""
    case = _unfinished(ledger, case_id)
    if case.held or case.release:
        case.held = case.release = ""
        _note(ledger, case, "case.let_go", {"by": by})


def finish_old(ledger: Ledger, case_id: str, by: str) -> str:
    """Only workers of the release that it ran with take the case from now on. Returns which one that is.

    Raises `Conflict` if it is over, or if nobody noted what it ran with.
    """
    case = _unfinished(ledger, case_id)
    release = str(case.made_with.get("release", ""))
    if not release:
        raise Conflict(
            f"Nobody knows which release {case.id} ran with.", hint="Let it go on, or hold it.", present=case.status
        )
    case.held, case.release = "", release
    _note(ledger, case, "case.bound", {"release": release, "by": by})
    return release


def at_work(ledger: Ledger, release: str, lease: timedelta) -> list[str]:
    """Names of the workers of a release that are alive and take cases."""
    rows = ledger.workers.everyone()
    return [row.id for row in rows if row.release == release and not row.draining and ledger.workers.alive(row, lease)]


def _unfinished(ledger: Ledger, case_id: str) -> CaseRow:
    case = ledger.cases.get(case_id, lock=True)
    if case.status in FINISHED:
        raise Conflict(f"The case {case.id} is {case.status}.", present=case.status)
    return case


def _note(ledger: Ledger, case: CaseRow, entry: str, body: dict[str, Any]) -> None:
    case.version += 1
    ledger.session.add(case)
    ledger.trace.add(case.id, entry, body)
    ledger.audit.append(entry, body, case_id=case.id)
