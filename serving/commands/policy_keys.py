"""`countersign policy keygen | sign | trust`: who signs policy, and with what."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

import click

from core.console import echo_json
from core.errors import Conflict, InvalidInput, SetupError
from core.people import HOME
from ledger.database import Ledger
from policies.book import load_book
from policies.bundle import Bundle, Manifest, new_key, public_text, read_bundle, read_key, same_key, write_key
from policies.commands import asking
from serving.commands.ledger_access import opened, place

_data = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
_passphrase = click.option(
    "--passphrase-file", type=click.File("r"), help="The passphrase in a file.  [default: asked]"
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--no-passphrase", is_flag=True, help="Leave the key unlocked: for machines only.")
@_passphrase
def keygen(file: Path, no_passphrase: bool, passphrase_file: IO[str] | None) -> None:
    """Make a key to sign policy with, into FILE, and print its public half.

    The private half is yours: nobody else needs it, and it never leaves this machine.

    \b
    Example:  countersign policy keygen ~/compliance-lead.key
    """
    if passphrase_file:
        passphrase = passphrase_file.read().strip()
    else:
        passphrase = "" if no_passphrase else click.prompt("Passphrase", hide_input=True, confirmation_prompt=True)
    key = new_key()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    except FileExistsError as error:
        raise Conflict(f"{file} exists.", hint="A key is never written over. Choose another name.") from error
    except OSError as error:
        raise SetupError(f"{file} can't be written: {error.strerror}.", hint="Choose another place.") from error
    with os.fdopen(handle, "wb") as out:
        out.write(write_key(key, passphrase))
    click.echo(public_text(key))
    click.echo(f"An operator lets it sign: countersign policy trust add NAME {public_text(key)}", err=True)


@click.command()
@click.argument("file", type=asking.existing)
@click.option("--as", "name", required=True, metavar="NAME", help="Who signs, as in the policy's approved_by.")
@click.option("--key", "key_file", required=True, type=click.File("rb"), help="Their key.")
@click.option(
    "--follows", metavar="POINT", help="The point of the history that it comes after.  [default: the last in --data]"
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="[default: FILE with .signed.json]")
@_passphrase
@asking.kind
@_data
def sign(
    file: Path,
    name: str,
    key_file: IO[bytes],
    follows: str | None,
    out: Path | None,
    passphrase_file: IO[str] | None,
    kind: str | None,
    data: Path | None,
) -> None:
    """Sign a policy, or add a signature to one that others have signed.

    What is signed is the file, and the version that it follows: once another one is out, it is signed anew.

    \b
    Example:  countersign policy sign returns.yaml --as compliance-lead --key ~/compliance-lead.key
    """
    if file.suffix == ".json":
        raise InvalidInput(
            f"{file.name}: this is signed already.",
            hint="To add a signature, sign the policy file itself: it joins those of others.",
        )
    words = asking.vocabulary(file, kind)
    book = load_book(file, words)
    if name not in book.approved_by:
        raise InvalidInput(
            f"{file.name} does not name {name} in approved_by.", hint=f"It names: {', '.join(book.approved_by)}."
        )
    manifest = Manifest.of(words.kind, book, follows if follows is not None else _latest(data, words.kind))
    target = out or file.with_suffix(".signed.json")
    bundle = Bundle(manifest=manifest, text=file.read_bytes().decode())
    if target.exists():
        earlier = read_bundle(target)
        if earlier.manifest == manifest and earlier.text == bundle.text:
            bundle = earlier
    locked = key_file.read()
    bundle = bundle.signed(name, read_key(locked, _passphrase_for(locked, passphrase_file)))
    fresh = target.with_name(f"{target.name}.new")
    fresh.write_text(bundle.model_dump_json(indent=1), encoding="utf-8")
    fresh.replace(target)
    left = [each for each in book.approved_by if each not in {one.name for one in bundle.signatures}]
    click.echo(f"{target}: {book.name} {book.version}, signed by {', '.join(one.name for one in bundle.signatures)}.")
    then = f"countersign policy publish {target}" if not left else f"it waits for {', '.join(left)}"
    click.echo(f"Next: {then}", err=True)


def _passphrase_for(key: bytes, file: IO[str] | None) -> str:
    if file:
        return file.read().strip()
    return str(click.prompt("Passphrase", hide_input=True)) if b"ENCRYPTED" in key else ""


def _latest(data: Path | None, kind: str) -> str:
    with opened(data) as database:
        last = database.transact(HOME, lambda ledger: ledger.policies.last(kind), writes=False)
    if not last:
        raise SetupError(
            f"No policy for {kind} was ever in force in {place(data)}.",
            hint="Start the house once, or give --follows.",
        )
    return last


@click.group()
def trust() -> None:
    """Whose keys may sign policy.

    \b
    Example:  countersign policy trust add compliance-lead ed25519:AbC…=
    """


@trust.command("add")
@click.argument("name")
@click.argument("key")
@_data
def add(name: str, key: str, data: Path | None) -> None:
    """Let KEY sign as NAME.

    \b
    Example:  countersign policy trust add compliance-lead ed25519:AbC…=
    """
    public = same_key(key)

    def work(ledger: Ledger) -> None:
        ledger.policies.trust(name, public)
        ledger.audit.append("key.trusted", {"name": name, "key": public, "by": _me()})

    with opened(data, create=True) as database:
        database.transact(HOME, work)
    click.echo(f"{public} signs as {name} from now on.")


@trust.command("revoke")
@click.argument("name")
@click.option("--key", default="", help="One of their keys.  [default: all]")
@_data
def revoke(name: str, key: str, data: Path | None) -> None:
    """Let NAME's keys sign nothing more. What they signed before stays in force.

    \b
    Example:  countersign policy trust revoke compliance-lead
    """

    public = same_key(key) if key else ""

    def work(ledger: Ledger) -> int:
        ended = ledger.policies.revoke(name, public)
        ledger.audit.append("key.revoked", {"name": name, "key": public, "keys": ended, "by": _me()})
        return ended

    with opened(data) as database:
        ended = database.transact(HOME, work)
    click.echo(f"{ended} key{'' if ended == 1 else 's'} of {name} revoked.")


@trust.command("list")
@_data
@asking.as_json
def listing(data: Path | None, as_json: bool) -> None:
    """The keys, and whose they are.

    \b
    Example:  countersign policy trust list
    """
    with opened(data) as database:
        rows = database.transact(HOME, lambda ledger: ledger.policies.keys(), writes=False)
    if as_json:
        echo_json([{"name": r.name, "key": r.public, "added_at": r.added_at, "revoked_at": r.revoked_at} for r in rows])
        return
    for row in rows:
        ended = f"  revoked {row.revoked_at:%Y-%m-%d}" if row.revoked_at else ""
        click.echo(f"{row.name:24} {row.public}  since {row.added_at:%Y-%m-%d}{ended}")


def _me() -> str:
    return os.environ.get("USER") or "local"
