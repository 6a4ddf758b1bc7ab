"""A ledger in each kind of database, and the scenes in which somebody tries to get a run past its second guard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, column, create_engine, insert, inspect, text
from sqlalchemy import table as bare_table
from sqlalchemy.exc import OperationalError

from core.actions import ProposedAction
from core.clock import FakeClock
from core.ids import digest
from core.states import Desired, ReviewStatus, RunStatus
from core.verdicts import Allow, BookRef, Deny, Review, ReviewerSet
from ledger.database import Database, Ledger, sqlite_database
from ledger.migrate import migrate, migrate_server
from ledger.tables import SYSTEM, DecisionRow, ReviewRow, Row, RunRow, VoteRow
from tests.support.folders import quick_folder

POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432/test"
BOOK = BookRef(policy="p", version="1", digest="0" * 64)
DESK = ReviewerSet(group="desk", role="clerk", people=1, within_s=3600)
BOSSES = ReviewerSet(group="bosses", role="boss", people=2, within_s=7200)


@dataclass
class Server:
    """A database with a ledger in it; `migrate` takes it to another version."""

    name: str
    database: Database
    migrate: Callable[[str], str]
    clock: FakeClock

    @property
    def engine(self) -> Engine:
        return self.database.engine

    def sql(self, statement: str, **params: Any) -> int:
        """How many rows it changed."""
        with self.engine.begin() as connection:
            return connection.execute(text(statement), params).rowcount

    def value(self, statement: str, **params: Any) -> Any:
        with self.engine.begin() as connection:
            return connection.execute(text(statement), params).scalar()


@contextmanager
def sqlite_server(to: str = "head") -> Iterator[Server]:
    with quick_folder() as folder:
        path, clock = folder / "ledger.db", FakeClock()
        migrate(path, to)
        database = sqlite_database(path, clock)
        yield Server("sqlite", database, lambda version: migrate(path, version, lose=True), clock)
        database.close()


@cache
def no_postgres() -> str:
    """Why there is none, if there is none."""
    try:
        with create_engine(POSTGRES, connect_args={"connect_timeout": 2}).connect():
            return ""
    except (OperationalError, ImportError) as error:
        return f"no PostgreSQL server answers at {POSTGRES.partition('@')[2]}: {str(error).splitlines()[0][:80]}"


@contextmanager
def postgres_server(to: str = "head") -> Iterator[Server]:
    """In a schema of its own, which is dropped at the end."""
    schema, clock = f"guarded_{uuid4().hex[:12]}", FakeClock()
    url = f"{POSTGRES}?options=-csearch_path%3D{schema}"
    admin = create_engine(POSTGRES)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    try:
        migrate_server(url, to)
        database = Database(create_engine(url), clock)
        yield Server("postgresql", database, lambda version: migrate_server(url, version, lose=True), clock)
        database.close()
    finally:
        with admin.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        admin.dispose()


SERVERS = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.skipif(bool(no_postgres()), reason=no_postgres())),
]


def open_server(name: str, to: str = "head") -> AbstractContextManager[Server]:
    return sqlite_server(to) if name == "sqlite" else postgres_server(to)


_numbers = count(1)


@dataclass
class Scene:
    """An action of a case in a workspace of its own, proposed by an agent, on the way to its run."""

    server: Server
    asked: Sequence[ReviewerSet] = ()
    """Whom policy asks when it is about to run; nobody: it allows it."""
    opened_by: str = "ops"
    proposer: str = "agent"
    workspace: str = field(default_factory=lambda: f"w{next(_numbers)}")
    case: str = ""
    review: str = ""

    def __post_init__(self) -> None:
        self.action = self.do(self._propose)
        self.book: Allow | Review | Deny = self.says(*self.asked)
        if self.asked:
            self.review = self.do(self._open)

    # the true way

    def _propose(self, ledger: Ledger) -> ProposedAction:
        row, _ = ledger.cases.open(kind="k", payload={}, subject="cus_1", opened_by=self.opened_by, request_key=None)
        self.case = row.id
        return self.another(ledger)

    def another(self, ledger: Ledger, **args: Any) -> ProposedAction:
        """Another action of the same step, if its arguments are others."""
        action = ProposedAction(
            workspace=self.workspace, case_id=self.case, kind="k", tool="pay", schema_version=1, args=args,
            proposer=self.proposer, step_key="1.0",
        )  # fmt: skip
        ledger.effects.propose(action, effect="irreversible", described="")
        ledger.effects.decided(action.id, "gate", Allow(reason="", book=BOOK))
        return action

    def _open(self, ledger: Ledger, action: str = "") -> str:
        verdict = Review(reason="", book=BOOK, reviewers=tuple(self.asked))
        row = ledger.reviews.open(
            case_id=self.case, action_id=action or self.action.id, interrupt_id="i", verdict=verdict
        )
        return row.id

    @staticmethod
    def says(*asked: ReviewerSet) -> Allow | Review:
        return Review(reason="", book=BOOK, reviewers=asked) if asked else Allow(reason="", book=BOOK)

    def votes(self, **people: str) -> Scene:
        """Each of them has these roles, votes and approves: `ann="clerk boss"`."""
        for name, roles in people.items():
            self.person(name, roles)
            self.vote(name, roles)
        return self

    def person(self, name: str, roles: str) -> None:
        self.server.database.transact(SYSTEM, lambda ledger: ledger.people.add(self.workspace, name, _set(roles)))

    def vote(self, name: str, roles: str, **changes: Any) -> None:
        row = {
            "workspace": self.workspace, "review_id": self.review, "action_id": self.action.id, "person": name,
            "roles": sorted(_set(roles)), "choice": "approve", "seen": "", "at": self.server.clock.now(),
            "reason_code": "", "note": "", "dwell_s": 0, "request_key": "",
        }  # fmt: skip
        self.insert(VoteRow, row | changes)

    def decided(self, status: ReviewStatus = ReviewStatus.APPROVED) -> Scene:
        """What came of the review."""

        def settle(ledger: Ledger) -> None:
            ledger.reviews.settle(ledger.reviews.get(self.review), status)

        self.do(settle)
        return self

    def hand_over(self, *late: int) -> Scene:
        """These sets were late, or all of them; who takes over is asked."""

        def step(ledger: Ledger) -> None:
            review = ledger.reviews.get(self.review)
            ledger.reviews.hand_over(review, late or range(len(self.asked)))
            review.due_at = ledger.now + timedelta(hours=1)

        self.server.clock.advance(timedelta(hours=1))
        self.do(step)
        return self

    def run(self, asked: Sequence[ReviewerSet] | None = None, **changes: Any) -> int:
        """Decides again and inserts the run, both by bare statements in one transaction.

        `asked` is whom policy asks now, also where no policy could ask like that.
        """
        decision = self.decision()
        if asked is not None:
            decision["body"]["reviewers"] = [each.model_dump(mode="json") for each in asked]
        with self.server.engine.begin() as connection:
            return self.put(connection, self.run_row() | changes, decision)

    def put(self, connection: Connection, run: dict[str, Any], decision: dict[str, Any] | None = None) -> int:
        connection.execute(insert(DecisionRow), decision or self.decision())
        return self._count(connection, RunRow, run)

    # pieces

    def do(self, step: Callable[[Ledger], Any]) -> Any:
        return self.server.database.transact(self.workspace, step)

    def insert(self, table: type[Row], row: dict[str, Any]) -> int:
        with self.server.engine.begin() as connection:
            return self._count(connection, table, row)

    @staticmethod
    def _count(connection: Connection, table: type[Row], row: dict[str, Any]) -> int:
        """With the columns that there are: the ledger may be of an older version."""
        there = {each["name"] for each in inspect(connection).get_columns(str(table.__tablename__))}
        columns = [column(each.name, each.type) for each in table.__table__.c if each.name in there]  # type: ignore[attr-defined]
        known = insert(bare_table(str(table.__tablename__), *columns))
        row = {name: value for name, value in row.items() if name in there}
        return connection.execute(known, row, execution_options={"preserve_rowcount": True}).rowcount

    def decision(self, stage: str = "execute", at: datetime | None = None) -> dict[str, Any]:
        body = self.book.model_dump(mode="json")
        return {
            "workspace": self.workspace, "action_id": self.action.id, "stage": stage, "verdict": self.book.verdict,
            "body": body, "at": at or self.server.clock.now(),
        }  # fmt: skip

    def run_row(self) -> dict[str, Any]:
        row = RunRow(
            workspace=self.workspace, action_id=self.action.id, case_id=self.case, key=self.action.effect_key,
            tool="pay", args_digest=digest({}), subject="cus_1", proposer=self.proposer, status=RunStatus.INTENT,
            worker="w", gated=self.book.verdict == "review", started_at=self.server.clock.now(),
        )  # fmt: skip
        return row.model_dump()

    def review_row(self, **changes: Any) -> dict[str, Any]:
        found: ReviewRow = self.do(lambda ledger: ledger.reviews.get(self.review))
        return {name: getattr(found, name) for name in ReviewRow.model_fields} | changes

    def want(self, desired: Desired) -> None:
        self.server.sql('UPDATE "case" SET desired = :to WHERE id = :id', to=str(desired), id=self.case)

    def runs(self) -> int:
        return int(self.server.value("SELECT count(*) FROM run WHERE workspace = :w", w=self.workspace))


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())
