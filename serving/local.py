"""How a person on this machine finds the server and shows who they are: files in the data folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import SetupError
from core.people import HOME, Person

if TYPE_CHECKING:
    from core.settings import Settings
    from ledger.database import Database, Ledger

TOKEN, ADDRESS, SERVERS = "local-token", "local-address", "servers.json"
_DATABASE = "COUNTERSIGN_DATABASE__URL"


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def remember_servers(settings: Settings) -> None:
    """Notes in the data folder where its records are, if not in it. It may hold a password."""
    known = {_DATABASE: settings.database.url.get_secret_value()}
    write_private(settings.data / SERVERS, json.dumps({name: value for name, value in known.items() if value}))


def servers(folder: Path) -> dict[str, str]:
    """The environment by which a process finds what this folder's records are on; empty where they are in it."""
    try:
        found: dict[str, str] = json.loads((folder / SERVERS).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return found


def database_of(folder: Path | None, settings: Settings) -> str:
    """Address of the server that the records of this folder, or those that the settings name, are on; or empty."""
    return settings.database.url.get_secret_value() if folder is None else servers(folder).get(_DATABASE, "")


def issue_local_token(database: Database, folder: Path, person: Person, *, shared: bool = False) -> str:
    """A fresh token for whoever runs the server here; the one before is revoked. Roles given to them stay, and so do
    tokens that they made for themselves.

    With `shared`, other servers over the same database gave tokens to the same person: only this folder's is replaced.
    """
    from ledger.tables import SYSTEM  # a client has no need of a database
    from ledger.tokens import LOCAL

    def issue(ledger: Ledger) -> str:
        given = [
            row.roles for row in ledger.people.everyone() if (row.workspace, row.id) == (person.workspace, person.id)
        ]
        ledger.people.add(person.workspace, person.id, person.roles.union(*given))
        ledger.people.revoke_token(_kept(folder))
        if not shared:
            ledger.people.revoke(person.id, LOCAL)
        return ledger.people.tokens.issue(person.workspace, person.id, None, name=LOCAL)[0]

    token = database.transact(SYSTEM, issue)
    write_private(folder / TOKEN, token)
    return token


def _kept(folder: Path) -> str:
    try:
        return (folder / TOKEN).read_text().strip()
    except OSError:
        return ""


def local_connection(folder: Path) -> tuple[str, str]:
    """Address and token. The environment (COUNTERSIGN_URL, COUNTERSIGN_TOKEN) goes first. Raises `SetupError`."""
    url, token = os.environ.get("COUNTERSIGN_URL", ""), os.environ.get("COUNTERSIGN_TOKEN", "")
    try:
        url = url or (folder / ADDRESS).read_text().strip()
        token = token or (folder / TOKEN).read_text().strip()
    except OSError as error:
        raise SetupError(
            f"No server is known in {folder}.",
            hint="Start one with 'countersign up', or set COUNTERSIGN_URL and COUNTERSIGN_TOKEN.",
        ) from error
    return url, token


def owner(settings: Settings) -> Person:
    """Whoever runs the process on this machine: may do everything but approve what a policy gives to others."""
    name = os.environ.get("USER") or "local"
    return Person(id=name, workspace=HOME, roles=frozenset({"admin", "operator"}))
