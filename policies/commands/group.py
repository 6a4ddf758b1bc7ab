"""The group itself: which commands there are, and where. Those that need a ledger live in `serving/commands`."""

from __future__ import annotations

import click

from core.console import Lazy

_HERE, _SERVING = "policies.commands", "serving.commands"

COMMANDS: dict[str, tuple[str, str]] = {
    "lint": (f"{_HERE}.lint:lint", "Check policy files: every mistake with its line and column."),
    "fmt": (f"{_HERE}.fmt:format_files", "Lay policy files out in the one way."),
    "test": (f"{_HERE}.examples:try_examples", "Run the examples of policy files."),
    "explain": (f"{_HERE}.explain:explain_action", "Say what a policy decides on one action, and why."),
    "prove": (f"{_HERE}.prove:prove_books", "Prove what holds in every situation, with z3."),
    "diff": (f"{_HERE}.diff:compare_books", "Prove whether a new version is tighter or looser."),
    "coverage": (f"{_HERE}.coverage:cover", "Say what no example of a policy file tries."),
    "backtest": (f"{_SERVING}.policy_backtest:backtest", "Try a policy on recorded decisions."),
    "report": (f"{_SERVING}.policy_report:report", "Write what changes on one page, for those who decide on it."),
    "why": (f"{_SERVING}.policy_why:why", "Say what policy decided on a recorded action, and why."),
    "sign": (f"{_SERVING}.policy_keys:sign", "Sign a policy."),
    "publish": (f"{_SERVING}.policy_publish:publish", "Ask for a signed policy to come into force."),
    "draft": (f"{_SERVING}.policy_publish:draft", "Print a policy that waits for approval."),
    "rollback": (f"{_SERVING}.policy_publish:rollback", "Ask for an earlier version to come into force again."),
    "history": (f"{_SERVING}.policy_publish:history", "Every version that was in force, and how it came."),
    "keygen": (f"{_SERVING}.policy_keys:keygen", "Make a key to sign policy with."),
    "trust": (f"{_SERVING}.policy_keys:trust", "Whose keys may sign policy."),
}


@click.group(cls=Lazy, tables={"Commands": COMMANDS})
def policy() -> None:
    """Write, prove, try and publish policy files.

    \b
    Example:
      countersign policy lint policies/books/returns.yaml
    """
