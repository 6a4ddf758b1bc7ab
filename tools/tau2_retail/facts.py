"""What a policy of the retail benchmark may ask, told from the shop's records, never from the model's word.

A fact that can't be told of an action is left out; policy takes that as missing, and denies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from core.actions import JSON, ProposedAction
from core.clock import Clock, SystemClock
from core.errors import ProviderRefused
from core.money import Money
from core.verdicts import Fact, FactSpec, FactType, FactValue
from tools.fulfillment.ports import Shop
from tools.tau2_retail.amounts import dollars
from tools.tau2_retail.shop import places_of, still_paid

_SWAPS = ("modify_pending_order_items", "exchange_delivered_order_items")
_ADDRESSES = ("modify_pending_order_address", "modify_user_address")
_ON_ORDER = (
    "cancel_pending_order",
    "modify_pending_order_address",
    "modify_pending_order_payment",
    "return_delivered_order_items",
    *_SWAPS,
)
_OF_ORDER = (*_ON_ORDER, "get_order_details")
_CHANGES = (*_ON_ORDER, "modify_user_address")

FACTS: tuple[FactSpec, ...] = (
    FactSpec(
        path="order.status",
        type=FactType.TEXT,
        doc="As the shop has it: pending, pending (item modified), processed, delivered, cancelled, …",
        tools=_OF_ORDER,
        witnessed=True,
    ),
    FactSpec(path="order.total", type=FactType.MONEY, doc="What its items cost, as they are now.", tools=_OF_ORDER),
    FactSpec(
        path="order.paid",
        type=FactType.MONEY,
        doc="Payments less refunds.",
        tools=_OF_ORDER,
        witnessed=True,
    ),
    FactSpec(
        path="order.owned_by_user",
        type=FactType.BOOLEAN,
        doc="The order belongs to the case's `user_id`; can't be told where the case has none.",
        tools=_OF_ORDER,
    ),
    FactSpec(
        path="user.is_the_case_user",
        type=FactType.BOOLEAN,
        doc="The user in the arguments is the case's `user_id`; can't be told where the case has none.",
        tools=("get_user_details", "modify_user_address"),
    ),
    FactSpec(
        path="change.refund",
        type=FactType.MONEY,
        doc="What this action gives back to the user; zero where it gives nothing.",
        tools=_CHANGES,
        witnessed=True,
    ),
    FactSpec(
        path="change.charge",
        type=FactType.MONEY,
        doc="What this action takes from the user on top; zero where it takes nothing.",
        tools=_CHANGES,
        witnessed=True,
    ),
    FactSpec(
        path="change.other_method",
        type=FactType.BOOLEAN,
        doc="Money moves by another payment method than the one the order was first paid with.",
        tools=_CHANGES,
    ),
    FactSpec(
        path="change.payment",
        type=FactType.BOOLEAN,
        doc="The order gets another payment method.",
        tools=_CHANGES,
    ),
    FactSpec(
        path="change.address",
        type=FactType.BOOLEAN,
        doc="An address of the order or the user becomes another one.",
        tools=_CHANGES,
    ),
)
_TOOLS = {spec.path: frozenset(spec.tools) for spec in FACTS}
_WITNESSED = frozenset(spec.path for spec in FACTS if spec.witnessed)


def _usd(amount: Decimal) -> Money:
    return Money.of(amount, "USD")


class Tau2Facts:
    """Implements `core.ports.FactSource`. Of the case it reads `user_id`, the user who was authenticated."""

    def __init__(self, shop: Shop, clock: Clock | None = None) -> None:
        self._shop = shop
        self._clock = clock or SystemClock()

    async def gather(self, action: ProposedAction, case: Mapping[str, JSON], wanted: frozenset[str]) -> dict[str, Fact]:
        now = self._clock.now()
        about = _Subject(self._shop, action, case.get("user_id"))
        facts = {}
        for path, tell in _TELLERS.items():
            if path not in wanted or action.tool not in _TOOLS[path]:
                continue
            try:
                value = await tell(about)
            except ProviderRefused:  # of something that the shop does not have, nothing can be told
                value = None
            if value is not None:
                facts[path] = Fact(value=value, source="shop", at=now, witnessed=path in _WITNESSED)
        return facts


class _Subject:
    """An action and the records it is about, each read once. Raises `ProviderRefused` where there is none."""

    def __init__(self, shop: Shop, action: ProposedAction, user_id: JSON) -> None:
        self._shop, self._seen = shop, dict[tuple[str, str], dict[str, Any]]()
        self.tool, self.args = action.tool, action.args
        self.user_id = user_id if isinstance(user_id, str) and user_id else None

    async def _read(self, query: str, name: str, record_id: str) -> dict[str, Any]:
        if (query, record_id) not in self._seen:
            self._seen[query, record_id] = await self._shop.read(query, {name: record_id})
        return self._seen[query, record_id]

    async def order(self) -> dict[str, Any]:
        return await self._read("get_order_details", "order_id", self.args["order_id"])

    async def user(self) -> dict[str, Any]:
        return await self._read("get_user_details", "user_id", self.args["user_id"])

    async def given_back(self) -> Decimal:
        """What moves towards the user; below zero what the user pays."""
        zero = Decimal(0)
        if self.tool not in _ON_ORDER:
            return zero
        order = await self.order()
        match self.tool:
            case "cancel_pending_order":
                return sum(map(dollars, still_paid(order).values()), zero)
            case "return_delivered_order_items":
                return self._worth(order)
            case "modify_pending_order_items" | "exchange_delivered_order_items":
                new = zero
                for item_id in self.args["new_item_ids"]:
                    new += dollars((await self._read("get_item_details", "item_id", item_id))["price"])
                return self._worth(order) - new
            case _:
                return zero

    def _worth(self, order: Mapping[str, Any]) -> Decimal:
        places = places_of(order, self.args["item_ids"], "{item_id} not found")
        return sum((dollars(order["items"][place]["price"]) for place in places), Decimal(0))


async def _status(about: _Subject) -> FactValue:
    return str((await about.order())["status"])


async def _total(about: _Subject) -> FactValue:
    return _usd(sum((dollars(item["price"]) for item in (await about.order())["items"]), Decimal(0)))


async def _paid(about: _Subject) -> FactValue:
    return _usd(sum(map(dollars, still_paid(await about.order()).values()), Decimal(0)))


async def _owned(about: _Subject) -> FactValue:
    return None if about.user_id is None else (await about.order())["user_id"] == about.user_id


async def _is_case_user(about: _Subject) -> FactValue:
    return None if about.user_id is None else about.args["user_id"] == about.user_id


async def _refund(about: _Subject) -> FactValue:
    return _usd(max(await about.given_back(), Decimal(0)))


async def _charge(about: _Subject) -> FactValue:
    return _usd(max(-await about.given_back(), Decimal(0)))


async def _other_method(about: _Subject) -> FactValue:
    named = about.args.get("payment_method_id")
    if named is None:  # a cancellation pays back to where the money came from; addresses move none
        return False
    history = (await about.order())["payment_history"]
    return bool(history) and history[0]["payment_method_id"] != named


async def _payment_change(about: _Subject) -> FactValue:
    return about.tool == "modify_pending_order_payment"


async def _address_change(about: _Subject) -> FactValue:
    if about.tool not in _ADDRESSES:
        return False
    record = await (about.user() if about.tool == "modify_user_address" else about.order())
    return any(about.args.get(name) != value for name, value in record["address"].items())


_TELLERS: dict[str, Callable[[_Subject], Awaitable[FactValue]]] = {
    "order.status": _status,
    "order.total": _total,
    "order.paid": _paid,
    "order.owned_by_user": _owned,
    "user.is_the_case_user": _is_case_user,
    "change.refund": _refund,
    "change.charge": _charge,
    "change.other_method": _other_method,
    "change.payment": _payment_change,
    "change.address": _address_change,
}
