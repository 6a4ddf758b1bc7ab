"""`countersign submit` and `countersign cases`: work with a running server from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from core.actions import JSON
from core.console import echo_json
from core.errors import InvalidInput
from core.ids import new_id
from core.settings import load_settings
from core.states import CaseStatus
from serving.commands import telling
from serving.commands.client import ApiClient
from serving.commands.effects import compensate, unknown

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder of the server.  [default: the settings' one]"
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
_MOST_WAIT_S = 120


def _client(data: Path | None) -> ApiClient:
    return ApiClient.of(data or load_settings().data)


@click.command()
@click.argument("kind")
@click.option("--letter", default="", help="What the customer wrote.")
@click.option("--letter-file", type=click.File("rb"), help="The same from a file, or - for standard input.")
@click.option("--order", default="", metavar="ID", help="The order that it is about, if it is known.")
@click.option("--customer", default="", metavar="ID", help="Who asks.")
@click.option("--photo", "photos", multiple=True, type=click.File("rb"), help="A photo; may be given several times.")
@click.option("--payload", type=click.File("rb"), help="The whole request as JSON, or - for standard input.")
@click.option(
    "--wait", type=click.IntRange(0, _MOST_WAIT_S), default=0, metavar="SECONDS", help="Wait until it has settled."
)
@click.option(
    "--priority", type=click.IntRange(0, 9), default=0, help="Higher goes first; above 0 it takes an operator."
)
@click.option("--key", default="", help="Idempotency key: the same key and request open one case.")
@_data
@_as_json
def submit(
    kind: str,
    letter: str,
    letter_file: Any,
    order: str,
    customer: str,
    photos: tuple[Any, ...],
    payload: Any,
    wait: int,
    priority: int,
    key: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Open a case of KIND.

    \b
    Example:
      countersign submit returns --customer cus_000448 --letter 'The boots of ORD-5098889 do not fit.'
      countersign submit KIND --payload request.json --wait 10
    """
    if letter and letter_file:
        raise InvalidInput("--letter and --letter-file exclude each other.", field="letter", hint="Give one of them.")
    request = _json_object(payload) if payload else {}
    given = {
        "letter": _text(letter_file) if letter_file else letter,
        "order_id": order,
        "customer_id": customer,
    }
    request |= {name: value for name, value in given.items() if value}
    key = key or new_id("cli")
    with _client(data) as client:
        if photos:
            request["photos"] = [*request.get("photos", []), *(client.attach(photo.read()) for photo in photos)]
        found, settled = client.submit(kind, request, key, wait, priority)
    if as_json:
        echo_json(found.model_dump(mode="json"))
        return
    for line in telling.detail(found) if wait else [telling.row(found.case)]:
        click.echo(line)
    if wait and not settled:
        click.echo(f"It goes on: countersign cases {found.case.id} --follow", err=True)


def _named(file: Any) -> str:
    name = str(getattr(file, "name", "<stdin>"))
    return "Standard input" if name == "<stdin>" else name


def _text(file: Any) -> str:
    try:
        return str(file.read().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{_named(file)} is no UTF-8 text.", field="letter", hint="Convert it first.") from error


def _json_object(file: Any) -> dict[str, JSON]:
    try:
        found = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{_named(file)} is no JSON: {error}.", field="payload", hint="Correct it.") from error
    if not isinstance(found, Mapping):
        raise InvalidInput(f"{_named(file)} is no JSON object.", field="payload", hint="Write {…}.")
    return dict(found)


class _Cases(click.Group):
    """Lists or shows where no command of its own is named: ids begin with `case_`, so none looks like one."""

    shows: click.Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self.shows

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.shows.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS] [ID]"]


_SHOW = "show"


@click.group(cls=_Cases)
def cases() -> None:
    """List cases, the newest first, or show one with its plan, actions, approvals and costs.

    \b
    Example:
      countersign cases --status waiting --limit 10
      countersign cases ID --follow
      countersign cases fork ID
    """


@click.command()
@click.argument("case_id", metavar="[ID]", default="")
@click.option("--status", multiple=True, type=click.Choice([each.value for each in CaseStatus]), help="Only such ones.")
@click.option("--kind", default="", help="Only of this kind.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500))
@click.option("--follow", is_flag=True, help="Stream what happens in one case until it ends.")
@_data
@_as_json
def _shown(
    case_id: str, status: tuple[str, ...], kind: str, limit: int, follow: bool, data: Path | None, as_json: bool
) -> None:
    """List cases, or show one."""
    if follow and not case_id:
        raise InvalidInput("Only one case can be followed.", field="follow", hint="Give its ID.")
    with _client(data) as client:
        if follow:
            _follow(client, case_id, as_json)
        elif case_id:
            found = client.case(case_id)
            if as_json:
                echo_json(found.model_dump(mode="json"))
            else:
                click.echo("\n".join(telling.detail(found)))
        else:
            page = client.cases(status, kind, limit)
            if as_json:
                echo_json(page.model_dump(mode="json"))
            else:
                click.echo("\n".join([telling.row(case) for case in page.items] or ["There are no such cases."]))


def _follow(client: ApiClient, case_id: str, as_json: bool) -> None:
    try:
        for entry in client.events(case_id):
            click.echo(entry.model_dump_json() if as_json else telling.entry(entry))
    except KeyboardInterrupt as stopped:
        raise click.Abort from stopped


_Cases.shows = _shown


@cases.command()
@click.argument("case_id", metavar="CASE")
@click.argument("checkpoint", metavar="[CHECKPOINT]", default="")
@_data
@_as_json
def checkpoints(case_id: str, checkpoint: str, data: Path | None, as_json: bool) -> None:
    """List the steps of a case that are kept, with what was known at each, or show one. Nothing is changed.

    \b
    Example:
      countersign cases checkpoints CASE
      countersign cases checkpoints CASE CHECKPOINT
    """
    with _client(data) as client:
        if checkpoint:
            one = client.checkpoint(case_id, checkpoint)
            _tell(one, telling.step(one), as_json)
        else:
            every = client.checkpoints(case_id)
            _tell(every, telling.steps(every), as_json)


@cases.command()
@click.argument("case_id", metavar="CASE")
@click.option("--at", default="", metavar="CHECKPOINT", help="Begin there.  [default: where something was left to do]")
@_data
@_as_json
def fork(case_id: str, at: str, data: Path | None, as_json: bool) -> None:
    """Copy a case, to see what would have come of something else.

    The copy thinks, asks and is approved like any case, but its effects are simulated: nothing is paid or sent, it
    costs nothing, and what is approved in it approves nothing in the original. What it reads is the world as it is
    now. It takes the role operator.

    \b
    Example:
      countersign cases fork CASE --at CHECKPOINT
    """
    with _client(data) as client:
        copy = client.fork(case_id, at)
    _tell(copy, [telling.row(copy), f"Follow it: countersign cases {copy.id} --follow"], as_json)


@cases.command()
@click.argument("case_id", metavar="CASE")
@_data
@_as_json
def retry(case_id: str, data: Path | None, as_json: bool) -> None:
    """Try a case again that failed, or that waits until something outside is back. It takes the role operator.

    \b
    Example:
      countersign cases retry CASE
    """
    with _client(data) as client:
        case = client.retry(case_id)
    _tell(case, [telling.row(case)], as_json)


cases.add_command(unknown)
cases.add_command(compensate)


def _tell(found: BaseModel, lines: Iterable[str], as_json: bool) -> None:
    if as_json:
        echo_json(found.model_dump(mode="json"))
    else:
        click.echo("\n".join(lines))
