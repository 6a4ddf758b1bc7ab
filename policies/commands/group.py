"""The group itself: which commands there are, and where. Those that need a ledger live in `serving/commands`."""

from __future__ import annotations

import click

from core.console import Lazy

_HERE, _SERVING = "policies.commands", "serving.commands"

COMMANDS: dict[str, tuple[str, str]] = {
    "lint": (f"{_HERE}.lint:lint", "Check policy files: every mistake with its line and column."),
    "test": (f"{_HERE}.examples:try_examples", "Run the examples of policy files."),
    "explain": (f"{_HERE}.explain:explain_action", "Say what a policy decides on one action, and why."),
}


@click.group(cls=Lazy, table=COMMANDS)
def policy() -> None:
    """Write, prove, try and publish policy files.

    \b
    Example:
      countersign policy lint policies/books/returns.yaml
    """
