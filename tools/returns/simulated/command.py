"""`countersign world`: makes the shop that a demo, a test or `countersign shop` starts from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tools.returns.simulated.world import MOST_ORDERS, generate


@click.group()
def world() -> None:
    """Make a world: a shop's customers, goods, orders and past returns.

    \b
    Example:
      countersign world generate --seed 7 --orders 2000
    """


@world.command("generate")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed, the same world.")
@click.option("--orders", type=click.IntRange(1, MOST_ORDERS), default=5000, show_default=True, help="How many orders.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("world.json"), show_default=True)
@click.option(
    "--now",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="The moment, in UTC, at which the world stands. [default: last midnight]",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def generate_world(seed: int, orders: int, out: Path, now: datetime | None, force: bool) -> None:
    """Generate a world and write it to a JSON file.

    \b
    Example:
      countersign world generate --seed 7 --orders 2000 --out shop.json
      countersign shop --world shop.json
    """
    at = (now or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)).replace(tzinfo=UTC)
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("orders", total=orders)
        made = generate(seed, orders, at, lambda: progress.advance(task))
    made.save(out, force=force)
    sizes = ", ".join(f"{len(found):,} {name.replace('_', ' ')}" for name, found in made.records.items() if found)
    click.echo(f"{out}: seed {seed}, as of {at:%Y-%m-%d %H:%M} UTC: {sizes}.")
