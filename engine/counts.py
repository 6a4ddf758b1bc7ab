"""What policy counts over our own records, in flight included, for the action at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.actions import ProposedAction
from core.errors import InvalidInput
from core.money import Money
from core.ports import Count
from core.verdicts import Fact, FactValue
from ledger.database import Ledger


def counted(
    ledger: Ledger, counts: Sequence[Count], action: ProposedAction, subject: str, facts: Mapping[str, Fact]
) -> dict[str, Fact]:
    """A fact for each count that can be told."""
    found = {}
    for count in counts:
        value = _measure(ledger, count, action, subject, facts)
        if value is not None:
            found[count.name] = Fact(value=value, source="ledger", at=ledger.now)
    return found


def remembered(paths: frozenset[str], facts: Mapping[str, Fact]) -> dict[str, str]:
    """What a run keeps, so that later ones can be counted with it."""
    return {path: str(facts[path].value) for path in sorted(paths) if path in facts and facts[path].value is not None}


def _measure(
    ledger: Ledger, count: Count, action: ProposedAction, subject: str, facts: Mapping[str, Fact]
) -> FactValue:
    """A count, or a sum of money in the currency of the action at hand; None where it can't be told."""
    fact = facts[count.fact].value if count.fact in facts else None
    if count.fact and fact is None:
        return None
    earlier = ledger.effects.earlier(count, action, subject, fact)
    if count.measure == "count":
        return len(earlier)
    path = count.path.removeprefix("args.").split(".")
    own = _money(action.args, path)
    if own is None:
        return None
    amounts = [money for args in earlier if (money := _money(args, path)) is not None]
    return Money.total((money for money in amounts if money.currency == own.currency), own.currency)


def _money(args: Any, path: list[str]) -> Money | None:
    for part in path:
        args = args.get(part) if isinstance(args, dict) else None
    try:
        return Money.model_validate(args) if isinstance(args, dict) else None
    except (ValueError, InvalidInput):
        return None
