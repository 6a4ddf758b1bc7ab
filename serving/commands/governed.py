"""What comes of a change that people decide on, told on the command line."""

from __future__ import annotations

from collections.abc import Mapping

import click

from core.actions import JSON
from core.console import echo_json
from core.ids import new_id
from core.wire import CaseDetail
from serving.commands.client import ApiClient

KIND = "governance"
_WAIT_S = 60
"""How long a command waits until the case has settled: proofs take a second or two."""


def ask(client: ApiClient, do: str, change: Mapping[str, JSON]) -> CaseDetail:
    """Opens the case that carries a change before people."""
    found, _ = client.submit(KIND, {"do": do, "change": dict(change)}, new_id("cli"), _WAIT_S)
    return found


def tell(found: CaseDetail, as_json: bool) -> None:
    """Says whom it waits for, or how it ended. Exits 1 if it was refused."""
    case = found.case
    if as_json:
        echo_json(found.model_dump(mode="json"))
    elif case.waiting_for:
        click.echo(f"{case.id} waits for {', '.join(case.waiting_for)}.")
        for approval in found.approvals:
            click.echo(f"  {approval.described}: {approval.reason}")
        click.echo("They decide in the desk: countersign desk", err=True)
    else:
        click.echo(f"{case.id}: {case.outcome or case.status}. {found.summary}".rstrip())
    if case.outcome and case.outcome != "changed":
        raise click.exceptions.Exit(1)
