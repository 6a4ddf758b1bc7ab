"""A small shop in three currencies, with its tools, for the tests of the returns desk."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from core.actions import ProposedAction
from core.clock import FakeClock
from core.money import Money
from core.ports import CallContext
from core.verdicts import FactValue
from tools.contract import Toolbelt
from tools.fulfillment.shop import EmbeddedShop
from tools.returns.facts import FACTS_BY_TOOL, ReturnsFacts
from tools.returns.models import Customer, FraudSignal, FulfillmentLine, Order, OrderStatus, Record, Variant
from tools.returns.shop import DIALECT
from tools.returns.tools import returns_tools
from tools.vision.ports import NoScorer, VisionScorer

NOW = datetime.fromisoformat("2026-11-02T09:00:00+00:00")


def money(text: str) -> dict[str, Any]:
    return Money.parse(text).model_dump()


def asked(item: str, quantity: int = 1, reason: str = "UNWANTED", note: str = "") -> dict[str, Any]:
    return {"fulfillment_line_item_id": item, "quantity": quantity, "reason": reason, "customer_note": note}


def _line(item: str, variant: str, category: str, price: str, quantity: int = 1, **more: Any) -> FulfillmentLine:
    return FulfillmentLine(
        fulfillment_line_item_id=item,
        variant_id=variant,
        title=item.removeprefix("fli_"),
        category=category,
        quantity=quantity,
        unit_price=Money.parse(price),
        **more,
    )


def order(
    name: str, customer: str, shipping: str, *lines: FulfillmentLine, days: int | None = 10, **more: Any
) -> Order:
    """`days` since its delivery; None: still on its way."""
    paid = Money.parse(shipping)
    total = Money.total((line.unit_price.times(line.quantity) for line in lines), paid.currency) + paid
    placed = NOW - timedelta(days=(days or 0) + 3)
    return Order(
        order_id=name,
        customer_id=customer,
        currency=paid.currency,
        placed_at=placed,
        delivered_at=None if days is None else NOW - timedelta(days=days),
        status=more.pop("status", OrderStatus.SHIPPED if days is None else OrderStatus.DELIVERED),
        lines=list(lines),
        shipping_paid=paid,
        total=total,
        refunded=Money.zero(paid.currency),
        **more,
    )


def usual(name: str = "ord_usd", **more: Any) -> Order:
    """Two tees at 19.90, headphones at 179.00 and a scarf sold off at 12.00, in dollars: 236.75 with shipping."""
    return order(
        name,
        more.pop("customer", "cus_ann"),
        "5.95 USD",
        _line("fli_tee", "var_tee_m", "apparel", "19.90 USD", 2),
        _line("fli_phones", "var_phones", "electronics", "179.00 USD"),
        _line("fli_scarf", "var_scarf", "apparel", "12.00 USD", final_sale=True),
        **more,
    )


def yen() -> Order:
    return order("ord_jpy", "cus_jun", "550 JPY", _line("fli_mug", "var_mug", "home", "2985 JPY"))


def dinar() -> Order:
    return order("ord_kwd", "cus_kay", "1.500 KWD", _line("fli_oud", "var_oud", "beauty", "12.345 KWD", 3))


def customer(name: str, **more: Any) -> Customer:
    return Customer(
        customer_id=name,
        name=name.removeprefix("cus_").title(),
        email=f"{name}@mail.example",
        address="1 Mill Road",
        country="US",
        joined=NOW - timedelta(days=400),
        **more,
    )


def variant(name: str, price: str, stock: int = 5, product: str = "", **more: Any) -> Variant:
    return Variant(
        variant_id=name,
        product_id=product or name.replace("var_", "prd_"),
        title=name,
        category=more.pop("category", "apparel"),
        price=Money.parse(price),
        stock=stock,
        **more,
    )


def world() -> dict[str, list[dict[str, Any]]]:
    records: dict[str, list[Record]] = {
        "customers": [
            customer("cus_ann"),
            customer("cus_bob", signals=[FraudSignal.STOLEN_TENDER]),
            customer("cus_jun"),
            customer("cus_kay"),
        ],
        "variants": [
            variant("var_tee_m", "24.90 USD", product="prd_tee"),
            variant("var_tee_l", "24.90 USD", 1, product="prd_tee"),
            variant("var_tee_gold", "99.00 USD", product="prd_tee"),
            variant("var_tee_xl", "24.90 USD", 0, product="prd_tee"),
            variant("var_phones", "179.00 USD", category="electronics"),
            variant("var_mug", "2985 JPY", category="home", returnless_below=Money.parse("3000 JPY")),
            variant("var_oud", "12.345 KWD", category="beauty"),
        ],
        "orders": [
            usual(),
            usual("ord_bob", customer="cus_bob"),
            usual("ord_late", days=100),
            usual("ord_ancient", days=300),
            usual("ord_coming", days=None),
            usual("ord_canceled", status=OrderStatus.CANCELED),
            yen(),
            dinar(),
        ],
    }
    return {name: [record.model_dump(mode="json") for record in found] for name, found in records.items()}


class Desk:
    """The shop and its tools, called as the executor calls them, each call with a key of its own."""

    def __init__(self, shop: EmbeddedShop, clock: FakeClock, vision: VisionScorer) -> None:
        self.shop = shop
        self.clock = clock
        self.belt = Toolbelt(returns_tools(shop, vision))
        self.facts = ReturnsFacts(shop, clock, vision)
        self._keys = (f"key_{number}" for number in count())

    @classmethod
    async def opened(cls, vision: VisionScorer | None = None) -> Desk:
        clock = FakeClock(NOW)
        shop = EmbeddedShop(None, [DIALECT], clock)
        await shop.load(world())
        return cls(shop, clock, vision or NoScorer())

    async def do(self, tool: str, key: str = "", **args: Any) -> dict[str, Any]:
        context = CallContext("default", "case_1", "act_1", key or next(self._keys), "agent:returns", self.clock.now())
        return await self.belt.call(tool, args, context)

    async def opened_return(self, *lines: dict[str, Any], order_id: str = "ord_usd") -> dict[str, Any]:
        """A return that was requested and approved."""
        asked_for = await self.do("returns.request", order_id=order_id, lines=list(lines))
        return await self.do("returns.approve", return_id=asked_for["return_id"], expected_status="REQUESTED")

    async def order(self, order_id: str = "ord_usd") -> Order:
        return Order.model_validate((await self.shop.dump("orders"))[order_id])

    async def stock(self, variant_id: str) -> int:
        return int((await self.shop.dump("variants"))[variant_id]["stock"])

    async def told(
        self, tool: str, args: dict[str, Any], case: dict[str, Any] | None = None, *wanted: str
    ) -> dict[str, FactValue]:
        """The facts of an action, all that there are for its tool unless some are named."""
        action = ProposedAction(
            workspace="default",
            case_id="case_1",
            kind="returns",
            tool=tool,
            schema_version=1,
            args=args,
            proposer="agent:returns",
            step_key="1",
        )
        case = {"customer_id": "cus_ann", "letter": "It does not fit.", "photos": []} | (case or {})
        found = await self.facts.gather(action, case, frozenset(wanted) or FACTS_BY_TOOL[tool])
        return {path: fact.value for path, fact in found.items()}
