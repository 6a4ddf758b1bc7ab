"""A signed policy: the file's text, what it takes the place of, and who signed for that.

A signature is Ed25519 (RFC 8032) over the canonical JSON of the manifest, under a prefix of its own. The manifest
names the point of the history that it comes after, so a bundle that was right once can't be played again later, not
even when a roll-back brings the version of then into force again.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidInput
from core.ids import canonical
from policies.book import Book

PREFIX = "ed25519:"
MAX_TEXT = 1_000_000
"""Characters of a policy that can be published."""
_HOW_TO_TRUST = "countersign policy trust add NAME KEY lets a key sign"
_PURPOSE = b"countersign policy, version 1\n"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Manifest(_Frozen):
    """What is signed."""

    kind: str = Field(max_length=64)
    policy: str = Field(max_length=200)
    version: str = Field(max_length=100)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the file."""
    follows: str = Field(pattern=r"^([0-9a-f]{64})?$")
    """The last point of the history when this was signed; empty for the first. No point comes twice."""

    @classmethod
    def of(cls, kind: str, book: Book, follows: str) -> Manifest:
        return cls(kind=kind, policy=book.name, version=book.version, digest=book.digest, follows=follows)

    def signed_bytes(self) -> bytes:
        return _PURPOSE + canonical(self.model_dump())


class Signature(_Frozen):
    name: str = Field(max_length=100)
    """As in the policy's `approved_by`."""
    value: str = Field(max_length=100)
    """Base 64."""


class Bundle(_Frozen):
    manifest: Manifest
    text: str = Field(max_length=MAX_TEXT)
    signatures: tuple[Signature, ...] = ()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def signed(self, name: str, key: Ed25519PrivateKey) -> Bundle:
        """With one more signature, or the same name's new one."""
        value = base64.b64encode(key.sign(self.manifest.signed_bytes())).decode()
        others = [each for each in self.signatures if each.name != name]
        return self.model_copy(update={"signatures": (*others, Signature(name=name, value=value))})


def faults(bundle: Bundle, book: Book, *, kind: str, latest: str, keys: Mapping[str, Sequence[str]]) -> list[str]:
    """Why a bundle can't be taken, in words; empty if it can.

    `latest` is the last point of the kind's history, `keys` holds the public keys in which each name
    is trusted now.
    """
    manifest = bundle.manifest
    found = []
    if manifest != Manifest.of(kind, book, manifest.follows) or bundle.digest != book.digest:
        found.append("the manifest is that of another file")
    if manifest.follows != latest:
        found.append(f"it was signed to follow {manifest.follows[:12] or 'nothing'}, and {latest[:12]} is the last one")
    if not book.approved_by:
        found.append("the policy names nobody in approved_by")
    given = {each.name: each for each in bundle.signatures}
    found += [f"{name} has not signed it" for name in book.approved_by if name not in given]
    found += [f"{name} signed it, and approved_by does not name them" for name in given if name not in book.approved_by]
    holders: dict[str, str] = {}
    for name in book.approved_by:
        if name in given:
            key = next((same_key(key) for key in keys.get(name, ()) if _verifies(key, manifest, given[name].value)), "")
            if not key:
                found.append(f"the signature of {name} is wrong, or by a key that is not trusted: {_HOW_TO_TRUST}")
            elif key in holders:
                found.append(f"{name} and {holders[key]} signed with the same key")
            holders[key] = name
    return found


def _verifies(key: str, manifest: Manifest, signature: str) -> bool:
    try:
        public_key(key).verify(base64.b64decode(signature, validate=True), manifest.signed_bytes())
    except (InvalidSignature, InvalidInput, ValueError):
        return False
    return True


# files


def read_bundle(path: Path) -> Bundle:
    """Raises `InvalidInput`."""
    try:
        return Bundle.model_validate_json(path.read_bytes())
    except (ValidationError, ValueError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InvalidInput(
            f"{path} is no signed policy: {first}.",
            hint="Make one with: countersign policy sign FILE --as NAME --key KEY",
        ) from error


def new_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def write_key(key: Ed25519PrivateKey, passphrase: str) -> bytes:
    """As PEM, encrypted if there is a passphrase."""
    locked = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def read_key(data: bytes, passphrase: str) -> Ed25519PrivateKey:
    """Raises `InvalidInput`; where the file is locked and no passphrase was given, with `field` passphrase."""
    try:
        key = serialization.load_pem_private_key(data, passphrase.encode() if passphrase else None)
    except TypeError as error:
        raise InvalidInput("The key is locked.", field="passphrase", hint="Give its passphrase.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput("The key can't be read.", hint="Check the file and the passphrase.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput("That is no Ed25519 key.", hint="Make one with: countersign policy keygen FILE")
    return key


def public_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """`ed25519:…`, for the list of trusted keys."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return PREFIX + base64.b64encode(raw).decode()


def same_key(text: str) -> str:
    """The one text of a key: base 64 has several for it, which differ in bits that nobody reads.

    Keys are kept and compared in it, or else one key could stand for two signers. Raises `InvalidInput`.
    """
    return public_text(public_key(text))


def public_key(text: str) -> Ed25519PublicKey:
    """Raises `InvalidInput`."""
    try:
        if not text.startswith(PREFIX):
            raise ValueError
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix(PREFIX), validate=True))
    except ValueError as error:
        raise InvalidInput(f"'{text[:60]}' is no public key.", hint=f"It looks like {PREFIX}AbC…=") from error
