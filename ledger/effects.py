"""Actions, what policy said of them, and the effects ledger: one run for each action, ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, bindparam, text, update
from sqlmodel import Session, col, select

from core.actions import Effect, ProposedAction
from core.errors import Conflict, Erased, NotFound
from core.personal import texts
from core.ports import Count
from core.sealing import ERASED
from core.states import RunStatus
from core.verdicts import Verdict
from ledger.columns import UtcTime
from ledger.pen import Pen
from ledger.prepared import SCOPED, Prepared, held
from ledger.tables import ActionRow, CaseRow, DecisionRow, RunRow

_ACTION: Prepared[ActionRow] = Prepared(select(ActionRow).where(ActionRow.id == bindparam("id")))
_ACTIONS: Prepared[ActionRow] = Prepared(
    select(ActionRow).where(ActionRow.case_id == bindparam("case")).order_by(col(ActionRow.created_at))
)
_WHOLE: Prepared[tuple[ActionRow, dict[str, Any], RunRow | None]] = Prepared(
    select(ActionRow, CaseRow.payload, RunRow)
    .join(CaseRow, col(CaseRow.id) == col(ActionRow.case_id))
    .outerjoin(RunRow, col(RunRow.action_id) == col(ActionRow.id))
    .where(ActionRow.id == bindparam("id"))
)
_DECISIONS: Prepared[DecisionRow] = Prepared(
    select(DecisionRow).where(DecisionRow.action_id == bindparam("action")).order_by(col(DecisionRow.id))
)
_RUN: Prepared[RunRow] = Prepared(select(RunRow).where(RunRow.action_id == bindparam("id")))
_ANOTHER: Prepared[str] = Prepared(
    select(RunRow.action_id)
    .join(ActionRow, col(ActionRow.id) == col(RunRow.action_id))
    .where(RunRow.subject == bindparam("subject"), RunRow.action_id != bindparam("id"))
    .where(ActionRow.effect == Effect.IRREVERSIBLE, col(RunRow.simulated).is_(False))
    .where((col(RunRow.status) == RunStatus.INTENT) | (col(RunRow.finished_at) > bindparam("since", type_=UtcTime)))
)


def _earlier(*same: Any) -> Prepared[tuple[dict[str, Any], dict[str, Any]]]:
    return Prepared(
        select(ActionRow.args, RunRow.counted_by)
        .join(RunRow, col(RunRow.action_id) == col(ActionRow.id))
        .where(col(RunRow.tool).in_(bindparam("tools", expanding=True)))
        .where(col(RunRow.status).in_(bindparam("states", expanding=True)))
        .where(col(RunRow.simulated).is_(False))
        .where(RunRow.action_id != bindparam("id"), col(RunRow.started_at) > bindparam("since", type_=UtcTime))
        .where(*(column == bindparam("same") for column in same))
    )


_EARLIER = {
    "customer": _earlier(RunRow.subject),
    "agent": _earlier(RunRow.proposer),
    "case": _earlier(RunRow.case_id),
    "": _earlier(),
}
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('countersign runs'), hashtext(:workspace))")
_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_FINISH = (
    update(_RUNS)
    .where(_RUNS.c.action_id == bindparam("run"), held(_RUNS))
    .where(_RUNS.c.status.in_([RunStatus.INTENT, RunStatus.UNKNOWN]))
    .values({name: bindparam(name) for name in ("status", "result", "reason", "finished_at")})
    .execution_options(**{SCOPED: True})
)


class Effects:
    def __init__(self, session: Session, now: datetime, pen: Pen) -> None:
        self._session = session
        self._now = now
        self._pen = pen

    # actions

    def propose(self, action: ProposedAction, *, effect: str, described: str, edited_from: str | None = None) -> None:
        """Stores the action under its content address, once."""
        row = action.model_dump() | {
            "id": action.id,
            "created_at": self._now,
            "effect": effect,
            "described": described,
            "edited_from": edited_from,
        }
        self._pen.insert(ActionRow, [row])

    def action(self, action_id: str) -> ActionRow:
        """Raises `NotFound`."""
        row = _ACTION.first(self._session, id=action_id)
        if row is None:
            raise NotFound(f"There is no action '{action_id[:70]}'.")
        return row

    def action_by_prefix(self, beginning: str) -> ActionRow:
        """The one action whose id begins like this. Raises `NotFound`, or `Conflict` where several do."""
        begins = select(ActionRow).where(col(ActionRow.id).startswith(beginning, autoescape=True)).limit(2)
        rows = list(self._session.exec(begins))
        if not rows:
            raise NotFound(f"There is no action '{beginning[:70]}'.", hint="countersign cases CASE shows a case's.")
        if len(rows) > 1:
            raise Conflict(f"Several actions begin with '{beginning[:70]}'.", hint="Give more of it.")
        return rows[0]

    def whole(self, action_id: str) -> tuple[ActionRow, dict[str, Any], RunRow | None]:
        """An action, its case's payload and its run. Raises `NotFound`."""
        found = _WHOLE.first(self._session, id=action_id)
        if found is None:
            raise NotFound(f"There is no action '{action_id[:70]}'.")
        return found

    def actions(self, case_id: str) -> list[ActionRow]:
        return list(_ACTIONS.all(self._session, case=case_id))

    @staticmethod
    def proposed(row: ActionRow) -> ProposedAction:
        """The action as it was proposed, rebuilt from the store.

        Raises `Conflict` if it is not what its id says, and `Erased` where that can't be told any more.
        """
        action = ProposedAction.model_validate(row.model_dump(include=set(ProposedAction.model_fields)))
        if action.id != row.id:
            if ERASED in texts(row.args):
                raise Erased("What this action says was erased.", hint="Its case's data was erased.", present="erased")
            raise Conflict(f"The stored action {row.id} was changed.", hint="Look at the database: somebody wrote it.")
        return action

    # decisions

    def decided(self, action_id: str, stage: str, verdict: Verdict) -> None:
        row = {
            "action_id": action_id,
            "stage": stage,
            "verdict": verdict.verdict,
            "body": verdict.model_dump(mode="json"),
            "at": self._now,
        }
        self._pen.add(DecisionRow, row)

    def decisions(self, action_id: str) -> list[DecisionRow]:
        return list(_DECISIONS.all(self._session, action=action_id))

    # runs

    def run(self, action_id: str) -> RunRow | None:
        return _RUN.first(self._session, id=action_id)

    def runs(self, case_id: str) -> list[RunRow]:
        found = select(RunRow).where(RunRow.case_id == case_id)
        return list(self._session.exec(found.order_by(col(RunRow.started_at))))

    def one_at_a_time(self) -> None:
        """Until this transaction ends nobody else reserves in this workspace: policy's counts hold between cases too.

        SQLite has one writer at a time anyway.
        """
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.connection().execute(_ALONE, {"workspace": self._session.info["workspace"]})

    def reserve(self, run: RunRow) -> bool:
        """Inserts the run; from here on the action counts as in flight. False if it has one already.

        The database looks for the decision that lets it (`ledger/guards.py`), so that is written first.
        """
        self._pen.write(DecisionRow)
        return self._pen.insert(RunRow, [run.model_dump()]) == 1

    def finish(self, action_id: str, status: RunStatus, result: dict[str, Any], reason: str) -> bool:
        """Closes the run of an action. False if it has none, or one that was closed before."""
        values: dict[str, Any] = {"result": result, "reason": reason}
        if (keys := self._session.info.get("keys")) is not None:
            values = keys.own_values(self._session, action_id, values)
        params = {"run": action_id, "within": self._session.info["workspace"], **values}
        params |= {"status": status, "finished_at": self._now}
        closed: CursorResult[Any] = self._session.execute(_FINISH, params)  # type: ignore[assignment]
        return closed.rowcount == 1

    def another(self, subject: str, action_id: str, since: datetime) -> bool:
        """Whether another irreversible effect for this subject is under way, or ended since then."""
        return _ANOTHER.first(self._session, subject=subject, id=action_id, since=since) is not None

    def all_runs(self, after: str = "", limit: int = 1000) -> list[RunRow]:
        found = select(RunRow).where(RunRow.action_id > after).order_by(col(RunRow.action_id)).limit(limit)
        return list(self._session.exec(found))

    def adrift(self, grace: timedelta) -> list[RunRow]:
        """Runs whose lease has been over for a while: nobody is going to tell what came of them."""
        found = select(RunRow).where(RunRow.status == RunStatus.INTENT, col(RunRow.lease_until) < self._now - grace)
        return list(self._session.exec(found))

    def unknown(self, limit: int = 1000) -> list[RunRow]:
        """Runs of which nobody knows what came of them, the oldest first."""
        found = select(RunRow).where(RunRow.status == RunStatus.UNKNOWN).order_by(col(RunRow.started_at)).limit(limit)
        return list(self._session.exec(found))

    def orphaned(self, worker: str) -> list[RunRow]:
        """Runs that other workers left in the air and whose lease is not over."""
        found = select(RunRow).where(RunRow.status == RunStatus.INTENT, RunRow.worker != worker)
        return list(self._session.exec(found))

    def earlier(self, count: Count, action: ProposedAction, subject: str, fact: Any = None) -> list[dict[str, Any]]:
        """Arguments of the runs that a count looks at: done ones, and those in flight if it includes them.

        `fact` is what the fact that it counts by is for the action at hand.
        """
        states: Sequence[str] = [
            status
            for name, status in (("done", RunStatus.DONE), ("in_flight", RunStatus.INTENT))
            if name in count.include
        ]
        if "in_flight" in count.include:
            states = [*states, RunStatus.UNKNOWN]
        held_equal = {"customer": subject, "agent": action.proposer, "case": action.case_id}
        found = _EARLIER.get(count.per, _EARLIER[""]).all(
            self._session,
            id=action.id,
            tools=list(count.tools),
            states=states,
            since=self._now - timedelta(seconds=count.window_s),
            same=held_equal.get(count.per, ""),
        )
        if count.fact:
            return [dict(args) for args, counted_by in found if counted_by.get(count.fact) == fact]
        rows = [dict(args) for args, _ in found]
        if count.per.startswith("args."):
            path = count.per.removeprefix("args.").split(".")
            rows = [args for args in rows if _at(args, path) == _at(action.args, path)]
        return rows


def _at(args: Any, path: list[str]) -> Any:
    for part in path:
        args = args.get(part) if isinstance(args, dict) else None
    return args
