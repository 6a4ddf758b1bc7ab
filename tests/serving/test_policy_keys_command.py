"""Keys that sign policy, from the command line: each command says the next one, and one key is one signer."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphs.catalog import book_of
from tests.serving.live import typed

LAST = "a" * 64


@pytest.fixture
def public(tmp_path: Path) -> str:
    said = typed("policy", "keygen", tmp_path / "lead.key", "--no-passphrase")
    key = said.out.strip()
    assert said.err.strip().endswith(f"countersign policy trust add NAME {key}")
    return key


def test_the_next_command_that_keygen_names_works(public: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert typed("policy", "trust", "add", "lead", public, "--data", data).code == 0
    (row,) = typed("policy", "trust", "list", "--data", data, "--json").json
    assert (row["name"], row["key"], row["revoked_at"]) == ("lead", public, None)


def test_a_key_in_another_spelling_is_the_same_key(public: str, tmp_path: Path) -> None:
    """44 letters of base 64 hold two bits more than 32 bytes; nobody reads those."""
    data = tmp_path / "data"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = f"{public[:-2]}{letters[letters.index(public[-2]) + 1]}="
    assert typed("policy", "trust", "add", "lead", other, "--data", data).out.startswith(public)
    again = typed("policy", "trust", "add", "finance", public, "--data", data)
    assert again.code != 0
    assert "in the list already" in again.err
    assert "1 key of lead revoked" in typed("policy", "trust", "revoke", "lead", "--key", other, "--data", data).out


def test_what_is_signed_already_says_so(public: str, tmp_path: Path) -> None:
    book = tmp_path / "returns.yaml"
    book.write_text(book_of("returns").read_text())
    key = ("--key", tmp_path / "lead.key", "--follows", LAST)
    signed = typed("policy", "sign", book, "--as", "compliance-lead", *key)
    assert signed.code == 0, signed.err
    again = typed("policy", "sign", tmp_path / "returns.signed.json", "--as", "compliance-lead", *key)
    assert again.code == 2
    assert "this is signed already" in again.err
