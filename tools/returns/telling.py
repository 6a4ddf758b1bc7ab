"""How a fact is told: of the order, the return, its lines or the customer, and the tools that it can be told for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from core.verdicts import FactSpec, FactType, FactValue
from tools.returns.args import AskedLine
from tools.returns.models import Customer, FulfillmentLine, Order
from tools.returns.results import History, OrderFound, ReturnFound
from tools.returns.subject import Subject

ASKING = ("rules.evaluate", "returns.calculate", "returns.request")
PAYING = ("refunds.create", "store_credit.issue", "returns.process")
SETTLING = (*PAYING, "exchanges.create")
OF_RETURN = (
    *SETTLING,
    "returns.get",
    "returns.approve",
    "returns.decline",
    "returns.cancel",
    "returns.close",
    "returns.reopen",
    "returns.receive",
    "returns.inspect",
    "labels.create_return",
    "labels.void",
)
OF_LINES = (*ASKING, *OF_RETURN)
OF_ORDER = (*OF_LINES, "orders.get", "returns.returnable_items")
NAMING_CUSTOMER = ("orders.get", "returns.get", "customers.return_history", "messages.send")
TOOL_NAMES = (*OF_ORDER, "variants.get", "customers.return_history", "vision.score", "messages.send", "people.ask")

Lines = Sequence[tuple[AskedLine, FulfillmentLine]]


class Sighting(NamedTuple):
    spec: FactSpec
    tell: Callable[[Subject], Awaitable[FactValue]]
    """None where it can't be told."""
    source: str


_NEVER_NEGATIVE = (FactType.MONEY, FactType.INTEGER, FactType.DECIMAL)


def told(
    path: str,
    kind: FactType,
    doc: str,
    tell: Callable[[Subject], Awaitable[FactValue]],
    tools: tuple[str, ...] = (),
    *,
    choices: Sequence[str] = (),
    witnessed: bool = False,
    source: str = "shop",
) -> Sighting:
    least = 0 if kind in _NEVER_NEGATIVE else None
    spec = FactSpec(
        path=path, type=kind, doc=doc, choices=tuple(choices), tools=tools, witnessed=witnessed, least=least
    )
    return Sighting(spec, tell, source)


def of_the_order(
    path: str,
    kind: FactType,
    doc: str,
    tell: Callable[[OrderFound, Subject], FactValue],
    tools: tuple[str, ...] = OF_ORDER,
    *,
    choices: Sequence[str] = (),
    witnessed: bool = False,
) -> Sighting:
    async def of_order(about: Subject) -> FactValue:
        order = await about.order()
        return None if order is None else tell(order, about)

    return told(path, kind, doc, of_order, tools, choices=choices, witnessed=witnessed)


def of_the_return(
    path: str,
    kind: FactType,
    doc: str,
    tell: Callable[[ReturnFound, Subject], FactValue],
    *,
    choices: Sequence[str] = (),
    witnessed: bool = False,
) -> Sighting:
    async def of_return(about: Subject) -> FactValue:
        found = await about.returned()
        return None if found is None else tell(found, about)

    return told(path, kind, doc, of_return, OF_RETURN, choices=choices, witnessed=witnessed)


def of_the_lines(path: str, kind: FactType, doc: str, tell: Callable[[Lines, Order], FactValue]) -> Sighting:
    async def of_lines(about: Subject) -> FactValue:
        order, lines = await about.order(), await about.lines()
        return None if order is None or lines is None else tell(lines, order.order)

    return told(path, kind, doc, of_lines, OF_LINES)


def of_the_customer(
    path: str,
    kind: FactType,
    doc: str,
    tell: Callable[[Customer, Subject], FactValue],
    *,
    choices: Sequence[str] = (),
) -> Sighting:
    async def of_customer(about: Subject) -> FactValue:
        customer = await about.customer()
        return None if customer is None else tell(customer, about)

    return told(path, kind, doc, of_customer, choices=choices)


def of_the_history(path: str, doc: str, tell: Callable[[History], int]) -> Sighting:
    async def of_history(about: Subject) -> FactValue:
        history = await about.history()
        return None if history is None else tell(history)

    return told(path, FactType.INTEGER, doc, of_history)
