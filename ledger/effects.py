"""Actions, what policy said of them, and the effects ledger: one run for each action, ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from core.actions import ProposedAction
from core.errors import NotFound
from core.ports import Count
from core.states import RunStatus
from core.verdicts import Verdict
from ledger.tables import ActionRow, DecisionRow, RunRow


class Effects:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    # actions

    def propose(
        self, action: ProposedAction, *, effect: str, described: str, edited_from: str | None = None
    ) -> ActionRow:
        """Stores the action under its content address, once."""
        row = self._session.get(ActionRow, action.id)
        if row is None:
            row = ActionRow(
                id=action.id,
                created_at=self._now,
                effect=effect,
                described=described,
                edited_from=edited_from,
                **action.model_dump(),
            )
            self._session.add(row)
            self._session.flush()
        return row

    def action(self, action_id: str) -> ActionRow:
        row = self._session.exec(select(ActionRow).where(ActionRow.id == action_id)).first()
        if row is None:
            raise NotFound(f"There is no action '{action_id[:70]}'.")
        return row

    def at_step(self, case_id: str, step_key: str) -> list[ActionRow]:
        """What was proposed at a plan step, edits included."""
        found = select(ActionRow).where(ActionRow.case_id == case_id, ActionRow.step_key == step_key)
        return list(self._session.exec(found.order_by(col(ActionRow.created_at))))

    def actions(self, case_id: str) -> list[ActionRow]:
        found = select(ActionRow).where(ActionRow.case_id == case_id)
        return list(self._session.exec(found.order_by(col(ActionRow.created_at))))

    @staticmethod
    def proposed(row: ActionRow) -> ProposedAction:
        """The action as it was proposed, rebuilt from the store."""
        return ProposedAction.model_validate(row.model_dump(include=set(ProposedAction.model_fields)))

    # decisions

    def decided(self, action_id: str, stage: str, verdict: Verdict) -> None:
        body = verdict.model_dump(mode="json")
        self._session.add(
            DecisionRow(action_id=action_id, stage=stage, verdict=verdict.verdict, body=body, at=self._now)
        )

    def decisions(self, action_id: str) -> list[DecisionRow]:
        found = select(DecisionRow).where(DecisionRow.action_id == action_id)
        return list(self._session.exec(found.order_by(col(DecisionRow.id))))

    # runs

    def run(self, action_id: str) -> RunRow | None:
        return self._session.exec(select(RunRow).where(RunRow.action_id == action_id)).first()

    def runs(self, case_id: str) -> list[RunRow]:
        found = select(RunRow).where(RunRow.case_id == case_id)
        return list(self._session.exec(found.order_by(col(RunRow.started_at))))

    def reserve(self, run: RunRow) -> None:
        """Inserts the run. From here on the action counts as in flight."""
        self._session.add(run)
        self._session.flush()

    def all_runs(self, after: str = "", limit: int = 1000) -> list[RunRow]:
        found = select(RunRow).where(RunRow.action_id > after).order_by(col(RunRow.action_id)).limit(limit)
        return list(self._session.exec(found))

    def orphaned(self, worker: str) -> list[RunRow]:
        """Runs that other workers left in the air and whose lease is not over."""
        found = select(RunRow).where(RunRow.status == RunStatus.INTENT, RunRow.worker != worker)
        return list(self._session.exec(found))

    def earlier(self, count: Count, action: ProposedAction, subject: str) -> list[dict[str, Any]]:
        """Arguments of the runs that a count looks at: done ones, and those in flight if it includes them."""
        states: Sequence[str] = [
            status
            for name, status in (("done", RunStatus.DONE), ("in_flight", RunStatus.INTENT))
            if name in count.include
        ]
        if "in_flight" in count.include:
            states = [*states, RunStatus.UNKNOWN]
        found = (
            select(ActionRow.args)
            .join(RunRow, col(RunRow.action_id) == col(ActionRow.id))
            .where(col(RunRow.tool).in_(count.tools), col(RunRow.status).in_(states))
            .where(RunRow.action_id != action.id)
            .where(col(RunRow.started_at) > self._now - timedelta(seconds=count.window_s))
        )
        if count.per == "customer":
            found = found.where(RunRow.subject == subject)
        elif count.per == "agent":
            found = found.where(RunRow.proposer == action.proposer)
        elif count.per == "case":
            found = found.where(RunRow.case_id == action.case_id)
        rows = [dict(args) for args in self._session.exec(found)]
        if count.per.startswith("args."):
            path = count.per.removeprefix("args.").split(".")
            rows = [args for args in rows if _at(args, path) == _at(action.args, path)]
        return rows


def _at(args: Any, path: list[str]) -> Any:
    for part in path:
        args = args.get(part) if isinstance(args, dict) else None
    return args
