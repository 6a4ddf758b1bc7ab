"""What speaks for and against a return, put into words for the person who decides: from facts, not from rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.money import Money
from core.verdicts import Fact

Facts = Mapping[str, Fact]
Told = tuple[str, bool] | None
"""A sentence, and whether it speaks for the customer."""


def evidence(facts: Facts) -> tuple[list[str], list[str]]:
    """For and against, the weightiest first. A fact that is not known says nothing."""
    told = [said for tell in _TELLERS if (said := tell(facts)) is not None]
    return [text for text, good in told if good], [text for text, good in told if not good]


def _value(facts: Facts, path: str) -> Any:
    fact = facts.get(path)
    return None if fact is None else fact.value


def _entitled(facts: Facts) -> Told:
    amount, entitled = _value(facts, "args.amount"), _value(facts, "return.entitled")
    if not (isinstance(amount, Money) and isinstance(entitled, Money)) or amount.currency != entitled.currency:
        return None
    if amount <= entitled:
        return f"{amount} is within the {entitled} that the return is worth", True
    return f"{amount} is more than the {entitled} that the return is worth", False


def _window(facts: Facts) -> Told:
    days, window = _value(facts, "order.days_since_delivery"), _value(facts, "order.window_days")
    if days is None or window is None:
        return None
    if days <= window:
        return f"day {days} of {window} since delivery", True
    return f"{days - window} days after the {window} that the customer had", False


def _flag(path: str, yes: Told, no: Told) -> Callable[[Facts], Told]:
    def tell(facts: Facts) -> Told:
        value = _value(facts, path)
        return None if value is None else (yes if value else no)

    return tell


def _photo(facts: Facts) -> Told:
    score = _value(facts, "vision.score")
    if score is not None:
        return f"the photo supports the claim by {score:.2f} of 1", score >= 0.5
    if _value(facts, "reason.our_fault"):
        return "a fault of ours is claimed, and no photo was scored", False
    return None


def _rate(facts: Facts) -> Told:
    rate = _value(facts, "customer.return_rate_pct")
    return None if rate is None else (f"the customer sends {rate}% of the orders back", rate <= 40)


def _tenure(facts: Facts) -> Told:
    days = _value(facts, "customer.tenure_days")
    return None if days is None else (f"customer for {days // 30} months", days >= 180)


def _recent(facts: Facts) -> Told:
    count = _value(facts, "customer.refunds_30d")
    return None if count is None else (f"{count} refunds to this customer in 30 days", count == 0)


_TELLERS: tuple[Callable[[Facts], Told], ...] = (
    _flag(
        "order.owned_by_customer", ("it is the customer's own order", True), ("it is another customer's order", False)
    ),
    _flag("customer.stolen_tender", ("a stolen card is on record", False), None),
    _flag("customer.signals", ("signals of earlier abuse are on record", False), ("nothing on record", True)),
    _flag("letter.flags", ("the letter gives orders to the agent", False), None),
    _entitled,
    _window,
    _flag("lines.final_sale", ("it was a final sale", False), None),
    _photo,
    _flag("return.received", ("the goods are back", True), ("the goods are not back yet", False)),
    _flag("lines.category_high_risk", ("goods of a kind that is easily sold on", False), None),
    _rate,
    _recent,
    _tenure,
)
