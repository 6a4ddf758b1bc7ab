"""The servers beside this machine's tests: a PostgreSQL of its own for each story, and NATS JetStream.

Where they are: COUNTERSIGN_TEST_POSTGRES and COUNTERSIGN_TEST_NATS, or the usual ports of this machine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

POSTGRES = os.environ.get("COUNTERSIGN_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
NATS = os.environ.get("COUNTERSIGN_TEST_NATS", "nats://127.0.0.1:4222")


def answers(url: str) -> bool:
    """Whether somebody listens there."""
    where = urlsplit(url)
    try:
        socket.create_connection((where.hostname or "127.0.0.1", where.port or 0), timeout=2).close()
    except OSError:
        return False
    return True


@contextmanager
def fresh_database(template: str = "") -> Iterator[str]:
    """Address of an empty database, or of a copy of another one; dropped afterwards, whoever is connected still."""
    name = f"cs_{uuid4().hex[:16]}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        made = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            of = urlsplit(template).path.lstrip("/")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [of])
            made += sql.SQL(" TEMPLATE {}").format(sql.Identifier(of))
        admin.execute(made)
    try:
        yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _needs(url: str, what: str, variable: str) -> pytest.MarkDecorator:
    """Skips a story where nobody answers; in CI it is run all the same, and fails there."""
    missing = os.environ.get("COUNTERSIGN_TEST_SERVERS") != "required" and not answers(url)
    return pytest.mark.skipif(missing, reason=f"no {what} here: bash .ci/servers start FOLDER, or set {variable}")


needs_postgres = _needs(POSTGRES, "PostgreSQL", "COUNTERSIGN_TEST_POSTGRES")
needs_nats = _needs(NATS, "NATS", "COUNTERSIGN_TEST_NATS")
