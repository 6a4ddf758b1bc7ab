"""`countersign events`: send events to a running server, read what it publishes, print what both look like."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import click

from core.console import echo_json
from core.errors import InvalidInput
from core.settings import load_settings
from serving.commands.client import ApiClient

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder of the server.  [default: the settings' one]"
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


@click.group()
def events() -> None:
    """Events by CloudEvents 1.0: in, out, and what they look like.

    \b
    Example:
      countersign events published
    """


@events.command()
@click.argument("file", type=click.File("rb"))
@_data
@_as_json
def send(file: IO[bytes], data: Path | None, as_json: bool) -> None:
    """Send the event in FILE, or an array of them; - is standard input. The same event again changes nothing.

    \b
    Example:  countersign events send scanned.json
    """
    try:
        found = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"It is no JSON: {error}"[:200], hint="Send a CloudEvent, or an array of them.") from error
    with ApiClient.of(data or load_settings().data) as client:
        answer = client.send_events(found)
    items: list[dict[str, Any]] = answer.get("items", [answer])
    refused = int(answer.get("refused", 0))
    if as_json:
        echo_json(answer)
    else:
        for item in items:
            click.echo(_line(item))
    if refused:
        raise click.exceptions.Exit(1)


def _line(item: dict[str, Any]) -> str:
    if "state" not in item:
        return f"refused  {item['detail']}"
    return f"{item['state']:8} {item['case']}  {item['id']}" + (f"  ({item['note']})" if item["note"] else "")


@events.command()
@click.option("--after", type=click.IntRange(0), default=0, help="The position to go on from.", show_default=True)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500))
@_data
@_as_json
def published(after: int, limit: int, data: Path | None, as_json: bool) -> None:
    """Read what the house told others, in order.

    \b
    Example:  countersign events published --after 120 --json
    """
    with ApiClient.of(data or load_settings().data) as client:
        page = client.published(after, limit)
    if as_json:
        echo_json(page.model_dump(mode="json"))
        return
    for event in page.items:
        click.echo(f"{event['time']}  {event['subject']}  {event['type']}  {json.dumps(event.get('data', {}))}")
    click.echo(f"Go on with: --after {page.next}", err=True)


@events.command()
@_as_json
def schema(as_json: bool) -> None:
    """Print the AsyncAPI 3.0 document of all events that come in and go out here.

    \b
    Example:  countersign events schema > docs/asyncapi.yaml
    """
    import yaml

    from engine.bus.asyncapi import document
    from graphs.catalog import kinds

    found = document({name: kind.news for name, kind in kinds().items()}, version=version("countersign-desk"))
    if as_json:
        echo_json(found)
    else:
        click.echo(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=110), nl=False)
