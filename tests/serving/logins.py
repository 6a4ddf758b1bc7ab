"""Logins on the test's PostgreSQL server, each with one part in the house."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from pydantic import SecretStr

from core.clock import Clock
from core.key_settings import KeySettings
from core.settings import DatabaseSettings, Settings
from graphs.kind import TaskKind
from ledger.roles import AGENTS, DESK, EXECUTOR
from serving.commands.roles import prepare
from tests.support.servers import POSTGRES
from tests.support.till import RING
from tests.support.till_kind import KIND


@dataclass(frozen=True)
class Logins:
    """Addresses of one database, for each of those who come to it."""

    owner: str
    desk: str
    agents: str
    executor: str


async def with_roles(
    folder: Path, server: str, kinds: Mapping[str, TaskKind] | None = None, clock: Clock | None = None
) -> None:
    """What an operator does before the first start: `countersign roles`, for the till."""
    await prepare(
        Settings(data=folder, database=DatabaseSettings(url=SecretStr(server)), keys=KeySettings(ring=SecretStr(RING))),
        kinds=kinds or {"till": KIND},
        clock=clock,
    )


@contextmanager
def logins(server: str) -> Iterator[Logins]:
    """Once there are roles."""
    suffix = uuid4().hex[:12]
    names = {role: f"{role}_{suffix}" for role in (DESK, AGENTS, EXECUTOR)}
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        for role, name in names.items():
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(sql.Identifier(name), sql.Identifier(role)))
        try:
            yield Logins(server, *(_as(server, names[role]) for role in (DESK, AGENTS, EXECUTOR)))
        finally:
            for name in names.values():
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _as(server: str, name: str) -> str:
    where = urlsplit(server)
    return where._replace(netloc=f"{name}@{where.hostname}:{where.port}").geturl()
