"""The doctor: looks at everything that the house needs, says how it is, and what to do about it.

It changes nothing, waits for nothing longer than a few seconds, and works beside a running server as well as where
nothing is set up yet.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from core.clock import SystemClock
from core.errors import CountersignError
from core.settings import Settings
from ledger import health
from ledger.database import Database, sqlite_database
from ledger.key_rotation import in_use
from ledger.migrate import HEAD
from ledger.tables import SYSTEM
from ledger.workers import Workers
from serving import neighbours, outsiders, told_settings
from serving.auth.safety import weaknesses
from serving.storage import LEDGER
from serving.symptoms import Line, State, fail, ok, skew, told, warn

T = TypeVar("T")

_LITTLE, _TOO_LITTLE = 2_000_000_000, 200_000_000
"""Bytes of free disk."""
_LATE = timedelta(seconds=30)
"""After so long an event should have been taken up, and a timer should have fired."""
_VERY_LATE = timedelta(minutes=10)


async def examine(settings: Settings, within_s: float) -> list[Line]:
    """All lines, in the order in which one thing rests on another.

    What has not answered after `within_s` seconds is taken as not there.
    """
    parts: list[tuple[str, Awaitable[list[Line]]]] = [
        ("settings", _in_time(lambda: _settings(settings))),
        ("folder", _in_time(lambda: _folder(settings.data))),
        ("database", _in_time(lambda: _records(settings, within_s))),
        ("bus", neighbours.bus(settings, within_s)),
        ("model", neighbours.model(settings, within_s)),
        ("executor", neighbours.executor(settings, within_s)),
        ("shop", neighbours.shop(settings, within_s)),
        ("mcp", outsiders.outsiders(settings)),
        ("server", neighbours.server(settings, within_s)),
    ]
    found = await asyncio.gather(*(_asked(part, what, within_s) for part, what in parts))
    return [line for lines in found for line in lines]


async def _asked(part: str, what: Awaitable[list[Line]], within_s: float) -> list[Line]:
    try:
        return await asyncio.wait_for(what, within_s * 2)
    except TimeoutError:
        return [fail(part, f"no answer within {within_s * 2:.0f} s", "Look at what it rests on: disk, network.")]
    except CountersignError as error:
        return [fail(part, error.detail, error.hint)]
    except Exception as error:  # noqa: BLE001 - one that can't be examined keeps no other from being looked at
        return [fail(part, f"{type(error).__name__}: {error}"[:300], "Report it: the doctor should know this.")]


async def _in_time(work: Callable[[], T]) -> T:
    """In a thread that nobody waits for at the end: a disk or a server that hangs does not hang the doctor."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - carried over to whoever waits
            failed = error
            _tell(loop, lambda: None if done.cancelled() else done.set_exception(failed))
        else:
            _tell(loop, lambda: None if done.cancelled() else done.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    return await done


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)


# the machine


def _settings(settings: Settings) -> list[Line]:
    told = told_settings.set_by_somebody(settings)
    lines = [ok("settings", f"{each.name} = {each.value}  ({each.where})") for each in told]
    if not told:
        lines = [ok("settings", "all as they come: everything embedded in one folder")]
    for name, meant in told_settings.meaning_nothing():
        do = f"Perhaps {meant} was meant." if meant else "Take it away."
        lines.append(warn("settings", f"{name} is in the environment, and no setting", do))
    return [*lines, *_safety(settings)]


def _safety(settings: Settings) -> list[Line]:
    tell = fail if settings.environment == "production" else warn
    found = [tell("safety", each.says, each.do) for each in weaknesses(settings)]
    return found or [ok("safety", f"nothing that everybody knows, no open door ({settings.environment})")]


def _folder(folder: Path) -> list[Line]:
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    if not there.is_dir():
        return [fail("folder", f"{there} is no folder", "Choose another with COUNTERSIGN_DATA.")]
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"well")
    except OSError as error:
        do = "Give yourself the permission, or choose another folder with COUNTERSIGN_DATA."
        return [fail("folder", f"{there} can't be written: {error.strerror}", do)]
    free = shutil.disk_usage(there).free
    says = f"{folder}{'' if folder.exists() else ' (not there yet, it is made at the first start)'}, {told(free)} free"
    do = "Make room: countersign housekeeping sizes says what takes it."
    state = State.FAIL if free < _TOO_LITTLE else State.WARN if free < _LITTLE else State.OK
    return [Line("folder", state, says, "" if state is State.OK else do)]


# the records


@contextmanager
def _database(settings: Settings, within_s: float) -> Iterator[Database]:
    url = settings.database.url.get_secret_value()
    if url:
        from ledger.server import server_database

        limits = "&" if "?" in url else "?"
        database: Database = server_database(
            f"{url}{limits}connect_timeout={max(1, int(within_s))}",
            SystemClock(),
            connections=2,
            patience_s=0,
            masters=settings.keys.masters(settings.data),
        )
    else:
        database = sqlite_database(settings.data / LEDGER, masters=settings.keys.masters(settings.data))
    try:
        yield database
    finally:
        database.close()


def _records(settings: Settings, within_s: float) -> list[Line]:
    at_server = bool(settings.database.url.get_secret_value())
    if not at_server and not (settings.data / LEDGER).exists():
        return [ok("database", "none yet: it is made at the first start (countersign up, or countersign demo)")]
    with _database(settings, within_s) as database:
        before = datetime.now(UTC)
        vitals = health.of_server(database) if at_server else health.of_file(settings.data / LEDGER)
        lines = [*_vitals(vitals), *skew("database", vitals.now, before)]
        if vitals.version == HEAD:
            lines += _keys(settings, database)
            lines += database.transact(SYSTEM, lambda ledger: _work(health.backlog(ledger, _LATE)), writes=False)
            lease = timedelta(seconds=settings.engine.lease_s)
            lines += database.transact(SYSTEM, lambda ledger: _workers(ledger.workers, lease), writes=False)
    return lines


def _keys(settings: Settings, database: Database) -> list[Line]:
    ring, used = settings.keys.masters(settings.data), in_use(database)
    if absent := [each.master for each in used if ring is None or not ring.holds(each.master)]:
        do = "Bring the key file of the house that wrote it (COUNTERSIGN_KEYS__FILE). Without it no server starts here."
        return [fail("keys", f"the master key {', '.join(absent)} is missing", do)]
    if ring is None:
        says = "what is about people is kept in the clear"
        return [warn("keys", says, "Switch COUNTERSIGN_KEYS__ENCRYPT on, and: countersign keys seal")]
    lines = [ok("keys", f"{ring.current.id} is in force, in {ring.where}")]
    inside = Path(ring.where).resolve().is_relative_to(settings.data.resolve())
    if inside and settings.environment == "production":
        do = "Put it where backups of the data don't go, and name it in COUNTERSIGN_KEYS__FILE."
        lines.append(warn("keys", "the key file lies in the data folder: a copy of it has both", do))
    return lines


def _vitals(vitals: health.Vitals) -> Iterator[Line]:
    says = f"{vitals.told}, {told(vitals.bytes)}"
    if vitals.problem:
        do = "A server that is busy lets go in a moment; otherwise check disk and permissions."
        yield fail("database", f"{says}: it can't be written: {vitals.problem}", do)
    else:
        yield ok("database", f"{says}, can be written")
    if not vitals.version:
        yield warn("database", "there is no ledger in it yet", "It is made at the first start, or: countersign migrate")
    elif vitals.version > HEAD:
        do = "Use the newer program."
        yield fail("database", f"its version {vitals.version} is newer than this program ({HEAD})", do)
    elif vitals.version < HEAD:
        do = "countersign migrate, or start the server: it migrates."
        yield warn("database", f"its version is {vitals.version}, this program's {HEAD}", do)
    else:
        yield ok("database", f"version {vitals.version}, this program's")
    if vitals.most:
        many = f"{vitals.taken} of {vitals.most} connections in use"
        full = vitals.taken > vitals.most * 0.9
        do = "Lower COUNTERSIGN_DATABASE__CONNECTIONS, or raise the server's max_connections."
        yield warn("database", many, do) if full else ok("database", many)


def _work(found: health.Backlog) -> list[Line]:
    do = "Is a worker alive? More workers, or a higher COUNTERSIGN_ENGINE__CONCURRENCY, work it off sooner."
    lines = [_aged("backlog", found.events, "events that wait for a segment", found.oldest_event, do)]
    do = "They fire as soon as a server or a worker runs."
    lines.append(_aged("timers", found.timers, "overdue timers", found.latest_timer, do))
    do = "Is the bus in reach? They are published as soon as it is."
    lines.append(_aged("outbox", found.unpublished, "events that wait to be published", found.oldest_unpublished, do))
    for workspace, entries in found.chain.items():
        if workspace in found.broken:
            do = "countersign audit verify says where. Keep a copy of the database as it is."
            lines.append(fail("audit", f"{workspace}: the chain does not end as its head says", do))
        else:
            lines.append(ok("audit", f"{workspace}: {entries:,} entries, the head holds (all: audit verify)"))
    return lines


def _aged(part: str, many: int, what: str, oldest: timedelta | None, do: str) -> Line:
    if not many or oldest is None:
        return ok(part, f"no {what}")
    says = f"{many:,} {what}, the oldest for {_long(oldest)}"
    if oldest > _VERY_LATE:
        return fail(part, says, do)
    return warn(part, says, do) if oldest > _LATE else ok(part, says)


def _long(time: timedelta) -> str:
    seconds = time.total_seconds()
    for unit, most in (("s", 120), ("min", 120), ("h", 48)):
        if seconds < most:
            return f"{seconds:.0f} {unit}"
        seconds /= 24 if unit == "h" else 60
    return f"{seconds:.0f} days"


def _workers(workers: Workers, lease: timedelta) -> list[Line]:
    rows = [row for row in workers.everyone() if row.stopped_at is None]
    alive = [row for row in rows if workers.alive(row, lease)]
    lines = [
        ok("workers", f"{row.id} ({row.role}, release {row.release or '-'}) on {row.host}{_drains(row.draining)}")
        for row in alive
    ]
    for row in rows:
        if row not in alive:
            says = f"{row.id} on {row.host} was last heard of at {row.beat_at:%Y-%m-%d %H:%M:%S} UTC"
            lines.append(warn("workers", says, "Its cases are taken over by others. Start it again if it is missed."))
    if not alive:
        lines.append(warn("workers", "nobody is at work here", "Start one: countersign up, or countersign worker."))
    return lines


def _drains(draining: bool) -> str:
    return ", ending" if draining else ""
