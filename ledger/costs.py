"""What a case costs: postings in minor units, each once, by component."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from core.money import Money
from ledger.pen import Pen
from ledger.tables import CaseRow, CostRow


class Costs:
    def __init__(self, session: Session, now: datetime, pen: Pen) -> None:
        self._session = session
        self._now = now
        self._pen = pen

    def post(
        self,
        *,
        key: str,
        case_id: str,
        component: str,
        amount: Money,
        quantity: int = 0,
        unit: str = "",
        workspace: str = "",
    ) -> None:
        """Posts once for each key; nothing for a copy of a case. Fees collected are negative."""
        case = self._session.get(CaseRow, case_id)
        if case is not None and case.simulated:
            return
        row = {
            "workspace": workspace,
            "key": key,
            "case_id": case_id,
            "component": component,
            "amount_minor": amount.amount_minor,
            "currency": amount.currency,
            "quantity": quantity,
            "unit": unit,
            "at": self._now,
        }
        self._pen.add(CostRow, row)

    def of_case(self, case_id: str) -> list[CostRow]:
        return list(self._session.exec(select(CostRow).where(CostRow.case_id == case_id).order_by(col(CostRow.id))))

    def keys_of_case(self, case_id: str) -> set[str]:
        """What was posted, by the events that caused it."""
        return set(self._session.exec(select(CostRow.key).where(CostRow.case_id == case_id)))
