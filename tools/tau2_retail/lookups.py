"""Reads of the retail world. Nothing here changes a record."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from core.errors import ProviderRefused
from tools.fulfillment.ports import Handler, Records
from tools.tau2_retail.arithmetic import calculate


def refuse(detail: str, reason: str, **extra: Any) -> ProviderRefused:
    return ProviderRefused(detail, reason=reason, **extra)


def _get(records: Records, collection: str, record_id: str, what: str) -> dict[str, Any]:
    try:
        return records.get(collection, record_id)
    except ProviderRefused as error:
        raise refuse(f"{what} not found", "not_found") from error


def order_of(records: Records, order_id: str) -> dict[str, Any]:
    order = _get(records, "orders", order_id, "Order")
    if "user_id" not in order:  # another kind's order, in a shop of several kinds
        raise refuse("Order not found", "not_found")
    return order


def user_of(records: Records, user_id: str) -> dict[str, Any]:
    return _get(records, "users", user_id, "User")


def payment_method_of(user: Mapping[str, Any], payment_method_id: str) -> dict[str, Any]:
    method: dict[str, Any] | None = user["payment_methods"].get(payment_method_id)
    if method is None:
        raise refuse("Payment method not found", "not_found")
    return method


def variant_of(records: Records, product_id: str, item_id: str) -> dict[str, Any]:
    """A variant that can be ordered now."""
    variant: dict[str, Any] | None = _get(records, "products", product_id, "Product")["variants"].get(item_id)
    if variant is None:
        raise refuse("Variant not found", "not_found", hint="A new item has to be of the same product.")
    if not variant["available"]:
        raise refuse(f"New item {item_id} not found or available", "not_available")
    return variant


def fold(text: str) -> str:
    """For names and addresses as people say them: no case, no accents."""
    decomposed = unicodedata.normalize("NFKD", text.strip())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


def _find_by_email(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    wanted = fold(args["email"])
    for user in [*records.where("users", email=args["email"]), *records.where("users")]:
        if fold(user["email"]) == wanted:
            return {"user_id": user["user_id"]}
    raise refuse("User not found", "not_found")


def _find_by_name_zip(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    wanted = fold(args["first_name"]), fold(args["last_name"]), args["zip"]
    for user in records.where("users"):
        if (fold(user["name"]["first_name"]), fold(user["name"]["last_name"]), user["address"]["zip"]) == wanted:
            return {"user_id": user["user_id"]}
    raise refuse("User not found", "not_found")


def _item(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    for product in records.where("products"):
        found: dict[str, Any] | None = product["variants"].get(args["item_id"])
        if found is not None:
            return found
    raise refuse("Item not found", "not_found")


def _product_types(records: Records, _: Mapping[str, Any]) -> dict[str, Any]:
    names = {product["name"]: product["product_id"] for product in records.where("products")}
    return {"products": dict(sorted(names.items()))}


def _transfer(_: Records, __: Mapping[str, Any]) -> dict[str, Any]:
    return {"message": "Transfer successful"}


QUERIES: dict[str, Handler] = {
    "find_user_id_by_email": _find_by_email,
    "find_user_id_by_name_zip": _find_by_name_zip,
    "get_user_details": lambda records, args: user_of(records, args["user_id"]),
    "get_order_details": lambda records, args: order_of(records, args["order_id"]),
    "get_product_details": lambda records, args: _get(records, "products", args["product_id"], "Product"),
    "get_item_details": _item,
    "list_all_product_types": _product_types,
    "calculate": lambda _, args: {"value": str(calculate(args["expression"]))},
    "transfer_to_human_agents": _transfer,
}
