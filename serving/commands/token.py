"""`countersign token`: one's own tokens, and those of service accounts, on a running server."""

from __future__ import annotations

from pathlib import Path

import click

from core.console import echo_json
from core.settings import load_settings
from core.wire_people import MadeToken, NewToken, TokenView
from serving.commands.client import ApiClient

_data = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


def _client(data: Path | None) -> ApiClient:
    return ApiClient.of(data or load_settings().data)


@click.group()
def token() -> None:
    """Tokens that open no more than they have to.

    A scope is a permission (submit, read, claim, decide, operate, audit, govern) or a surface (api, threads, chat,
    mcp). A token is shown once, ends by itself, and is never wider than its person.

    \b
    Example:
      countersign token new --name "nightly export" --scope read --days 30
    """


@token.command("new")
@click.option("--name", default="", help="What it is for.")
@click.option("--scope", "scopes", multiple=True, help="May be given several times.  [default: all that you may]")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    help="The only kinds that it opens cases of. Takes exactly the permission submit, beside any surface.",
)
@click.option(
    "--days", type=click.IntRange(1, 3650), help="How long it is good.  [default: the server's; at most its limit]"
)
@click.option("--person", help="The service account that it is for.  [default: you]")
@_data
@_as_json
def new(
    name: str,
    scopes: tuple[str, ...],
    kinds: tuple[str, ...],
    days: int | None,
    person: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Make a token, and print it.

    \b
    Example:  countersign token new --person shopfront --scope submit --scope chat --kind returns
    """
    wanted = NewToken(name=name, scopes=list(scopes), kinds=list(kinds), days=days, person=person)
    with _client(data) as client:
        made = client.make_token(wanted)
    if as_json:
        echo_json(made.model_dump(mode="json"))
        return
    click.echo(f"{_told(made)}. The token is shown only now:", err=True)
    click.echo(made.token)


@token.command("list")
@click.option("--person", default="", help="Somebody else's.  [default: yours]")
@_data
@_as_json
def listing(person: str, data: Path | None, as_json: bool) -> None:
    """The tokens that open something still.

    \b
    Example:  countersign token list --json
    """
    with _client(data) as client:
        found = client.tokens(person)
    if as_json:
        echo_json([each.model_dump(mode="json") for each in found])
        return
    for each in found:
        used = f"last used {each.last_used_at:%Y-%m-%d %H:%M}" if each.last_used_at else "not used yet"
        click.echo(f"{_told(each)}, {used}")


@token.command("revoke")
@click.argument("token_id")
@_data
def revoke(token_id: str, data: Path | None) -> None:
    """End one token, at once.

    \b
    Example:  countersign token revoke token_01k3r5m8w9y2b4c6d8e0f1g2h3
    """
    with _client(data) as client:
        client.end_token(token_id)
    click.echo(f"{token_id} opens nothing any more.")


def _told(found: TokenView | MadeToken) -> str:
    name = f" '{found.name}'" if found.name else ""
    until = f"until {found.expires_at:%Y-%m-%d}" if found.expires_at else "until revoked"
    held = f", held to {', '.join([*(found.scopes or []), *(found.kinds or [])])}" if found.scopes else ""
    return f"{found.id}{name} of {found.person}, {until}{held}"
