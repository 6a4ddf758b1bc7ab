"""What a case costs: postings in minor units, each once, by component."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
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
        """Posts once for each key. Fees collected are negative."""
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

    def by_component(self, kind: str = "") -> dict[tuple[str, str], tuple[int, int]]:
        """(component, currency) to (minor units, postings), over all cases or those of one kind."""
        found = select(CostRow.component, CostRow.currency, func.sum(CostRow.amount_minor), func.count())
        if kind:
            found = found.join(CaseRow, col(CaseRow.id) == col(CostRow.case_id)).where(CaseRow.kind == kind)
        found = found.group_by(CostRow.component, CostRow.currency)
        return {(part, currency): (int(total), int(n)) for part, currency, total, n in self._session.exec(found)}
