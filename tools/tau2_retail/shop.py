"""The retail world as a shop: what its sixteen tools do to users, orders and products.

Written from the public behaviour of tau2-bench's retail domain (sierra-research, MIT). Records stay as
the benchmark has them, float dollars included, so that a world can be compared with its gold exactly;
whatever decides is compared in whole cents. Two behaviours differ from the benchmark, because its own
are defects: each modified item gets its own variant's price and options (there, all get the last one's),
and a cancellation refunds what is still paid (there, a payment already refunded is refunded again).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tools.fulfillment.ports import Dialect, Handler, Records
from tools.tau2_retail.amounts import dollars
from tools.tau2_retail.lookups import QUERIES, order_of, payment_method_of, refuse, user_of, variant_of

CANCEL_REASONS = ("no longer needed", "ordered by mistake")
_ADDRESS = ("address1", "address2", "city", "country", "state", "zip")


def _in_status(order: Mapping[str, Any], status: str, done: str) -> None:
    if order["status"] != status:
        raise refuse(f"Non-{status} order cannot be {done}", "stale_status", present=order["status"])


def _pending(order: Mapping[str, Any]) -> None:
    """Also an order whose items were modified already."""
    if "pending" not in order["status"]:
        raise refuse("Non-pending order cannot be modified", "stale_status", present=order["status"])


def places_of(order: Mapping[str, Any], item_ids: Sequence[str], message: str) -> list[int]:
    """Where in the order each of these items stands; the same id twice is two pieces."""
    free = dict(enumerate(item["item_id"] for item in order["items"]))
    places = []
    for item_id in item_ids:
        place = next((at for at, held in free.items() if held == item_id), None)
        if place is None:
            raise refuse(message.format(item_id=item_id), "not_found")
        del free[place]
        places.append(place)
    return places


def _is_gift_card(method: Mapping[str, Any]) -> bool:
    return bool(method["source"] == "gift_card")


def _change_balance(method: dict[str, Any], by: Decimal) -> None:
    if _is_gift_card(method):
        method["balance"] = float(dollars(method["balance"]) + by)


def _must_cover(method: Mapping[str, Any], due: Decimal, what: str) -> None:
    if _is_gift_card(method) and dollars(method["balance"]) < due:
        raise refuse(f"Insufficient gift card balance to pay for the {what}", "insufficient_balance")


def still_paid(order: Mapping[str, Any]) -> dict[str, float]:
    """Payment method to what it paid and did not get back."""
    left: dict[str, float] = {}
    for entry in order["payment_history"]:
        method, amount = entry["payment_method_id"], entry["amount"]
        if entry["transaction_type"] == "payment":
            left[method] = amount if method not in left else float(dollars(left[method]) + dollars(amount))
        else:
            left[method] = float(dollars(left.get(method, 0.0)) - dollars(amount))
    return {method: amount for method, amount in left.items() if dollars(amount) > 0}


def _paid(kind: str, amount: float, method_id: str) -> dict[str, Any]:
    return {"transaction_type": kind, "amount": amount, "payment_method_id": method_id}


def _cancel(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    order = order_of(records, args["order_id"])
    _in_status(order, "pending", "cancelled")
    if args["reason"] not in CANCEL_REASONS:
        raise refuse("Invalid reason", "invalid_reason", hint=f"One of: {', '.join(CANCEL_REASONS)}.")
    user = user_of(records, order["user_id"])
    for method_id, amount in still_paid(order).items():
        _change_balance(payment_method_of(user, method_id), dollars(amount))
        order["payment_history"].append(_paid("refund", amount, method_id))
    order |= {"status": "cancelled", "cancel_reason": args["reason"]}
    return _keep(records, order, user)


def _swaps(
    records: Records, order: Mapping[str, Any], args: Mapping[str, Any], message: str
) -> list[tuple[int, dict[str, Any]]]:
    """Places in the order, each with the variant that takes it."""
    item_ids, new_ids = args["item_ids"], args["new_item_ids"]
    places = places_of(order, item_ids, message)
    if len(item_ids) != len(new_ids):
        raise refuse("The number of items to be exchanged should match.", "wrong_number")
    return [
        (place, variant_of(records, order["items"][place]["product_id"], new_id))
        for place, new_id in zip(places, new_ids, strict=True)
    ]


def _difference(order: Mapping[str, Any], swaps: Sequence[tuple[int, Mapping[str, Any]]]) -> float:
    """New prices less old ones, summed as floats in this order: records of this world keep the raw sum."""
    total = 0.0
    for place, variant in swaps:  # not sum(), which rounds differently from Python 3.12 on
        total += variant["price"] - order["items"][place]["price"]
    return total


def _modify_items(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    order = order_of(records, args["order_id"])
    _in_status(order, "pending", "modified")
    if any(old == new for old, new in zip(args["item_ids"], args["new_item_ids"], strict=False)):
        raise refuse("The new item id should be different from the old item id", "same_item")
    swaps = _swaps(records, order, args, "{item_id} not found")
    user = user_of(records, order["user_id"])
    method = payment_method_of(user, args["payment_method_id"])
    difference = _difference(order, swaps)
    due = dollars(difference)
    _must_cover(method, due, "new item")
    _change_balance(method, -due)
    kind = "payment" if difference > 0 else "refund"
    order["payment_history"].append(_paid(kind, abs(difference), args["payment_method_id"]))
    for place, variant in swaps:
        order["items"][place] |= {name: variant[name] for name in ("item_id", "price", "options")}
    order["status"] = "pending (item modified)"
    return _keep(records, order, user)


def _modify_payment(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    order = order_of(records, args["order_id"])
    _pending(order)
    user = user_of(records, order["user_id"])
    method = payment_method_of(user, args["payment_method_id"])
    history = order["payment_history"]
    if len(history) != 1 or history[0]["transaction_type"] != "payment":
        raise refuse("There should be exactly one payment for a pending order", "not_one_payment")
    old_id, amount = history[0]["payment_method_id"], history[0]["amount"]
    if old_id == args["payment_method_id"]:
        raise refuse("The new payment method should be different from the current one", "same_method")
    _must_cover(method, dollars(amount), "order")
    _change_balance(method, -dollars(amount))
    _change_balance(payment_method_of(user, old_id), dollars(amount))
    history += [_paid("payment", amount, args["payment_method_id"]), _paid("refund", amount, old_id)]
    return _keep(records, order, user)


def _modify_address(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    order = order_of(records, args["order_id"])
    _pending(order)
    order["address"] = {name: args[name] for name in _ADDRESS}
    return _keep(records, order)


def _modify_user_address(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    user = user_of(records, args["user_id"])
    user["address"] = {name: args[name] for name in _ADDRESS}
    records.put("users", user["user_id"], user)
    return user


def _return_items(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    order = order_of(records, args["order_id"])
    _in_status(order, "delivered", "returned")
    method = payment_method_of(user_of(records, order["user_id"]), args["payment_method_id"])
    if not _is_gift_card(method) and args["payment_method_id"] != order["payment_history"][0]["payment_method_id"]:
        raise refuse("Payment method should be the original payment method", "wrong_method")
    places_of(order, args["item_ids"], "Some item not found")
    order |= {
        "status": "return requested",
        "return_items": sorted(args["item_ids"]),
        "return_payment_method_id": args["payment_method_id"],
    }
    return _keep(records, order)


def _exchange_items(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    order = order_of(records, args["order_id"])
    _in_status(order, "delivered", "exchanged")
    swaps = _swaps(records, order, args, "Number of {item_id} not found.")
    method = payment_method_of(user_of(records, order["user_id"]), args["payment_method_id"])
    due = dollars(_difference(order, swaps))
    _must_cover(method, due, "price difference")
    order |= {
        "status": "exchange requested",
        "exchange_items": sorted(args["item_ids"]),
        "exchange_new_items": sorted(args["new_item_ids"]),
        "exchange_payment_method_id": args["payment_method_id"],
        "exchange_price_difference": float(due),
    }
    return _keep(records, order)


def _keep(records: Records, order: dict[str, Any], user: dict[str, Any] | None = None) -> dict[str, Any]:
    records.put("orders", order["order_id"], order)
    if user is not None:
        records.put("users", user["user_id"], user)
    return order


OPERATIONS: dict[str, Handler] = {
    "cancel_pending_order": _cancel,
    "modify_pending_order_items": _modify_items,
    "modify_pending_order_payment": _modify_payment,
    "modify_pending_order_address": _modify_address,
    "modify_user_address": _modify_user_address,
    "return_delivered_order_items": _return_items,
    "exchange_delivered_order_items": _exchange_items,
}

DIALECT = Dialect(
    name="tau2_retail",
    collections={"users": "user_id", "orders": "order_id", "products": "product_id"},
    queries=QUERIES,
    operations=OPERATIONS,
    indexes={"users": ("email",)},
)
