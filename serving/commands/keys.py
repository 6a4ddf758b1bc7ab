"""`countersign keys`: the master keys that what is about people is sealed under."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import click

from core import key_file
from core.console import echo_json
from core.errors import Conflict, CountersignError, InvalidInput, NotFound
from core.people import HOME
from core.sealing import MasterRing, new_master_key
from core.settings import Settings, load_settings
from ledger.database import Database
from ledger.key_rotation import destroyed, in_use, new_house_key, rewrap, wraps
from ledger.keys import masters_in_use
from ledger.sealing_in_place import seal_all
from serving.commands.ledger_access import opened

_data = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
_SHOP = "shop.db"


def _settings(data: Path | None) -> Settings:
    return load_settings(**({"data": data} if data else {}))


def _ring(settings: Settings) -> MasterRing:
    """Raises `NotFound`."""
    if (ring := settings.keys.masters(settings.data)) is None:
        raise NotFound(
            f"There is no key in {settings.keys.path(settings.data)}.", hint="It is made when a server first starts."
        )
    return ring


def _file(settings: Settings) -> Path:
    """Raises `InvalidInput` where the keys are given by the environment."""
    if settings.keys.ring.get_secret_value():
        raise InvalidInput(
            "The keys are given by COUNTERSIGN_KEYS__RING, which a command can't change.",
            hint="Put a key of 'countersign keys new' in front of the others, give it to every process, move it to "
            "the end, and run 'countersign keys rotate'.",
        )
    return settings.keys.path(settings.data)


@click.group()
def keys() -> None:
    """Master keys: what is about people is sealed under keys of its cases, and those are wrapped by these.

    \b
    Example:
      countersign keys list
      countersign keys rotate
    """


@keys.command("list")
@_data
@_as_json
def list_(data: Path | None, as_json: bool) -> None:
    """List the keys at hand, and what each of them wraps. Exit 1 if one is missing.

    \b
    Example:  countersign keys list --json
    """
    settings = _settings(data)
    ring = settings.keys.masters(settings.data)
    with opened(data) as database:
        used = {each.master: each for each in in_use(database)}
        gone = destroyed(database)
    held = ring.keys if ring else ()
    rows: list[dict[str, Any]] = [
        {
            "id": key.id,
            "made": key.made,
            "in_force": ring is not None and key == ring.current,
            "data_keys": used[key.id].data_keys if key.id in used else 0,
            "missing": False,
        }
        for key in held
    ]
    lost = [each for each in used.values() if each.master not in {key.id for key in held}]
    rows += [{"id": e.master, "made": "", "in_force": False, "data_keys": e.data_keys, "missing": True} for e in lost]
    if as_json:
        echo_json({"where": ring.where if ring else "", "keys": rows, "destroyed": gone})
    else:
        click.echo(f"in {ring.where}" if ring else "There is no key here.")
        for row in rows:
            state = "MISSING" if row["missing"] else "in force" if row["in_force"] else "opens only"
            click.echo(f"{row['id']}  {row['made'] or '-':10}  {state:10}  wraps {row['data_keys']:,} data keys")
        click.echo(f"{gone:,} data keys were destroyed by erasures.")
    if lost:
        raise click.exceptions.Exit(1)


@keys.command("new")
def new() -> None:
    """Print a new key for a store of secrets.

    It is for COUNTERSIGN_KEYS__RING, and written nowhere else. Whoever sees it can use it.

    \b
    Example:  countersign keys new
    """
    click.echo(new_master_key().text)


@keys.command("add")
@_data
def add(data: Path | None) -> None:
    """Make a new key for the next rotation.

    It is put into the key file and is not in force yet: copy the file to every machine before you rotate.

    \b
    Example:  countersign keys add
    """
    settings = _settings(data)
    path, ring = _file(settings), _ring(settings)
    added = key_file.added(path, ring)
    click.echo(f"{added.keys[0].id} is in {path}, and opens only.")
    click.echo("Copy the file to every machine of the house, then: countersign keys rotate", err=True)


@keys.command("rotate")
@_data
def rotate(data: Path | None) -> None:
    """Put a new key in force, and wrap every data key with it. Beside a running server, and again after a crash.

    What is sealed is not written again: each case has a data key of its own, and only those are wrapped anew. A key
    that 'keys add' made is taken before a new one is made. Keys that are given by the environment are left as they
    are: the last of them is in force.

    \b
    Example:  countersign keys rotate
    """
    settings = _settings(data)
    ring = _ring(settings)
    with opened(data) as database:
        used = {each.master for each in in_use(database)}
        if not settings.keys.ring.get_secret_value() and ring.current.id in used:
            ring = key_file.turned(_file(settings), ring)
        database.use(ring)
        new_house_key(database, ring)
        many = rewrap(database, ring, lambda so_far: click.echo(f"{so_far:,} data keys", err=True))
        _shop(settings, ring)
        _note(database, "keys.rotated", {"to": ring.current.id, "data_keys": many})
    click.echo(f"{ring.current.id} is in force, and wraps {many:,} data keys that others wrapped.")
    for old in (key for key in ring.keys if key != ring.current):
        click.echo(f"When every process was started anew: countersign keys retire {old.id}", err=True)


@keys.command("retire")
@click.argument("master")
@_data
def retire(master: str, data: Path | None) -> None:
    """Take a key that wraps nothing any more out of the key file. Backups that it opens are closed from then on.

    \b
    Example:  countersign keys retire m0123456789
    """
    settings = _settings(data)
    path, ring = _file(settings), _ring(settings)
    if not ring.holds(master):
        raise NotFound(f"There is no key {master[:20]} in {path}.", hint="countersign keys list names them.")
    if ring.current.id == master:
        raise Conflict(f"{master} is in force.", hint="First: countersign keys rotate", present="in force")
    with opened(data) as database:
        database.use(ring)
        _require_idle(database, master)
        _shop(settings, ring)
        key_file.without(path, ring, master)
        try:
            _require_idle(database, master)  # whoever wrapped with it until a moment ago
            _note(database, "keys.retired", {"key": master})
        except CountersignError:
            key_file.write(path, ring.keys)
            raise
    click.echo(f"{master} is out of {path}. Destroy its other copies, if nobody needs an old backup.")


@keys.command("seal")
@_data
def seal(data: Path | None) -> None:
    """Seal what was written before there were keys.

    Stop the servers first; cut off, it goes on where it was.
    Entries of the audit chain stay as they are, and steps that graphs remember until they are cut.

    \b
    Example:  countersign keys seal
    """
    settings = _settings(data)
    with opened(data) as database:
        masters = settings.keys.opening(settings.data, masters_in_use(database.engine))
        if masters is None:
            raise InvalidInput("COUNTERSIGN_KEYS__ENCRYPT is off.", hint="Switch it on, and seal again.")
        database.use(masters)
        many = seal_all(database, lambda table, so_far: click.echo(f"{so_far:,} rows, last of {table}", err=True))
        _note(database, "keys.sealed", {"rows": many})
    click.echo(f"{many:,} rows were sealed.")


def _require_idle(database: Database, master: str) -> None:
    """Raises `Conflict` while it wraps anything."""
    if many := wraps(database, master):
        raise Conflict(
            f"{master} still wraps {many:,} data keys.",
            hint="A process may have made them since: countersign keys rotate, and then retire it.",
            present="in use",
        )


def _shop(settings: Settings, ring: MasterRing) -> None:
    """The embedded shop has a data key of its own in its file: it is wrapped anew when the file is opened."""
    from graphs.catalog import kinds
    from tools.fulfillment.records import Vocabulary
    from tools.fulfillment.store import Store

    if (path := settings.data / _SHOP).exists():
        Store(path, Vocabulary([kind.dialect for kind in kinds().values()]), masters=ring).close()


def _note(database: Database, entry: str, body: dict[str, Any]) -> None:
    by = {"by": getpass.getuser(), **body}
    database.transact(HOME, lambda ledger: ledger.audit.append(entry, by))
