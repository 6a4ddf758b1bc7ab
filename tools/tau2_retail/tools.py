"""The benchmark's sixteen tools, typed, over one shop. None of them knows that it is gated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from core.actions import JSON, Effect, Egress, ToolSpec
from core.data import DataClass
from core.ports import CallContext
from tools.contract import Tool
from tools.fulfillment.ports import Shop
from tools.tau2_retail import args as a
from tools.tau2_retail import results as r
from tools.tau2_retail.amounts import with_money

A = TypeVar("A", bound=BaseModel)

_PROVIDER = frozenset({Egress.PROVIDER})
_TO_CUSTOMER = frozenset({Egress.PROVIDER, Egress.CUSTOMER})

_OF_A_PERSON = frozenset({DataClass.PERSONAL, DataClass.PAYMENT})
_HOLDS: Mapping[type[BaseModel], frozenset[DataClass]] = {
    r.UserFound: frozenset({DataClass.PERSONAL}),
    r.User: _OF_A_PERSON,
    r.Order: _OF_A_PERSON,
    r.Product: frozenset({DataClass.PUBLIC}),
    r.Variant: frozenset({DataClass.PUBLIC}),
    r.ProductTypes: frozenset({DataClass.PUBLIC}),
    r.Calculated: frozenset({DataClass.INTERNAL}),
    r.Transferred: frozenset({DataClass.INTERNAL}),
}
"""What the results hold, by their type."""


def tau2_retail_tools(shop: Shop) -> list[Tool[Any]]:
    return [*_reads(shop), *_writes(shop)]


def _reads(shop: Shop) -> list[Tool[Any]]:
    def read(name: str, args: type[A], result: type[BaseModel], describe: Callable[[A], str], summary: str) -> Tool[A]:
        async def run(given: A, context: CallContext) -> BaseModel:
            return result.model_validate(with_money(await shop.read(name, given.model_dump(mode="json"))))

        spec = ToolSpec(name, Effect.READ, args, result, describe, summary, _PROVIDER, _HOLDS[result])
        return Tool(spec, run, _nothing_stored)

    return [
        read(
            "find_user_id_by_email",
            a.FindByEmail,
            r.UserFound,
            lambda g: f"Find the user with the address {g.email}",
            "A user's id, by email address. Ask for this first.",
        ),
        read(
            "find_user_id_by_name_zip",
            a.FindByNameZip,
            r.UserFound,
            lambda g: f"Find {g.first_name} {g.last_name} of {g.zip}",
            "A user's id, by name and zip code, where the email address is not known.",
        ),
        read(
            "get_user_details",
            a.OfUser,
            r.User,
            lambda g: f"Read user {g.user_id}",
            "A user's address, payment methods and order ids.",
        ),
        read(
            "get_order_details",
            a.OfOrder,
            r.Order,
            lambda g: f"Read order {g.order_id}",
            "An order's status, items, address and payments.",
        ),
        read(
            "get_product_details",
            a.OfProduct,
            r.Product,
            lambda g: f"Read product {g.product_id}",
            "A product's variants with options, price and availability. A product id is no item id.",
        ),
        read(
            "get_item_details",
            a.OfItem,
            r.Variant,
            lambda g: f"Read item {g.item_id}",
            "One variant's options, price and availability.",
        ),
        read(
            "list_all_product_types",
            a.NoArgs,
            r.ProductTypes,
            lambda _: "List the product types",
            "The name and product id of every product.",
        ),
        read(
            "calculate",
            a.Calculate,
            r.Calculated,
            lambda g: f"Work out {g.expression}",
            "The result of a sum, such as 12.50 - 3 * 2.",
        ),
        read(
            "transfer_to_human_agents",
            a.Transfer,
            r.Transferred,
            lambda g: f"Hand the user to people: {g.summary[:120]}",
            "Hand over to people, only where these tools and the policy can't help. Changes no record.",
        ),
    ]


_STAYS = "Nobody answers with the address before it: another change puts it right."


async def _nothing_stored(key: str) -> None:
    """A read leaves nothing behind: it can be done again."""


def _writes(shop: Shop) -> list[Tool[Any]]:
    def write(
        name: str,
        effect: Effect,
        args: type[A],
        describe: Callable[[A], str],
        summary: str,
        result: type[BaseModel] = r.Order,
        egress: frozenset[Egress] = _PROVIDER,
    ) -> Tool[A]:
        async def run(given: A, context: CallContext) -> BaseModel:
            sent = given.model_dump(mode="json")
            done = await shop.write(name, sent, key=context.key, case_id=context.case_id)
            return result.model_validate(with_money(done))

        async def find(key: str) -> dict[str, JSON] | None:
            call = await shop.find(key)
            return None if call is None else result.model_validate(with_money(call.result)).model_dump(mode="json")

        stays = _STAYS if effect is Effect.REVERSIBLE else ""
        spec = ToolSpec(name, effect, args, result, describe, summary, egress, _HOLDS[result], stays=stays)
        return Tool(spec, run, find)

    return [
        write(
            "cancel_pending_order",
            Effect.IRREVERSIBLE,
            a.Cancel,
            lambda g: f"Cancel order {g.order_id} ({g.reason}) and refund what was paid",
            "Cancel a pending order; what was paid goes back to where it came from.",
        ),
        write(
            "modify_pending_order_address",
            Effect.REVERSIBLE,
            a.OrderAddress,
            lambda g: f"Send order {g.order_id} to {g.line()}",
            "Change the shipping address of a pending order.",
        ),
        write(
            "modify_pending_order_items",
            Effect.IRREVERSIBLE,
            a.Swap,
            lambda g: f"Change {_swap(g)} of order {g.order_id}, the difference by {g.payment_method_id}",
            "Change items of a pending order to other variants of the same products. Once for each order.",
        ),
        write(
            "modify_pending_order_payment",
            Effect.IRREVERSIBLE,
            a.Payment,
            lambda g: f"Let {g.payment_method_id} pay for order {g.order_id}",
            "Change the payment method of a pending order.",
        ),
        write(
            "modify_user_address",
            Effect.REVERSIBLE,
            a.UserAddress,
            lambda g: f"Change the address of {g.user_id} to {g.line()}",
            "Change a user's default address.",
            result=r.User,
        ),
        write(
            "return_delivered_order_items",
            Effect.IRREVERSIBLE,
            a.Return,
            lambda g: f"Return {', '.join(g.item_ids)} of order {g.order_id}, refunded to {g.payment_method_id}",
            "Return items of a delivered order. Once for each order; the user gets an email.",
            egress=_TO_CUSTOMER,
        ),
        write(
            "exchange_delivered_order_items",
            Effect.IRREVERSIBLE,
            a.Swap,
            lambda g: f"Exchange {_swap(g)} of order {g.order_id}, the difference by {g.payment_method_id}",
            "Exchange items of a delivered order for other variants of the same products. Once for each order.",
            egress=_TO_CUSTOMER,
        ),
    ]


def _swap(given: a.Swap) -> str:
    return ", ".join(f"{old} to {new}" for old, new in zip(given.item_ids, given.new_item_ids, strict=False))
