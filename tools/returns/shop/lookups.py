"""The shop's queries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from core.money import Money
from tools.fulfillment.ports import Handler, Records
from tools.returns import args as a
from tools.returns import results as r
from tools.returns.models import Customer, Label, OrderStatus, Variant
from tools.returns.shop.desk import given, given_outside_returns, handler, known_variant, order_of, refuse, return_of

_YEAR = timedelta(days=365)


class _AnOrder(a.OfOrder):
    customer_id: a.Id | None = None


class _AReturn(a.Args):
    return_id: a.Id
    customer_id: a.Id | None = None


class _SomeVariants(a.Args):
    variant_ids: list[a.Id] = Field(max_length=200)


def _order(records: Records, asked: _AnOrder) -> r.OrderFound:
    order = order_of(records, asked.order_id, asked.customer_id)
    left = max(order.total - order.refunded, Money.zero(order.currency))
    outside = given_outside_returns(records, order)
    return r.OrderFound(**dict(order), refundable=left, given_outside_returns=outside)


def _returnable(records: Records, asked: a.OfOrder) -> r.ReturnableItems:
    order = order_of(records, asked.order_id)
    delivered = order.status is not OrderStatus.CANCELED and order.delivered_at is not None
    items = [
        r.ReturnableItem(
            fulfillment_line_item_id=line.fulfillment_line_item_id,
            variant_id=line.variant_id,
            title=line.title,
            category=line.category,
            options=line.options,
            unit_price=line.unit_price,
            bought=line.quantity,
            returnable=max(0, line.quantity - line.returned_quantity) if delivered else 0,
            final_sale=line.final_sale,
        )
        for line in order.lines
    ]
    return r.ReturnableItems(order_id=order.order_id, items=items)


def _return(records: Records, asked: _AReturn) -> r.ReturnFound:
    found = return_of(records, asked.return_id)
    if asked.customer_id is not None and found.customer_id != asked.customer_id:
        raise refuse("other_customer", f"{found.return_id} is not a return of customer {asked.customer_id}.")
    order = order_of(records, found.order_id)
    return r.ReturnFound(**dict(found), given=given(records, found, order))


def _variant(records: Records, asked: a.GetVariant) -> r.VariantFound:
    variant = Variant.model_validate(records.get("variants", asked.variant_id))
    others = map(Variant.model_validate, records.where("variants", product_id=variant.product_id))
    return r.VariantFound(
        variant=variant,
        alternatives=[other for other in others if other.stock and other.variant_id != variant.variant_id],
    )


def _variants(records: Records, asked: _SomeVariants) -> r.KnownVariants:
    """Those that the shop still knows: goods outlive their place in a catalogue."""
    found = (known_variant(records, variant_id) for variant_id in dict.fromkeys(asked.variant_ids))
    return r.KnownVariants(variants=[variant for variant in found if variant])


def _customer(records: Records, asked: a.OfCustomer) -> Customer:
    return Customer.model_validate(records.get("customers", asked.customer_id))


def _history(records: Records, asked: a.OfCustomer) -> r.History:
    customer = Customer.model_validate(records.get("customers", asked.customer_id))
    since = records.now - _YEAR
    orders = records.where("orders", customer_id=customer.customer_id)
    returns = [
        r.PastReturn(
            return_id=past["return_id"],
            order_id=past["order_id"],
            status=past["status"],
            requested_at=past["requested_at"],
            reasons=[line["reason"] for line in past["lines"]],
        )
        for past in records.where("returns", customer_id=customer.customer_id)
        if datetime.fromisoformat(past["requested_at"]) >= since
    ]
    return r.History.of(
        customer,
        orders=sum(datetime.fromisoformat(order["placed_at"]) >= since for order in orders),
        returns=sorted(returns, key=lambda past: past.requested_at, reverse=True),
    )


def _label(records: Records, asked: a.VoidLabel) -> Label:
    return Label.model_validate(records.get("labels", asked.label_id))


QUERIES: Mapping[str, Handler] = {
    "orders.get": handler(_AnOrder, _order),
    "returns.returnable_items": handler(a.OfOrder, _returnable),
    "returns.get": handler(_AReturn, _return),
    "variants.get": handler(a.GetVariant, _variant),
    "variants.known": handler(_SomeVariants, _variants),
    "customers.get": handler(a.OfCustomer, _customer),
    "customers.return_history": handler(a.OfCustomer, _history),
    "labels.get": handler(a.VoidLabel, _label),
}
