"""Roles of a PostgreSQL server: what each process of the house may do to the records, held by the server itself.

    countersign_desk       the API: takes cases, decisions and votes of people; has no effects
    countersign_agents     workers: propose, record and ask; neither votes nor runs
    countersign_executor   the executor: decides again and runs what people let; neither votes nor proposes

Each is a group; a process's login is a member of one. The owner of the tables may do everything: it migrates, trusts
keys, installs policy, and makes these roles. A role gets columns by what they hold, so that who opened a case, and what
was asked in it, does not change under those who decide on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import text
from sqlmodel import SQLModel

from ledger.database import Database
from ledger.trouble import explained

DESK, AGENTS, EXECUTOR = "countersign_desk", "countersign_agents", "countersign_executor"
ROLES = (DESK, AGENTS, EXECUTOR)
QUEUE_SCHEMA = "dbos"
CHECKPOINTS = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
_VERSIONS = ("alembic_version", "checkpoint_migrations")

THREADS = ("thread", "thread_run", "thread_event", "thread_answer", "thread_seen")
"""Conversations are the API's: no worker starts one, and no executor reads one."""

ALL = ("*",)
"""Each column."""

_OF_CASE = ("id", "workspace", "kind", "subject", "payload", "payload_digest", "opened_by", "opened_at", "request_key")
"""What a case is: it stays as whoever opened it said."""
_OF_PEOPLE = ("desired", "priority", "release", "held", "simulated", "forked_from")
"""What people want of it."""
_ASKED = ("id", "workspace", "case_id", "action_id", "facts", "book", "opened_at", "edited_to")


def _columns(table: str, without: Iterable[str]) -> tuple[str, ...]:
    kept = set(without)
    return tuple(column.name for column in SQLModel.metadata.tables[table].columns if column.name not in kept)


_COMMON_INSERTS = ("trace", "audit", "audit_head", "cost", "outbox", "data_key")

_INSERTS: Mapping[str, Sequence[str]] = {
    DESK: (
        *_COMMON_INSERTS,
        *("case", "inbox", "action", "decision", "review", "vote", "timer", "person", "token", "identity"),
        "policy_draft",
        *("worker", "source", "arrival", "request_key"),
        *("escalation", "saved_filter"),
        *THREADS,
    ),
    AGENTS: (
        *_COMMON_INSERTS,
        *("inbox", "action", "decision", "review", "timer", "worker", "source", "arrival"),
    ),
    # Governing is an effect too: the triggers below ask for the run that publishes or grants.
    EXECUTOR: (*_COMMON_INSERTS, "decision", "run", "policy", "person", "worker"),
}


def _updates() -> dict[str, dict[str, Sequence[str]]]:
    common: dict[str, Sequence[str]] = {"audit_head": ("seq", "hash"), "worker": ALL}
    return {
        DESK: {
            **common,
            "case": _columns("case", (*_OF_CASE, "simulated", "forked_from")),
            "inbox": ("payload", "processed_at", "note"),
            "review": _columns("review", ("id", "workspace", "case_id", "action_id", "opened_at")),
            "timer": ("fired_at", "due_at"),
            "person": ("roles", "active", "kept_by", "keepers"),
            "token": ("revoked_at", "last_used_at"),
            "identity": ("seen_at",),
            "request_key": ("status", "headers", "answer", "cases"),
            "escalation": ("undone_at",),
            "saved_filter": ("wanted", "saved_by", "saved_at"),
            **dict.fromkeys(("outbox", "source", "arrival", *THREADS), ALL),
        },
        AGENTS: {
            **common,
            "case": _columns("case", (*_OF_CASE, *_OF_PEOPLE)),
            "inbox": ("payload", "processed_at", "note"),
            "review": _columns("review", _ASKED),
            "timer": ("fired_at", "due_at"),
            **dict.fromkeys(("outbox", "source", "arrival"), ALL),
        },
        EXECUTOR: {
            **common,
            "case": ("version", "events_out"),  # to lock it
            "review": ("status", "decided_at", "version"),
            "run": ("status", "result", "reason", "finished_at", "worker", "lease_until", "attempts"),
            "person": ("roles", "active", "kept_by"),
        },
    }


_DELETES: Mapping[str, Sequence[str]] = {
    DESK: ("arrival", "worker", "saved_filter", *THREADS),
    AGENTS: ("arrival", "worker"),
    EXECUTOR: (),
}
"""Rows that have done their work. Housekeeping, which deletes more, is the owner's (`keeps_house`)."""

_UNSEEN: Mapping[str, frozenset[str]] = {
    DESK: frozenset({"signing_key"}),
    AGENTS: frozenset({"token", "identity", "signing_key", "policy_draft", "request_key", *THREADS}),
    EXECUTOR: frozenset({"token", "identity", "source", "arrival", "request_key", *THREADS}),
}


def statements(schema: str = "public") -> list[str]:
    """SQL for the owner of the tables, to be run in one transaction, any number of times."""
    # Before version 15 PostgreSQL let everybody make tables there.
    closed = f'REVOKE CREATE ON SCHEMA "{schema}" FROM PUBLIC'
    return [closed, *_groups(), *_triggers(schema), *(line for role in ROLES for line in _grants(role, schema))]


def give(database: Database) -> None:
    """Makes the roles and what they may, in one step. Raises `SetupError` where this login may not.

    Processes that are at work go on: none of them loses for a moment what it had.
    """
    with explained(), database.engine.begin() as connection:
        schema = str(connection.execute(text("SELECT current_schema()")).scalar_one())
        for line in statements(schema):
            connection.exec_driver_sql(line)


def keeps_house(database: Database) -> bool:
    """Whether this process's login may delete what is no longer needed: on a server with roles only the owner may."""
    if database.engine.dialect.name != "postgresql":
        return True
    with explained(), database.engine.connect() as connection:
        return bool(connection.execute(text("SELECT has_table_privilege('trace', 'DELETE')")).scalar_one())


def _groups() -> Iterator[str]:
    for role in ROLES:
        yield (
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )


def _grants(role: str, schema: str) -> Iterator[str]:
    tables = [name for name in SQLModel.metadata.tables if name not in _UNSEEN[role]]
    yield f'REVOKE ALL ON ALL TABLES IN SCHEMA "{schema}" FROM {role}'
    yield f'GRANT USAGE ON SCHEMA "{schema}" TO {role}'
    yield f'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA "{schema}" TO {role}'
    yield f"GRANT SELECT ON {_named(schema, tables)} TO {role}"
    yield f"GRANT INSERT ON {_named(schema, _INSERTS[role])} TO {role}"
    for table, columns in _updates()[role].items():
        some = "" if columns is ALL else f" ({', '.join(columns)})"
        yield f"GRANT UPDATE{some} ON {_named(schema, [table])} TO {role}"
    if _DELETES[role]:
        yield f"GRANT DELETE ON {_named(schema, _DELETES[role])} TO {role}"
    yield _where_there(f"{schema}.alembic_version", f"GRANT SELECT ON {_named(schema, _VERSIONS[:1])} TO {role}")
    if role == EXECUTOR:
        return  # no graph and no queue: whoever could write those could not make it read them
    yield _where_there(
        f"{schema}.checkpoints",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {_named(schema, CHECKPOINTS)} TO {role}; "
        f"GRANT SELECT ON {_named(schema, _VERSIONS[1:])} TO {role}",
    )
    queue = f'"{QUEUE_SCHEMA}"'
    yield _where_there(
        f"{QUEUE_SCHEMA}.workflow_status",
        f"GRANT USAGE ON SCHEMA {queue} TO {role}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {queue} TO {role}; "
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {queue} TO {role}; "
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {queue} TO {role}",
    )


def _named(schema: str, tables: Iterable[str]) -> str:
    return ", ".join(f'"{schema}"."{table}"' for table in tables)


def _where_there(table: str, grants: str) -> str:
    """Tables that a library makes: a server that was never used has none of them yet."""
    return f"DO $$ BEGIN IF to_regclass('{table}') IS NOT NULL THEN {grants}; END IF; END $$"


# what a grant can't say

_DENIED = "USING ERRCODE = 'insufficient_privilege'"
"""The server's own word for: permission denied."""


def _may(schema: str, table: str) -> str:
    return f"has_table_privilege('\"{schema}\".\"{table}\"', 'INSERT')"


def _bodies(schema: str) -> dict[str, tuple[str, str, str]]:
    """Of each trigger: its table, when it looks, and what it refuses. They know a login by what it may do."""
    return {
        "review_of_role": (
            "review",
            "UPDATE",
            "IF NEW.status IS DISTINCT FROM OLD.status "
            "AND (NEW.status IN ('approved', 'rejected', 'edited', 'responded') "
            "OR OLD.status IN ('rejected', 'responded')) "
            f"AND NOT {_may(schema, 'vote')} THEN "
            f"RAISE 'permission denied: who may not vote may not decide a review' {_DENIED}; END IF;",
        ),
        "decision_of_role": (
            "decision",
            "INSERT",
            f"IF NEW.stage = 'execute' AND NOT {_may(schema, 'run')} "
            f"OR NEW.stage = 'edit' AND NOT {_may(schema, 'vote')} "
            f"OR NEW.stage = 'gate' AND NOT {_may(schema, 'action')} THEN "
            f"RAISE 'permission denied: this decision is made elsewhere' {_DENIED}; END IF;",
        ),
        "policy_of_role": (
            "policy",
            "INSERT",
            f"IF NOT {_may(schema, 'signing_key')} AND NOT EXISTS (SELECT 1 FROM run WHERE key = NEW.key "
            "AND status = 'intent' AND tool IN ('policy.publish', 'policy.roll_back')) THEN "
            f"RAISE 'permission denied: no run publishes this policy' {_DENIED}; END IF;",
        ),
        "person_of_role": (
            "person",
            "INSERT OR UPDATE",
            f"IF NOT {_may(schema, 'token')} AND NOT EXISTS (SELECT 1 FROM run JOIN action "
            "ON action.id = run.action_id WHERE run.tool = 'people.grant' AND run.status = 'intent' "
            "AND run.workspace = NEW.workspace AND action.args->>'person' = NEW.id "
            "AND (action.args->'roles')::jsonb @> NEW.roles::jsonb "
            "AND NEW.roles::jsonb @> (action.args->'roles')::jsonb) THEN "
            f"RAISE 'permission denied: no run grants these roles' {_DENIED}; END IF;",
        ),
    }


def _triggers(schema: str) -> Iterator[str]:
    for name, (table, change, refuse) in _bodies(schema).items():
        yield (
            f'CREATE OR REPLACE FUNCTION "{schema}".{name}() RETURNS trigger LANGUAGE plpgsql '
            f'SET search_path = "{schema}", pg_temp AS $role$ BEGIN {refuse} RETURN NEW; END $role$'
        )
        yield (
            f'CREATE OR REPLACE TRIGGER {name} BEFORE {change} ON "{schema}"."{table}" '
            f'FOR EACH ROW EXECUTE FUNCTION "{schema}".{name}()'
        )
