"""Files that cases name, sealed where the house has keys: whoever opens the records says it once for the folder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from core.errors import Erased

_PLACE = "attachment"


class Sealer(Protocol):
    def seal(self, content: bytes, place: str) -> bytes: ...

    def unseal(self, content: bytes, place: str) -> bytes | None:
        """What lies in the clear as it is; None if its key was destroyed."""
        ...


_SEALERS: dict[Path, Sealer] = {}


@contextmanager
def sealed(folder: Path, sealer: Sealer | None) -> Iterator[None]:
    """In here what is written into this folder is sealed."""
    place = folder.resolve()
    before = _SEALERS.get(place)
    if sealer is not None:
        _SEALERS[place] = sealer
    try:
        yield
    finally:
        if before is not None:
            _SEALERS[place] = before
        else:
            _SEALERS.pop(place, None)


def write(path: Path, content: bytes) -> None:
    """Whole or not at all: under its name there is never a part of it."""
    sealer = _SEALERS.get(path.parent.resolve())
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    part.write_bytes(sealer.seal(content, _PLACE) if sealer is not None else content)
    part.replace(path)


def read(path: Path) -> bytes:
    """Raises OSError as a file does, `KeyMissing`, `Tampered` and `Erased`."""
    content = path.read_bytes()
    sealer = _SEALERS.get(path.parent.resolve())
    found = sealer.unseal(content, _PLACE) if sealer is not None else content
    if found is None:
        raise Erased("This file was erased.", hint="The data of its case was erased.")
    return found
