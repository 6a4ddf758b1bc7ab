"""The demo's own data folder: made, recognised and emptied, and the people in it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ValidationError

from core.errors import InvalidInput, NotFound, SetupError
from core.people import Person
from serving.local import write_private

if TYPE_CHECKING:
    from ledger.database import Ledger
    from serving.house import House

MARK = "demo.json"
PEOPLE = "people"
LOCK = "lock"


class Playbill(BaseModel):
    """What a demo folder was made for; the file that tells it from any other folder."""

    format: str = "countersign-demo"
    kind: str
    cases: int
    seed: int
    now: AwareDatetime
    """As of when its world stands."""


def playbill(folder: Path) -> Playbill | None:
    """What is in a demo folder, or None if it is none."""
    try:
        found = Playbill.model_validate_json((folder / MARK).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.format == "countersign-demo" else None


def existing(folder: Path) -> Playbill:
    """Raises `NotFound`."""
    found = playbill(folder)
    if found is None:
        raise NotFound(f"There is no demo in {folder}.", hint="Make one first: countersign demo.")
    return found


def prepare(folder: Path, wanted: Playbill, *, fresh: bool) -> Playbill:
    """An empty demo folder, or one to go on in. Raises `SetupError`: nothing but a demo is ever deleted."""
    from ledger.folder import lock_folder

    found = playbill(folder)
    if found is None and folder.is_dir() and {path.name for path in folder.iterdir()} - {LOCK}:
        raise SetupError(
            f"{folder} holds something that is no demo; nothing in it was touched.",
            hint="Choose an empty folder with --data.",
        )
    with lock_folder(folder):
        if found is not None and not fresh:
            return found
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in (LOCK, MARK):  # the mark stays until it is written anew
                path.unlink()
        (folder / MARK).write_text(wanted.model_dump_json() + "\n", encoding="utf-8")
    return wanted


def last_midnight(now: datetime) -> datetime:
    """A world stands as of a day, so that the same seed gives the same world all day."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def enrol(house: House, local: Person, reviewers: Mapping[str, frozenset[str]]) -> None:
    """The reviewers, each with a token in a file that only its owner can read; `local` gets all their roles."""
    folder = house.settings.data / PEOPLE
    folder.mkdir(exist_ok=True, mode=0o700)

    def add(ledger: Ledger) -> dict[str, str]:
        everything = local.roles.union(*reviewers.values())
        ledger.people.add(local.workspace, local.id, everything)
        tokens = {}
        for name, roles in reviewers.items():
            ledger.people.add(local.workspace, name, roles)
            ledger.people.revoke(name)
            tokens[name] = ledger.people.new_token(local.workspace, name, None)
        return tokens

    for name, token in (await house.database.write(local.workspace, add)).items():
        write_private(folder / f"{name}.token", token)


def token_of(folder: Path, name: str) -> str:
    """Raises `InvalidInput` naming who is there."""
    there = sorted(path.stem for path in (folder / PEOPLE).glob("*.token"))
    if name not in there:
        raise InvalidInput(f"There is no {name[:40]} in this demo.", field="as", hint=f"There are: {', '.join(there)}.")
    return (folder / PEOPLE / f"{name}.token").read_text().strip()
