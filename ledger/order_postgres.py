"""The order of the event log on PostgreSQL, where numbers are given before they are committed.

Who has read entry 10 must not miss a 9 that is committed later. So a transaction that is about to write entries holds,
until its end, a shared lock whose name is the last number given before its own: all of its numbers are higher. Readers
go up to the lowest name that is held. The lock is taken by a trigger, so no writer can forget it, and nobody waits.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

_TAG = 0x4353
"""Upper 16 bits of the lock's name; the others are the number."""

_FUNCTION = f"""CREATE FUNCTION {{schema}}.trace_order() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{schema}}, pg_temp AS $order$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(({_TAG}::bigint << 48) | coalesce(
        pg_sequence_last_value(pg_get_serial_sequence('trace', 'seq')::regclass), 0));
    RETURN NULL;
END
$order$"""
_TRIGGER = "CREATE TRIGGER trace_order BEFORE INSERT ON trace FOR EACH STATEMENT EXECUTE FUNCTION trace_order()"

SETTLED = text(
    f"""SELECT coalesce(least((SELECT max(seq) FROM trace), (
        SELECT min(((classid::bigint << 32) | objid::bigint) & 281474976710655) FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = {_TAG} AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))), 0)"""
)
"""The number up to which all entries are there or never will be. Numbers are looked at before locks are, in this one
statement's snapshot; the entries themselves are read by a later statement."""


def install(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar()
        connection.exec_driver_sql(_FUNCTION.format(schema=schema))
        connection.exec_driver_sql(_TRIGGER)


def remove(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS trace_order ON trace")
        connection.exec_driver_sql("DROP FUNCTION IF EXISTS trace_order()")
