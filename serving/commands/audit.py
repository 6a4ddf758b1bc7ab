"""`countersign audit`: does the chain hold, do the books agree with the provider."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from core.clock import SystemClock
from core.console import echo_json
from core.errors import SetupError
from core.settings import Settings, load_settings
from engine.checker import Checker, Report
from graphs.catalog import kinds
from graphs.kind import Outside
from ledger.audit import BrokenLink
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM
from serving.commands.ledger_access import opened
from tools.contract import Toolbelt
from tools.fulfillment.http import HttpShop
from tools.fulfillment.shop import EmbeddedShop
from tools.vision.ports import NoScorer

_data = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


def _settings(data: Path | None) -> Settings:
    return load_settings(**({"data": data} if data else {}))


@click.group()
def audit() -> None:
    """Hold the records against themselves and against the provider's. Works beside a running server.

    \b
    Example:
      countersign audit verify
      countersign audit check
    """


@audit.command("verify")
@_data
@_as_json
@click.pass_context
def verify(context: click.Context, data: Path | None, as_json: bool) -> None:
    """Follow the audit chain, link by link. Exit 1 names the first that does not hold.

    \b
    Example:  countersign audit verify --data .countersign/demo
    """
    with opened(data) as database:
        found = database.transact(SYSTEM, _verified, writes=False)
    broken = [link for _, link in found.values() if link is not None]
    if as_json:
        echo_json(
            {
                "holds": not broken,
                "entries": {workspace: entries for workspace, (entries, _) in found.items()},
                "broken": [link.model_dump() for link in broken],
            }
        )
    else:
        for workspace, (entries, link) in found.items():
            if link is None:
                click.echo(f"{workspace}: {entries:,} entries, the chain holds.")
            else:
                click.echo(f"{workspace}: broken at entry {link.seq}: {link.why}. {entries:,} entries before it hold.")
        if not found:
            click.echo("There are no entries yet.")
    context.exit(1 if broken else 0)


def _verified(ledger: Ledger) -> dict[str, tuple[int, BrokenLink | None]]:
    return {workspace: ledger.audit.verify(workspace) for workspace in ledger.audit.workspaces()}


@audit.command("check")
@_data
@_as_json
@click.pass_context
def check(context: click.Context, data: Path | None, as_json: bool) -> None:
    """Compare effects, approvals and queue with the provider's own log. Exit 1 if something does not agree.

    \b
    Example:  countersign audit check --json
    """
    settings = _settings(data)
    with opened(data) as database:
        report = asyncio.run(_checked(settings, database))
    if as_json:
        echo_json(report.model_dump(mode="json"))
    else:
        click.echo(f"{report.cases:,} cases, {report.unfinished:,} of them unfinished.")
        click.echo(f"{report.runs:,} effects in the ledger, {report.provider_calls:,} calls in the provider's log.")
        for finding in report.findings:
            click.echo(f"{finding.what}: {finding.case_id}: {finding.detail}")
        lost, twice = report.count("lost"), report.count("duplicated")
        click.echo(f"{lost} lost, {twice} duplicated, {len(report.findings) - lost - twice} other findings.")
    context.exit(1 if report.findings else 0)


async def _checked(settings: Settings, database: Database) -> Report:
    found, clock = kinds(), SystemClock()
    shop: HttpShop | EmbeddedShop
    if settings.shop.url:
        shop = HttpShop(settings.shop.url, settings.shop.token.get_secret_value(), settings.shop.timeout_s)
    elif (path := settings.data / "shop.db").exists():
        masters = settings.keys.masters(settings.data)
        shop = EmbeddedShop(path, [kind.dialect for kind in found.values()], clock, masters=masters)
    else:
        raise SetupError(
            f"There is no provider's log in {settings.data}.", hint="Name the provider: COUNTERSIGN_SHOP__URL."
        )
    try:
        outside = Outside(shop, NoScorer(), clock, settings.data / "attachments")
        checker = Checker(database, shop, Toolbelt.joined([Toolbelt(kind.tools(outside)) for kind in found.values()]))
        report = await checker.check()
        if report.findings:  # the log is read before the ledger: what a server did in between is gone at a second look
            before, report = report.findings, await checker.check()
            report.findings = [finding for finding in report.findings if finding in before]
        return report
    finally:
        await shop.close()
