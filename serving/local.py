"""How a person on this machine finds the server and shows who they are: two files in the data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import SetupError
from core.people import Person

if TYPE_CHECKING:
    from ledger.database import Database, Ledger

TOKEN, ADDRESS = "local-token", "local-address"


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def issue_local_token(database: Database, folder: Path, person: Person) -> str:
    """A fresh token for whoever runs the server here; the one before is revoked. Roles given to them stay."""
    from ledger.tables import SYSTEM  # a client has no need of a database

    def issue(ledger: Ledger) -> str:
        given = [
            row.roles for row in ledger.people.everyone() if (row.workspace, row.id) == (person.workspace, person.id)
        ]
        ledger.people.add(person.workspace, person.id, person.roles.union(*given))
        ledger.people.revoke(person.id)
        return ledger.people.new_token(person.workspace, person.id, None)

    token = database.transact(SYSTEM, issue)
    write_private(folder / TOKEN, token)
    return token


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
