"""Sealing: what is about people lies on disk as ciphertext, under keys that can be changed, and destroyed.

Two levels. A *data key* seals content; it belongs to one case, so that destroying it erases what that case holds,
wherever copies of it lie. A *master key* wraps data keys; it lies outside of the database, and changing it means to
wrap the data keys anew, not to write the content again. AES-256-GCM throughout (NIST SP 800-38D), with a random nonce
of 96 bits: under one key at most 2^32 of them, which no case comes near. What is authenticated beside the content is
its owner and its place, so that nothing sealed for one case or one column can be put into another.
"""

from __future__ import annotations

import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import KeyMissing, SetupError, Tampered

FORM = "sealed:1:"
"""How a sealed text begins: version 1, then the id of its key and the ciphertext in base64."""
ERASED = "(erased)"
"""What is read where the key was destroyed."""
KEY_BYTES = 32
_NONCE = 12
_BYTES_FORM = b"\x00S1"


@dataclass(frozen=True)
class DataKey:
    """Seals what belongs to one owner: a case, or the house."""

    owner: str
    """Its id too; stands in front of all that it seals."""
    secret: bytes = field(repr=False)
    _cipher: AESGCM = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.owner or ":" in self.owner or len(self.owner) > 64:
            raise ValueError(f"no name for a key: {self.owner!r}")
        object.__setattr__(self, "_cipher", AESGCM(self.secret))

    @classmethod
    def new(cls, owner: str) -> DataKey:
        return cls(owner, os.urandom(KEY_BYTES))

    def seal(self, content: bytes, place: str) -> str:
        """`place` is where it is kept, such as `case.payload`: it opens there only."""
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, content, self._beside(place))
        return f"{FORM}{self.owner}:{binascii.b2a_base64(sealed, newline=False).decode()}"

    def open(self, sealed: str, place: str) -> bytes:
        """Raises `Tampered`."""
        try:
            raw = binascii.a2b_base64(sealed[len(FORM) + len(self.owner) + 1 :])
        except ValueError as error:
            raise _tampered(self.owner, place) from error
        return self._opened(raw, place)

    def seal_bytes(self, content: bytes, place: str) -> bytes:
        nonce, owner = os.urandom(_NONCE), self.owner.encode()
        sealed = self._cipher.encrypt(nonce, content, self._beside(place))
        return b"".join((_BYTES_FORM, bytes((len(owner),)), owner, nonce, sealed))

    def open_bytes(self, sealed: bytes, place: str) -> bytes:
        """Raises `Tampered`."""
        return self._opened(sealed[len(_BYTES_FORM) + 1 + len(self.owner.encode()) :], place)

    def _opened(self, raw: bytes, place: str) -> bytes:
        try:
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], self._beside(place))
        except (InvalidTag, ValueError) as error:
            raise _tampered(self.owner, place) from error

    def _beside(self, place: str) -> bytes:
        return f"countersign\0{place}\0{self.owner}".encode()


def _tampered(owner: str, place: str) -> Tampered:
    return Tampered(
        f"What is stored of {owner} in {place} is not what was sealed.",
        hint="Somebody changed the database, or its key is another one. Keep a copy; compare with a backup.",
    )


def owner_of(sealed: str) -> str | None:
    """Whose key a stored text takes; None for one that lies in the clear."""
    return sealed[len(FORM) : sealed.find(":", len(FORM))] if sealed.startswith(FORM) else None


def owner_of_bytes(sealed: bytes) -> str | None:
    if not sealed.startswith(_BYTES_FORM):
        return None
    start = len(_BYTES_FORM) + 1
    return sealed[start : start + sealed[start - 1]].decode(errors="replace")


# master keys


@dataclass(frozen=True)
class MasterKey:
    secret: bytes = field(repr=False)
    made: str = ""
    """The day, for people."""
    spare: bool = field(default=False, compare=False)
    """It was never in force."""

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise SetupError(
                f"A master key has {len(self.secret)} bytes, and not {KEY_BYTES}.",
                hint="Make one with 'countersign keys new'.",
            )

    @property
    def id(self) -> str:
        """Told from the key itself: a wrong key under a right name can't be."""
        return "m" + hashlib.sha256(b"countersign master key id\0" + self.secret).hexdigest()[:10]

    @property
    def text(self) -> str:
        return binascii.b2a_base64(self.secret, newline=False).decode()


def master_key(text: str, made: str = "", spare: bool = False) -> MasterKey:
    """Raises `SetupError`."""
    try:
        return MasterKey(binascii.a2b_base64(text.strip(), strict_mode=True), made, spare)
    except binascii.Error as error:
        raise SetupError("A master key is no base64.", hint="Make one with 'countersign keys new'.") from error


def new_master_key(made: str = "") -> MasterKey:
    return MasterKey(os.urandom(KEY_BYTES), made)


class MasterRing:
    """The master keys of a house: the last one wraps, the others only unwrap."""

    def __init__(self, keys: Sequence[MasterKey], where: str) -> None:
        """`where` tells people which setting or file they come from."""
        if not keys:
            raise SetupError(f"There is no master key in {where}.", hint="Make one with 'countersign keys new'.")
        self.keys = tuple(keys)
        self.where = where
        self._by_id = {key.id: (key, AESGCM(key.secret)) for key in keys}

    @property
    def current(self) -> MasterKey:
        return self.keys[-1]

    def holds(self, master: str) -> bool:
        return master in self._by_id

    def wrap(self, key: DataKey, master: str = "") -> tuple[str, str]:
        """The master key's id, and the data key as it may lie in a database.

        `master` is the one in force, as a database has it. Raises `KeyMissing`.
        """
        master = master or self.current.id
        if master not in self._by_id:
            raise missing([master], self)
        nonce = os.urandom(_NONCE)
        wrapped = nonce + self._by_id[master][1].encrypt(nonce, key.secret, _wrapping(key.owner))
        return master, binascii.b2a_base64(wrapped, newline=False).decode()

    def unwrap(self, owner: str, master: str, wrapped: str) -> DataKey:
        """Raises `KeyMissing` and `Tampered`."""
        if master not in self._by_id:
            raise missing([master], self)
        try:
            raw = binascii.a2b_base64(wrapped, strict_mode=True)
            secret = self._by_id[master][1].decrypt(raw[:_NONCE], raw[_NONCE:], _wrapping(owner))
        except (InvalidTag, ValueError) as error:
            raise _tampered(owner, "data_key.wrapped") from error
        return DataKey(owner, secret)


def missing(masters: Sequence[str], ring: MasterRing | None) -> KeyMissing:
    held = f"has {', '.join(key.id for key in ring.keys)}" if ring else "has no key"
    where = ring.where if ring else "this process"
    return KeyMissing(
        f"What is stored here was sealed under the master key {', '.join(masters)}, and {where} {held}.",
        hint="Bring the key file of the house that wrote it (COUNTERSIGN_KEYS__FILE), or name the keys in "
        "COUNTERSIGN_KEYS__RING. Without them nothing of it can be read, by anybody.",
    )


def _wrapping(owner: str) -> bytes:
    return f"countersign data key\0{owner}".encode()
