"""`countersign desk`: the application, and the same work in plain lines for scripts and screen readers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from core.console import echo_json
from core.errors import Forbidden, InvalidInput, SetupError
from core.wire import REASON_CODES
from core.wire_approvals import ApprovalDetail

if TYPE_CHECKING:
    from desk.ballots import Ballot, Choice
    from desk.client import DeskClient
    from desk.connection import Connection

T = TypeVar("T")

as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
the_id = click.argument("approval_id", metavar="ID")


@click.group(invoke_without_command=True)
@click.option("--url", default="", help="Address of the server; the one that runs here if not given.")
@click.option("--token", default="", help="Your token there.")
@click.option("--light", is_flag=True, help="Dark letters on a light ground.")
@click.pass_context
def desk(context: click.Context, url: str, token: str, light: bool) -> None:
    """Decide what waits for people: on a screen, or line by line.

    \b
    Examples:
      countersign desk            opens the desk
      countersign desk next       reads out what is due first
      countersign desk decide ID reject --reason wrong_amount --note "Shipping is not due."
    """
    context.obj = (url, token)
    if context.invoked_subcommand is not None:
        return
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise SetupError("The desk needs a terminal.", hint="In a pipe use `countersign desk next` and `desk decide`.")
    connection = _connection(context)
    from desk.app import run_desk

    asyncio.run(run_desk(connection, light=light))


def _connection(context: click.Context) -> Connection:
    from desk.connection import find_connection

    url, token = context.obj
    return find_connection(url, token)


def _ask(context: click.Context, work: Callable[[DeskClient], Awaitable[T]]) -> T:
    from desk.client import DeskClient

    async def asked() -> T:
        async with DeskClient(_connection(context)) as client:
            return await work(client)

    return asyncio.run(asked())


def _now() -> Any:
    from core.clock import SystemClock

    return SystemClock().now()


def _print_detail(detail: ApprovalDetail) -> None:
    from desk import reading

    click.echo(reading.row_line(detail.approval, _now()))
    if detail.approval.status != "open":
        click.echo(f"It is {detail.approval.status} already.")
    if detail.approval.high_risk:
        click.echo("High risk: it can't be taken back, and several people are asked.")
    for section in reading.evidence(detail):
        click.echo(f"\n{section.title.upper()}")
        for line in section.lines:
            click.echo(line.text)
    click.echo(f"\nseen {detail.seen}")


@desk.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@as_json
@click.pass_context
def list_open(context: click.Context, limit: int, as_json: bool) -> None:
    """What waits for people, due first.

    \b
    Example:
      countersign desk list --limit 10
    """
    from desk import reading

    page = _ask(context, lambda client: client.approvals(limit=limit))
    if as_json:
        echo_json(page.model_dump(mode="json"))
        return
    for row in page.items:
        click.echo(reading.row_line(row, _now()))
    total = page.total if page.total is not None else len(page.items)
    click.echo(f"{total} waiting." if total == len(page.items) else f"{len(page.items)} of {total} waiting.")


@desk.command("next")
@as_json
@click.pass_context
def show_next(context: click.Context, as_json: bool) -> None:
    """What is due first, is yours to decide, has no vote of yours, and is held by nobody else. Exit 1 if there is none.

    \b
    Example:
      countersign desk next
    """
    from desk import reading

    async def find(client: DeskClient) -> ApprovalDetail | None:
        me, page = await client.me(), await client.approvals()
        now = _now()
        for row in page.items:
            if reading.holder(row, now) not in {"", me.id} or not set(row.roles) & set(me.roles):
                continue
            try:
                detail = await client.approval(row.id)
            except Forbidden:
                continue
            if all(vote.person != me.id for vote in detail.votes):
                return detail
        return None

    detail = _ask(context, find)
    if as_json:
        echo_json(None if detail is None else detail.model_dump(mode="json"))
    elif detail is None:
        click.echo("Nothing waits for you.")
    else:
        _print_detail(detail)
    context.exit(0 if detail else 1)


@desk.command("show")
@the_id
@as_json
@click.pass_context
def show(context: click.Context, approval_id: str, as_json: bool) -> None:
    """One approval with its evidence, in plain lines.

    \b
    Example:
      countersign desk show ID
    """
    detail = _ask(context, lambda client: client.approval(approval_id))
    if as_json:
        echo_json(detail.model_dump(mode="json"))
    else:
        _print_detail(detail)


@desk.command("claim")
@the_id
@as_json
@click.pass_context
def claim(context: click.Context, approval_id: str, as_json: bool) -> None:
    """Hold it for five minutes, so that nobody else decides it.

    \b
    Example:
      countersign desk claim ID
    """
    row = _ask(context, lambda client: client.claim(approval_id))
    if as_json:
        echo_json(row.model_dump(mode="json"))
    else:
        until = f" until {row.claimed_until:%H:%M:%S} UTC" if row.claimed_until else ""
        click.echo(f"{row.id} is held by {row.claimed_by}{until}.")


@desk.command("release")
@the_id
@as_json
@click.pass_context
def release(context: click.Context, approval_id: str, as_json: bool) -> None:
    """Give it back.

    \b
    Example:
      countersign desk release ID
    """
    row = _ask(context, lambda client: client.release(approval_id))
    if as_json:
        echo_json(row.model_dump(mode="json"))
    else:
        click.echo(f"{row.id} is free.")


@desk.command("decide")
@the_id
@click.argument("choice", type=click.Choice(["approve", "reject", "edit"]))
@click.option("--reason", default="", metavar="CODE", help=f"Why it is rejected: {', '.join(REASON_CODES)}.")
@click.option("--note", default="", help="In your words, for the agent and the file.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help='Another argument, as amount="12.50 USD".')
@click.option("--seen", default="", help="The digest `desk show` gave: if it changed since, nothing is decided.")
@click.option("--yes", is_flag=True, help="Don't ask again.")
@as_json
@click.pass_context
def decide(
    context: click.Context,
    approval_id: str,
    choice: Choice,
    reason: str,
    note: str,
    sets: tuple[str, ...],
    seen: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Approve, reject or edit one approval.

    \b
    Example:
      countersign desk decide ID approve
      countersign desk decide ID reject --reason wrong_amount --note "Shipping is not due."
      countersign desk decide ID edit --set "amount=12.50 USD"
    """
    if choice == "reject":
        _check_reason(reason, note)
    elif reason:
        raise InvalidInput("Only a rejection has a reason code.", field="reason", hint="Say it in --note.")
    if bool(sets) != (choice == "edit"):
        raise InvalidInput("--set and edit go together.", field="set", hint='Give --set amount="12.50 USD" with edit.')
    detail = _ask(context, lambda client: client.approval(approval_id))
    if seen:
        detail = detail.model_copy(update={"seen": seen})
    meant = _meant(detail, choice, reason, note, sets)
    if not yes:
        _sure(detail, choice, meant)

    async def send(client: DeskClient) -> Any:
        from core.errors import OutcomeUnknown

        try:
            return await client.decide(meant)
        except OutcomeUnknown:
            return await client.decide(meant)  # the same key: it counts once

    decided = _ask(context, send)
    if as_json:
        echo_json(decided.model_dump(mode="json"))
    elif decided.waiting_for:
        click.echo(f"Your vote counts. {decided.approval} waits for {', '.join(decided.waiting_for)}.")
    else:
        click.echo(f"{decided.approval} is {decided.status}.")


def _check_reason(reason: str, note: str) -> None:
    if reason not in REASON_CODES:
        raise InvalidInput(
            "A rejection needs a reason code.", field="reason", hint=f"One of {', '.join(REASON_CODES)}."
        )
    if reason == "other" and not note.strip():
        raise InvalidInput("Other: say in the note what it is.", field="note", hint="Give --note TEXT.")


def _meant(detail: ApprovalDetail, choice: Choice, reason: str, note: str, sets: tuple[str, ...]) -> Ballot:
    from desk import forms
    from desk.ballots import ballot

    args = None
    if choice == "edit":
        texts = dict(_pair(each) for each in sets)
        args = forms.edited(detail.args, detail.args_schema, texts)
        if args == detail.args:
            raise InvalidInput("Nothing was changed.", field="set", hint="Approve it as it is.")
    return ballot(detail, choice, reason_code=reason, note=note, args=args)


def _pair(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise InvalidInput(f"'{text[:60]}' is no PATH=VALUE.", field="set", hint='Write amount="12.50 USD".')
    return path, value


def _sure(detail: ApprovalDetail, choice: str, meant: Ballot) -> None:
    from desk import forms

    if not sys.stdin.isatty():
        raise InvalidInput("Nobody can be asked here whether you are sure.", field="yes", hint="Give --yes.")
    _print_detail(detail)
    for change in forms.changes(detail.args, meant.decide.args or detail.args):
        click.echo(f"{change.path}: {change.old} becomes {change.new}")
    click.confirm(f"{choice.capitalize()} it?", abort=True)


@desk.command("picture")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The SVG file to write.")
@click.option("--width", default=120, show_default=True, type=click.IntRange(40, 400), help="Columns.")
@click.option("--height", default=36, show_default=True, type=click.IntRange(12, 200), help="Rows.")
@click.option("--light", is_flag=True, help="Dark letters on a light ground.")
@click.option(
    "--at", default=1, show_default=True, type=click.IntRange(1, 200), help="Which case of the queue is open."
)
@click.pass_context
def picture(context: click.Context, out: Path, width: int, height: int, light: bool, at: int) -> None:
    """Draw the desk as it stands now, for a document.

    \b
    Example:
      countersign desk picture --out desk.svg
    """
    connection = _connection(context)
    from desk.picture import take_picture

    svg = asyncio.run(take_picture(connection, width=width, height=height, light=light, at=at))
    try:
        out.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{out} can't be written: {error.strerror}.", hint="Choose another file.") from error
    click.echo(f"{out} is written.")
