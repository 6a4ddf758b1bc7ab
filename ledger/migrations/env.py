"""Alembic's entry point: runs the migrations in one transaction, so that a ledger is of one version or the other."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event
from sqlmodel import SQLModel

import ledger.process_tables  # noqa: F401 - fills the metadata that autogenerate compares with

engine = create_engine(str(context.config.get_main_option("sqlalchemy.url")))

if engine.dialect.name == "sqlite":  # its driver would commit each change of a table by itself

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 30000")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


with engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True, transactional_ddl=True
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
