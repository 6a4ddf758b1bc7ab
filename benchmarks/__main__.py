"""`python -m benchmarks [NAME...]`: takes the figures named, or all, and prints them in one table."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from pathlib import Path

import click

from benchmarks.measure import Report, machine
from benchmarks.table import as_json, show

NAMES = (
    "full",
    "waiting",
    "cases",
    "policy",
    "decisions",
    "backtest",
    "effect",
    "intake",
    "events",
    "start",
    "demo",
    "proofs",
    "threads",
    "sealing",
    "streams",
    "customer",
)
"""Each is a module here with `async def measured(quick: bool) -> Report`."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Few rounds: to see that it works, not to compare.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
def bench(names: tuple[str, ...], quick: bool, file: Path | None) -> None:
    """Speed, each figure beside its floor.

    NAME is full, waiting, cases, policy, decisions, backtest, effect, intake, events, start, demo, proofs, threads,
    sealing, streams or customer.

    \b
    Example:  python -m benchmarks policy effect --quick
    """
    about, whole = machine(), Report()
    for name in names or NAMES:
        print(f"{name} …", file=sys.stderr, flush=True)
        part: Report = asyncio.run(importlib.import_module(f"benchmarks.{name}").measured(quick))
        whole.figures += part.figures
        whole.notes += part.notes
    show(about, whole)
    if file:
        file.write_text(json.dumps(as_json(about, whole), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    bench()
