"""`countersign policy publish | rollback | history`: what is in force, and how that changes."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click

from core.console import echo_json
from core.errors import NotFound
from core.people import HOME
from core.settings import load_settings
from ledger.policy_tables import PolicyRow
from policies.book import read_book
from policies.bundle import read_bundle
from policies.commands import asking
from policies.problems import PolicyRefused
from policies.succession import Standing, standing_at
from serving.commands import governed
from serving.commands.client import ApiClient
from serving.commands.ledger_access import opened

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder of the server.  [default: the settings' one]"
)
_note = click.option("--note", default="", help="Why, for those who approve.")


@click.command()
@click.argument("bundle", type=asking.existing)
@_note
@_data
@asking.as_json
def publish(bundle: Path, note: str, data: Path | None, as_json: bool) -> None:
    """Ask for a signed policy to come into force. People decide: one if it is proved to be no easier, else two.

    Whoever asks has no vote. Exit 0: it waits for people, or is in force. 1: it was refused.

    \b
    Example:  countersign policy publish returns.signed.json --note "Change 118"
    """
    signed = read_bundle(bundle)
    with ApiClient.of(data or load_settings().data) as client:
        handed_in = client.hand_in(signed.model_dump(mode="json"))
        change = {"kind": signed.manifest.kind, "version": signed.manifest.version, "bundle": handed_in, "note": note}
        found = governed.ask(client, "policy.publish", change)
    governed.tell(found, as_json)


@click.command()
@click.argument("kind")
@click.argument("version")
@_note
@_data
@asking.as_json
def rollback(kind: str, version: str, note: str, data: Path | None, as_json: bool) -> None:
    """Ask for an earlier VERSION of KIND to come into force again. People decide, as for any change.

    It ends the present version. One that is still to come takes over on its day all the same.

    \b
    Example:  countersign policy rollback returns 2026.11-2 --note "The new limit lets too much through"
    """
    with ApiClient.of(data or load_settings().data) as client:
        versions = next((each.versions for each in client.policies() if each.kind == kind), None)
        if versions is None:
            raise NotFound(f"There is no policy for '{kind}'.", hint="countersign policy history shows them.")
        row = next((each for each in versions if each.version == version), None)
        if row is None:
            known = ", ".join(dict.fromkeys(each.version for each in versions))
            raise NotFound(f"There is no version '{version}' of {kind}.", hint=f"There are: {known}.")
        change = {"kind": kind, "version": version, "digest": row.digest, "note": note}
        found = governed.ask(client, "policy.roll_back", change)
    governed.tell(found, as_json)


@click.command()
@click.argument("bundle")
@_data
def draft(bundle: str, data: Path | None) -> None:
    """Print the policy that waits for approval: its text, and on standard error who signed it.

    BUNDLE stands in the approval. Hold it against the version in force with diff:

    \b
    Examples:
      countersign policy draft 3f9c… > new.yaml
      countersign policy diff policies/books/returns.yaml new.yaml --kind returns
    """
    with ApiClient.of(data or load_settings().data) as client:
        found = client.draft(bundle)
    click.echo(found["text"], nl=False)
    click.echo(f"Signed by {', '.join(each['name'] for each in found['signatures']) or 'nobody'}.", err=True)


@click.command()
@click.argument("kind", required=False, default="")
@click.option("--text", "version", metavar="VERSION", help="Print that version's file instead.")
@_data
@asking.as_json
def history(kind: str, version: str | None, data: Path | None, as_json: bool) -> None:
    """Every version that was published, newest first, by whom it was signed, and by which case it came.

    What is in force now has a * before it.

    \b
    Example:
      countersign policy history returns
      countersign policy history returns --text 2026.11-2 > returns.yaml
    """
    if version and not kind:
        raise click.UsageError("--text needs a kind: countersign policy history KIND --text VERSION")
    with opened(data) as database:
        if version:
            row = database.transact(HOME, lambda ledger: ledger.policies.version(kind, str(version)), writes=False)
            click.echo(row.text, nl=False)
            return
        rows = database.transact(HOME, lambda ledger: ledger.policies.published(kind), writes=False)
        now = database.clock.now()
    if not rows:
        raise NotFound(f"No policy{f' for {kind}' if kind else ''} was ever in force here.", hint="Check --data.")
    present = {_in_force([row for row in rows if row.kind == each], now) for each in {row.kind for row in rows}}
    if as_json:
        told = ({**row.model_dump(exclude={"text", "workspace"}), "in_force": row.id in present} for row in rows)
        echo_json(list(told)[::-1])
        return
    for row in reversed(rows):
        mark = "*" if row.id in present else " "
        click.echo(f"{mark} {row.at:%Y-%m-%d %H:%M}  {row.kind:14} {row.version:14} {row.digest[:12]}  {_came(row)}")


def _came(row: PolicyRow) -> str:
    match row.source:
        case "published":
            who = ", ".join(str(each["name"]) for each in row.signatures) or "nobody"
            return f"signed by {who}, {row.case_id}"
        case "rolled_back":
            return f"brought back, {row.case_id}"
        case other:
            return other


def _in_force(rows: list[PolicyRow], now: datetime) -> int | None:
    """The row of a kind that is in force; None outside the dates of all, and where a kind is not installed here."""
    standing: dict[int, int | None] = {}
    versions: list[Standing] = []
    for row in rows:
        with suppress(PolicyRefused, click.UsageError):
            book = read_book((f"{row.kind} {row.version}", row.text), asking.vocabulary(Path(row.kind), row.kind))
            versions.append(Standing.of(book, row.at if versions else None))  # as the house stocks its shelf
            standing[id(versions[-1])] = row.id
    found = standing_at(versions, now)
    return standing[id(found)] if found and found.book.in_force.covers(now.date()) else None
