"""Where the master keys are."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core import key_file
from core.sealing import MasterRing, missing


class KeySettings(BaseModel):
    """What personal data is sealed under: a file that is made at the first start, or keys that are given."""

    model_config = ConfigDict(extra="forbid")

    encrypt: bool = True
    """Off, no key is made, and a new house keeps all in the clear. One that has keys goes on with them."""
    file: Path | None = None
    """The key file; `keys/master.keys` in the data folder if unset. In production it lies elsewhere."""
    ring: SecretStr = SecretStr("")
    """Instead of a file: master keys in base64, with commas between them, the last in force."""
    cache_s: float = Field(default=300.0, gt=0, le=3600)
    """How long a process keeps a case's key in memory: after an erasure the others may read so long."""

    def path(self, data: Path) -> Path:
        return self.file or key_file.beside(data)

    def masters(self, data: Path) -> MasterRing | None:
        """The keys that there are. Raises `SetupError`."""
        if given := self.ring.get_secret_value():
            return key_file.from_text(given, "COUNTERSIGN_KEYS__RING")
        return key_file.read(self.path(data))

    def opening(self, data: Path, needed: frozenset[str]) -> MasterRing | None:
        """The keys for a house whose records are sealed under these master keys; made if there are none yet.

        Raises `KeyMissing`: a house never starts that can read a part only.
        """
        found = self.masters(data)
        if absent := sorted(master for master in needed if found is None or not found.holds(master)):
            raise missing(absent, found)
        if found is None and self.encrypt:
            found = key_file.make(self.path(data))
        return found
