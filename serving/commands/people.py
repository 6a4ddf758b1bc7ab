"""`countersign people`: who there is, with which roles and tokens. Works on the data folder, also beside a server."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.console import echo_json
from core.people import ROLES, Person
from core.settings import load_settings
from serving.commands import governed
from serving.commands.client import ApiClient
from serving.commands.ledger_access import opened

if TYPE_CHECKING:
    from ledger.database import Ledger
    from ledger.tables import PersonRow

_data = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
_days = click.option(
    "--days", type=click.IntRange(1, 3650), help="How long the token is good.  [default: until revoked]"
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
_name = click.argument("name")
_ME = Person(id=os.environ.get("USER") or "local")


def _folder(data: Path | None) -> Path:
    return data or load_settings().data


def _lifetime(days: int | None) -> timedelta | None:
    return timedelta(days=days) if days else None


@click.group()
def people() -> None:
    """People, their roles and their tokens.

    A role is one of the house's own (viewer, service, operator, compliance, admin) or a reviewers' role of
    a policy. A token is shown once, and only its hash is kept.

    \b
    Example:
      countersign people add anna --role returns_reviewer
    """


@people.command("add")
@_name
@click.option("--role", "roles", multiple=True, required=True, help="May be given several times.")
@_days
@_data
def add(name: str, roles: tuple[str, ...], days: int | None, data: Path | None) -> None:
    """Add NAME, or give them other roles, and print a token for them.

    \b
    Example:  countersign people add anna --role finance_controller --days 90
    """
    for role in set(roles) - ROLES.keys():
        if role not in (asked := _reviewer_roles()):
            click.echo(f"No policy here asks for the role {role}. There are: {', '.join(asked)}.", err=True)

    def work(ledger: Ledger) -> str:
        ledger.people.add(_ME.workspace, name, frozenset(roles))
        token = ledger.people.new_token(_ME.workspace, name, _lifetime(days))
        _note(ledger, "person.added", name, roles=sorted(roles), days=days or 0)
        return token

    with opened(data, create=True) as database:
        token = database.transact(_ME.workspace, work)
    click.echo(f"{name} is {', '.join(sorted(roles))}. The token is shown only now:", err=True)
    click.echo(token)


@people.command("grant")
@_name
@click.option("--role", "roles", multiple=True, help="All the roles that they have then; none ends their access.")
@click.option("--note", default="", help="Why, for those who approve.")
@_data
@_as_json
def grant(name: str, roles: tuple[str, ...], note: str, data: Path | None, as_json: bool) -> None:
    """Ask for NAME to have these roles and no others, on a running server. People decide; who asks has no vote.

    `countersign people add` is for whoever holds the data folder, to set the house up.

    \b
    Example:  countersign people grant anna --role returns_reviewer --note "Joined the desk in May"
    """
    change = {"person": name, "roles": list(roles), "note": note}
    with ApiClient.of(_folder(data)) as client:
        found = governed.ask(client, "people.grant", change)
    governed.tell(found, as_json)


@people.command("token")
@_name
@_days
@_data
def new_token(name: str, days: int | None, data: Path | None) -> None:
    """Print another token for NAME; earlier ones stay good.

    \b
    Example:  export COUNTERSIGN_TOKEN=$(countersign people token anna)
    """

    def work(ledger: Ledger) -> str:
        ledger.people.get(_ME.workspace, name)
        _note(ledger, "token.issued", name, days=days or 0)
        return ledger.people.new_token(_ME.workspace, name, _lifetime(days))

    with opened(data) as database:
        click.echo(database.transact(_ME.workspace, work))


@people.command("revoke")
@_name
@_data
def revoke(name: str, data: Path | None) -> None:
    """End all tokens of NAME, at once. The person and their roles stay; to keep them out, suspend them.

    \b
    Example:  countersign people revoke anna
    """

    def work(ledger: Ledger) -> int:
        ledger.people.get(_ME.workspace, name)
        ended = ledger.people.revoke(name)
        _note(ledger, "tokens.revoked", name, tokens=ended)
        return ended

    with opened(data) as database:
        ended = database.transact(_ME.workspace, work)
    click.echo(f"{ended} token{'' if ended == 1 else 's'} of {name} revoked.")


@people.command("suspend")
@_name
@_data
def suspend(name: str, data: Path | None) -> None:
    """Shut NAME out at once, and end their tokens. Only `grant` or `add` lets them in again.

    \b
    Example:  countersign people suspend anna
    """

    def work(ledger: Ledger) -> None:
        ledger.people.suspend(_ME.workspace, name)
        _note(ledger, "person.suspended", name, tokens=ledger.people.revoke(name))

    with opened(data) as database:
        database.transact(_ME.workspace, work)
    click.echo(f"{name} is shut out.")


@people.command("link")
@_name
@click.option("--subject", required=True, help="Who they are at the issuer: the claim 'sub' of their tokens.")
@click.option("--issuer", help="Where they sign in.  [default: the settings' one]")
@_data
def link(name: str, subject: str, issuer: str | None, data: Path | None) -> None:
    """Say that NAME, who was added here, is this identity of the issuer. One person has one.

    \b
    Example:  countersign people link anna --subject 5f0c9f0e --issuer https://id.example.com/realms/desk
    """
    where = issuer or load_settings().oidc.issuer
    if not where:
        raise click.UsageError("No issuer is known: name it with --issuer, or set COUNTERSIGN_OIDC__ISSUER.")

    def work(ledger: Ledger) -> None:
        ledger.people.get(_ME.workspace, name)
        ledger.people.link(_ME.workspace, where, subject, name)
        _note(ledger, "person.linked", name, issuer=where, subject=subject)

    with opened(data) as database:
        database.transact(_ME.workspace, work)
    click.echo(f"{name} signs in at {where}.")


@people.command("list")
@_data
@_as_json
def everyone(data: Path | None, as_json: bool) -> None:
    """Who there is, and with which roles.

    \b
    Example:  countersign people list --json
    """
    with opened(data) as database:
        rows = database.transact(_ME.workspace, _everyone, writes=False)
    if as_json:
        echo_json([{"id": row.id, "roles": row.roles} for row in rows])
        return
    wide = max((len(row.id) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row.id:<{wide}}  {', '.join(row.roles)}")


def _everyone(ledger: Ledger) -> list[PersonRow]:
    return [row for row in ledger.people.everyone() if row.active]


def _note(ledger: Ledger, what: str, name: str, **more: object) -> None:
    """Who may decide is as much a matter of record as what they decided."""
    ledger.audit.append(what, {"person": name, "by": _ME.id, **more})


def _reviewer_roles() -> list[str]:
    from graphs.catalog import kinds, vocabulary  # heavy, and only a new role has to be looked up
    from policies.book import read_book

    settings = load_settings()
    found = set()
    for name, kind in kinds().items():
        path = settings.policies / kind.book.name if settings.policies else kind.book
        found |= {group.role for group in read_book(path, vocabulary(name)).reviewers.values()}
    return sorted(found)
