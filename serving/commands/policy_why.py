"""`countersign policy why`: what policy said of a recorded action, rule by rule, by the very text that decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from core.actions import JSON
from core.console import echo_json
from core.verdicts import Fact, FactValue
from graphs.catalog import vocabulary
from ledger.database import Ledger
from ledger.tables import SYSTEM, ActionRow, DecisionRow
from policies.book import Book, read_book
from policies.commands import asking
from policies.explain import explain
from serving.commands.ledger_access import opened


@click.command()
@click.argument("action")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
@asking.as_json
def why(action: str, data: Path | None, as_json: bool) -> None:
    """Say what policy decided on a recorded ACTION, each time that it was asked, and which rules made it so.

    Decisions of a version that this ledger does not hold are told as they were recorded, without the other rules.

    \b
    Example:  countersign policy why 3f9c… --data .countersign/demo
    """
    with opened(data) as database:
        row, decisions, books = database.transact(SYSTEM, lambda ledger: _recorded(ledger, action), writes=False)
    told = [_told(row, decision, books.get(str(decision.body["book"]["digest"]))) for decision in decisions]
    if as_json:
        echo_json(
            {"action": row.id, "case": row.case_id, "described": row.described, "decisions": [t[0] for t in told]}
        )
        return
    click.echo(f"{row.described}\n{row.case_id}, proposed by {row.proposer}")
    for _, text in told:
        click.echo(f"\n{text}")


def _recorded(ledger: Ledger, name: str) -> tuple[ActionRow, list[DecisionRow], dict[str, str]]:
    row = ledger.effects.action_by_prefix(name)
    texts = {each.digest: each.text for each in ledger.policies.published(row.kind)}
    return row, ledger.effects.decisions(row.id), texts


def _told(row: ActionRow, decision: DecisionRow, text: str | None) -> tuple[dict[str, JSON], str]:
    body: dict[str, Any] = decision.body
    book = body["book"]
    head = f"{decision.at:%Y-%m-%d %H:%M} at the {decision.stage}: {decision.verdict}. {body['reason']}"
    found: dict[str, JSON] = {"at": decision.at.isoformat(), "stage": decision.stage, **body}
    if text is None:
        rules = [
            f"  {match['rule']}: {match['decides']}. {match['reason']} ({match['cite']})" for match in body["matches"]
        ]
        return found, "\n".join([head, f"policy {book['policy']} {book['version']} ({book['digest'][:12]})", *rules])
    facts: dict[str, FactValue] = {path: Fact.model_validate(fact).value for path, fact in body["facts"].items()}
    explanation = explain(_book(row.kind, text), row.tool, facts)
    return {**found, "rules": explanation.as_json()["rules"]}, f"{head}\n{explanation.as_text()}"


def _book(kind: str, text: str) -> Book:
    return read_book((f"{kind}.yaml", text), vocabulary(kind))
