"""`countersign workers`: who is at work. It looks at the records themselves, beside whatever runs on them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import echo_json
from core.settings import load_settings
from ledger.tables import SYSTEM
from serving.commands.ledger_access import opened

if TYPE_CHECKING:
    from ledger.database import Ledger
    from ledger.process_tables import WorkerRow


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def workers(data: Path | None, as_json: bool) -> None:
    """Who is at work, with which release, and how many cases each has in hand. Exit 1 if one is dead, or none is alive.

    A worker is dead when it was not heard of for a lease (COUNTERSIGN_ENGINE__LEASE_S), or did not end by itself; its
    cases go on elsewhere. Those that stopped are listed for some days.

    \b
    Example:  countersign workers --json
    """
    lease = timedelta(seconds=load_settings().engine.lease_s)
    with opened(data) as database:
        found = database.transact(SYSTEM, lambda ledger: _listed(ledger, lease), writes=False)
    if as_json:
        echo_json(found)
    else:
        wide = max((len(each["worker"]) for each in found), default=6)
        for each in found:
            said = f"heard of {each['silent_s']:.0f} s ago" if each["state"] in ("alive", "draining", "dead") else ""
            click.echo(
                f"{each['worker']:<{wide}}  {each['state']:<8}  {each['cases']:>3} in hand  "
                f"{each['release']:<12}  {each['role']:<6}  {each['host']}:{each['pid']}  {said}".rstrip()
            )
        if not found:
            click.echo("Nobody has been at work here.", err=True)
    states = {each["state"] for each in found}
    if "dead" in states or not states & {"alive", "draining"}:
        click.get_current_context().exit(1)


def _listed(ledger: Ledger, lease: timedelta) -> list[dict[str, Any]]:
    in_hand = ledger.workers.in_hand()
    return [
        {
            "worker": row.id,
            "state": _state(ledger, row, lease),
            "cases": in_hand.get(row.id, 0),
            "release": row.release,
            "role": row.role,
            "host": row.host,
            "pid": row.pid,
            "started_at": row.started_at.isoformat(),
            "beat_at": row.beat_at.isoformat(),
            "silent_s": round((ledger.now - row.beat_at).total_seconds(), 1),
        }
        for row in ledger.workers.everyone()
    ]


def _state(ledger: Ledger, row: WorkerRow, lease: timedelta) -> str:
    if ledger.workers.alive(row, lease):
        return "draining" if row.draining else "alive"
    return "stopped" if row.stopped_at is not None and row.draining else "dead"
