"""A signed policy: which bundles are taken, and what is said of the others. One key is one signer."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.errors import InvalidInput
from policies.book import Book
from policies.bundle import PREFIX, Bundle, Manifest, faults, new_key, public_key, public_text, same_key
from tests.policies.conftest import BOOK

LEAD, FINANCE = "compliance-lead", "finance-lead"
KEYS = {LEAD: new_key(), FINANCE: new_key()}
TRUSTED = {name: [public_text(key)] for name, key in KEYS.items()}
LAST = "a" * 64


@pytest.fixture
def text() -> str:
    return BOOK.replace("approved_by: [compliance-lead]", f"approved_by: [{LEAD}, {FINANCE}]")


@pytest.fixture
def signed(load: Callable[[str], Book], text: str) -> Bundle:
    return by_both(load(text), text)


def by_both(book: Book, text: str, keys: Mapping[str, Ed25519PrivateKey] = KEYS) -> Bundle:
    bundle = Bundle(manifest=Manifest.of("small", book, LAST), text=text)
    for name, key in keys.items():
        bundle = bundle.signed(name, key)
    return bundle


def found(bundle: Bundle, book: Book, trusted: Mapping[str, list[str]] = TRUSTED) -> list[str]:
    return faults(bundle, book, kind="small", latest=LAST, keys=trusted)


def spelt_otherwise(public: str) -> str:
    """The same bytes in other base 64: 32 bytes leave two bits of the last letter over."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = f"{public[:-2]}{alphabet[alphabet.index(public[-2]) + 1]}="
    assert other != public
    assert b64decode(other.removeprefix(PREFIX)) == b64decode(public.removeprefix(PREFIX))
    return other


def test_signed_by_all_that_it_names_it_is_taken(load: Callable[[str], Book], text: str, signed: Bundle) -> None:
    assert found(signed, load(text)) == []


def test_a_key_has_one_text() -> None:
    public = public_text(KEYS[LEAD])
    assert same_key(public) == same_key(spelt_otherwise(public)) == public


def test_one_key_under_two_spellings_is_not_two_signers(load: Callable[[str], Book], text: str) -> None:
    one = KEYS[LEAD]
    public = public_text(one)
    bundle = by_both(load(text), text, {LEAD: one, FINANCE: one})
    said = found(bundle, load(text), {LEAD: [public], FINANCE: [spelt_otherwise(public)]})
    assert said == [f"{FINANCE} and {LEAD} signed with the same key"]


def test_a_trusted_key_in_another_spelling_is_trusted(load: Callable[[str], Book], text: str, signed: Bundle) -> None:
    assert (
        found(signed, load(text), {name: [spelt_otherwise(key) for key in keys] for name, keys in TRUSTED.items()})
        == []
    )


def test_wrong_text_is_told(load: Callable[[str], Book], text: str, signed: Bundle) -> None:
    other = signed.model_copy(update={"text": text.replace("150 USD", "900 USD")})
    assert found(other, load(text)) == ["the manifest is that of another file"]


def test_a_missing_signature_is_told(load: Callable[[str], Book], text: str, signed: Bundle) -> None:
    other = signed.model_copy(update={"signatures": signed.signatures[:1]})
    assert found(other, load(text)) == [f"{FINANCE} has not signed it"]


def test_what_was_signed_was_another_manifest(load: Callable[[str], Book], text: str, signed: Bundle) -> None:
    """The same file, moved to another point of the history after it was signed."""
    earlier = signed.manifest.model_copy(update={"follows": "b" * 64})
    moved = by_both(load(text), text).model_copy(update={"signatures": ()})
    for name, key in KEYS.items():
        moved = moved.model_copy(update={"manifest": earlier}).signed(name, key)
    said = found(moved.model_copy(update={"manifest": signed.manifest}), load(text))
    assert [each.partition(" is wrong")[0] for each in said] == [f"the signature of {name}" for name in (LEAD, FINANCE)]


def test_a_key_that_nobody_trusts_says_what_to_do(load: Callable[[str], Book], text: str, signed: Bundle) -> None:
    (said,) = found(signed, load(text), {LEAD: TRUSTED[LEAD]})
    assert said.startswith(f"the signature of {FINANCE} is wrong, or by a key that is not trusted")
    assert "countersign policy trust add" in said


@pytest.mark.parametrize("wrong", ["", "abc", PREFIX, f"{PREFIX}abc=", f"{PREFIX}{'A' * 42}==", f"{PREFIX}{'€' * 44}"])
def test_what_is_no_key_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="is no public key"):
        public_key(wrong)
