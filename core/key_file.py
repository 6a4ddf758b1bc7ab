"""The file of master keys: one line each, `id day key`, the last one in force. Only its owner may read it.

A fourth word, `spare`, stands behind a key that was never in force yet.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.errors import SetupError
from core.sealing import MasterKey, MasterRing, master_key, new_master_key

FOLDER, NAME = "keys", "master.keys"
_SPARE = "spare"


def beside(data: Path) -> Path:
    """Where it lies if nobody says where."""
    return data / FOLDER / NAME


def read(path: Path) -> MasterRing | None:
    """The ring in a file; None where there is none. Raises `SetupError`, also where others could read it."""
    try:
        with path.open(encoding="utf-8") as file:
            if (mode := os.fstat(file.fileno()).st_mode & 0o777) & 0o077:
                raise SetupError(
                    f"Others than its owner may use the key file {path} (mode {mode:03o}).",
                    hint=f"chmod 600 {path}; and if somebody may have read it: countersign keys rotate",
                )
            lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"The key file {path} can't be read: {error}.", hint="Check its permissions.") from error
    keys = []
    for number, parts in enumerate(lines, 1):
        if len(parts) != 3 and parts[3:] != [_SPARE]:
            raise SetupError(f"Key {number} in {path} is not 'id day key'.", hint="Bring back the file from its copy.")
        key = master_key(parts[2], parts[1], len(parts) == 4)
        if key.id != parts[0]:
            raise SetupError(
                f"Key {number} in {path} is called {parts[0]}, and is {key.id}.",
                hint="Somebody changed the file: bring it back from its copy.",
            )
        keys.append(key)
    return MasterRing(keys, str(path))


def make(path: Path) -> MasterRing:
    """A ring with a new key in a new file; the one that is there, if another process was faster."""
    with contextlib.suppress(FileExistsError):
        write(path, [new_master_key(_today())], new=True)
    found = read(path)
    assert found is not None
    return found


def _folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileExistsError as taken:
        raise SetupError(
            f"The key file {path} can't be written: {path.parent} is no folder.",
            hint="Name another place with COUNTERSIGN_KEYS__FILE.",
        ) from taken


def write(path: Path, keys: Sequence[MasterKey], *, new: bool = False) -> None:
    """All of a file or nothing of it. Raises `FileExistsError` if it is to be new and is there, and `SetupError`."""
    whole = "".join(f"{key.id} {key.made or '-'} {key.text}{f' {_SPARE}' * key.spare}\n" for key in keys)
    text = f"# Master keys of a Countersign house. Whoever has them reads its data; without them nobody does.\n{whole}"
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        _folder(path)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if new:
            os.link(aside, path)
        else:
            os.replace(aside, path)
        _sync(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise SetupError(
            f"The key file {path} can't be written: {error.strerror}.",
            hint="Name another place with COUNTERSIGN_KEYS__FILE.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def from_text(text: str, where: str) -> MasterRing:
    """A ring given as keys in base64, with commas between them, the last in force. Raises `SetupError`."""
    return MasterRing([master_key(each) for each in text.split(",") if each.strip()], where)


def added(path: Path, ring: MasterRing) -> MasterRing:
    """The same ring with a new key that is not in force yet: until every machine has it, it only unwraps."""
    return _changed(path, [replace(new_master_key(_today()), spare=True), *ring.keys])


def turned(path: Path, ring: MasterRing) -> MasterRing:
    """The same ring with a key in force that never was: the oldest spare one, or a new one."""
    spare = [key for key in ring.keys if key.spare][-1:] or [new_master_key(_today())]
    return _changed(path, [key for key in ring.keys if key not in spare] + [replace(spare[0], spare=False)])


def without(path: Path, ring: MasterRing, master: str) -> MasterRing:
    return _changed(path, [key for key in ring.keys if key.id != master])


def _changed(path: Path, keys: Sequence[MasterKey]) -> MasterRing:
    write(path, keys)
    return MasterRing(keys, str(path))


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _sync(folder: Path) -> None:
    """So that the name of a new file outlasts a power cut, as what it opens does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
