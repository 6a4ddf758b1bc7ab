"""Queries built once. Building one costs twice what running it does, and a case takes many.

The workspace is put to every prepared query here, and to every other one by the session: no author of
a query can forget it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import bindparam, or_
from sqlalchemy.sql.util import find_tables
from sqlmodel import Session

from ledger.tables import SYSTEM

R = TypeVar("R")

SCOPED = "scoped"
"""Execution option of a statement that carries its workspace already."""


def held(table: Any) -> Any:
    """The criterion that holds a statement to the workspace in its parameter `within`."""
    workspace = bindparam("within", type_=table.c.workspace.type)
    return or_(table.c.workspace == workspace, workspace == SYSTEM)


class Prepared(Generic[R]):
    """A select whose parameters are `bindparam`s. Its first table holds it to the session's workspace."""

    def __init__(self, statement: Any, *, by_workspace: bool = False) -> None:
        """`by_workspace` where the index to take begins with the workspace. Elsewhere SQLite, which knows nothing of
        the rows, would take such a one for the workspace's sake, and read all of them."""
        table = find_tables(statement.get_final_froms()[0], include_joins=True)[0]
        while hasattr(table, "left"):
            table = table.left
        self._everywhere = statement.execution_options(**{SCOPED: True})
        within = bindparam("within", type_=table.c.workspace.type)
        own = table.c.workspace == within if by_workspace else held(table)  # an "or" is beyond every index
        self._statement = self._everywhere.where(own)
        self._single = len(self._statement.column_descriptions) == 1

    def all(self, session: Session, **params: Any) -> Sequence[R]:
        rows: Sequence[R] = self._run(session, params).all()
        return rows

    def first(self, session: Session, **params: Any) -> R | None:
        found: R | None = self._run(session, params).first()
        return found

    def _run(self, session: Session, params: dict[str, Any]) -> Any:
        workspace = session.info["workspace"]
        if workspace == SYSTEM:
            result = session.execute(self._everywhere, params)
        else:
            result = session.execute(self._statement, {**params, "within": workspace})
        return result.scalars() if self._single else result
