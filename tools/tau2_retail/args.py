"""What a model may write for each of the sixteen tools. Names are the benchmark's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Short = Annotated[str, StringConstraints(max_length=200)]
ItemIds = Annotated[list[Id], Field(min_length=1, max_length=50)]


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FindByEmail(Args):
    email: Short


class FindByNameZip(Args):
    first_name: Short
    last_name: Short
    zip: Short


class OfUser(Args):
    user_id: Id


class OfOrder(Args):
    order_id: Id
    """With its sign, such as `#W0000000`."""


class OfProduct(Args):
    product_id: Id


class OfItem(Args):
    item_id: Id


class NoArgs(Args):
    pass


class Calculate(Args):
    expression: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Transfer(Args):
    summary: Annotated[str, StringConstraints(max_length=4_000)]


class Cancel(Args):
    order_id: Id
    reason: Literal["no longer needed", "ordered by mistake"]


class Address(Args):
    address1: Short
    address2: Short
    city: Short
    state: Short
    country: Short
    zip: Short

    def line(self) -> str:
        return ", ".join(part for part in (self.address1, self.address2, self.city, self.state, self.zip) if part)


class OrderAddress(Address):
    order_id: Id


class UserAddress(Address):
    user_id: Id


class Swap(Args):
    """`new_item_ids` stand in the order of `item_ids`; an id may stand twice."""

    order_id: Id
    item_ids: ItemIds
    new_item_ids: ItemIds
    payment_method_id: Id


class Payment(Args):
    order_id: Id
    payment_method_id: Id


class Return(Args):
    order_id: Id
    item_ids: ItemIds
    payment_method_id: Id
