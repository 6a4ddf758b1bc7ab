"""What each tool gives back. The world's float dollars are `Money` from here on."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from core.money import Money


class Result(BaseModel):
    model_config = ConfigDict(extra="ignore")


class UserFound(Result):
    user_id: str


class PostalAddress(Result):
    address1: str
    address2: str
    city: str
    country: str
    state: str
    zip: str


class Name(Result):
    first_name: str
    last_name: str


class PaymentMethod(Result):
    """`balance` of a gift card; `brand` and `last_four` of a credit card."""

    id: str
    source: str
    balance: Money | None = None
    brand: str | None = None
    last_four: str | None = None


class User(Result):
    user_id: str
    name: Name
    email: str
    address: PostalAddress
    payment_methods: dict[str, PaymentMethod]
    orders: list[str]


class Item(Result):
    item_id: str
    product_id: str
    name: str
    options: dict[str, str]
    price: Money


class Paid(Result):
    transaction_type: Literal["payment", "refund"]
    amount: Money
    payment_method_id: str


class Parcel(Result):
    tracking_id: list[str]
    item_ids: list[str]


class Order(Result):
    order_id: str
    user_id: str
    status: str
    address: PostalAddress
    items: list[Item]
    fulfillments: list[Parcel]
    payment_history: list[Paid]
    cancel_reason: str | None = None
    return_items: list[str] | None = None
    return_payment_method_id: str | None = None
    exchange_items: list[str] | None = None
    exchange_new_items: list[str] | None = None
    exchange_payment_method_id: str | None = None
    exchange_price_difference: Money | None = None


class Variant(Result):
    item_id: str
    options: dict[str, str]
    available: bool
    price: Money


class Product(Result):
    product_id: str
    name: str
    variants: dict[str, Variant]


class ProductTypes(Result):
    """Name to product id."""

    products: dict[str, str]


class Calculated(Result):
    value: str


class Transferred(Result):
    message: str
