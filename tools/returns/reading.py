"""The reads of a returns desk, the pure ones included: they look at the shop and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from core.actions import Effect, Egress, ToolSpec
from core.ports import CallContext
from tools.contract import Tool
from tools.fulfillment.ports import Shop
from tools.returns import args as a
from tools.returns import results as r
from tools.returns.data import HOLDS
from tools.returns.models import Order, Variant
from tools.returns.rules import Calculation, Evaluation, calculate, evaluate
from tools.vision.ports import ScoredPhoto, VisionScorer, score_photo

A = TypeVar("A", bound=BaseModel)

_PROVIDER = frozenset({Egress.PROVIDER})


def reading_tools(shop: Shop, vision: VisionScorer, photos: Path | None) -> list[Tool[Any]]:
    async def order_of(order_id: str) -> Order:
        found = r.OrderFound.model_validate(await shop.read("orders.get", {"order_id": order_id}))
        return found.order

    async def score(given: a.ScorePhoto, context: CallContext) -> ScoredPhoto:
        return await score_photo(given.photo, vision, photos)

    async def evaluated(given: a.Evaluate, context: CallContext) -> Evaluation:
        order = await order_of(given.order_id)
        history = await shop.read("customers.return_history", {"customer_id": order.customer_id})
        asked = {line.fulfillment_line_item_id for line in given.lines}
        ids = sorted({line.variant_id for line in order.lines if line.fulfillment_line_item_id in asked})
        known = await shop.read("variants.known", {"variant_ids": ids})
        variants = {v.variant_id: v for v in map(Variant.model_validate, known["variants"])}
        return evaluate(
            order,
            r.History.model_validate(history),
            given.lines,
            context.at,
            variants=variants,
            wants=given.wants,
        )

    async def calculated(given: a.Calculate, context: CallContext) -> Calculation:
        return calculate(await order_of(given.order_id), given.lines, given.resolution)

    return [
        _query(
            shop,
            "orders.get",
            a.GetOrder,
            r.OrderFound,
            lambda g: f"Read order {g.order_id}",
            "An order of a customer.",
        ),
        _query(
            shop,
            "returns.returnable_items",
            a.OfOrder,
            r.ReturnableItems,
            lambda g: f"List what can be returned of order {g.order_id}",
            "The lines of an order, and how many pieces of each can still be returned.",
        ),
        _query(
            shop,
            "returns.get",
            a.GetReturn,
            r.ReturnFound,
            lambda g: f"Read return {g.return_id}",
            "A return with its lines, their stages, and what was given for it.",
        ),
        _query(
            shop,
            "variants.get",
            a.GetVariant,
            r.VariantFound,
            lambda g: f"Read variant {g.variant_id} and what it can be exchanged for",
            "A variant, its price and stock, and the other variants of the product that are on the shelf.",
        ),
        _query(
            shop,
            "customers.return_history",
            a.OfCustomer,
            r.History,
            lambda g: f"Read the return history of customer {g.customer_id}",
            "Orders and returns of a customer in the last twelve months, and fraud signals on record.",
        ),
        Tool(
            ToolSpec(
                "vision.score",
                Effect.READ,
                a.ScorePhoto,
                ScoredPhoto,
                lambda g: "Score a photo of the goods",
                "How well a photo supports what the customer says. No score is an answer.",
                egress=frozenset({Egress.THIRD_PARTY}),
                data=HOLDS[ScoredPhoto],
            ),
            score,
            nothing_stored,
        ),
        Tool(
            ToolSpec(
                "rules.evaluate",
                Effect.READ,
                a.Evaluate,
                Evaluation,
                lambda g: f"Look up which ways out there are for {pieces(g.lines)} of order {g.order_id}",
                "Which resolutions are open for these lines and why, and which fraud signals there are.",
                egress=_PROVIDER,
                data=HOLDS[Evaluation],
            ),
            evaluated,
            nothing_stored,
        ),
        Tool(
            ToolSpec(
                "returns.calculate",
                Effect.READ,
                a.Calculate,
                Calculation,
                lambda g: f"Calculate {g.resolution} for {pieces(g.lines)} of order {g.order_id}",
                "What these lines are entitled to under a resolution: worth, fees, and a reason for each.",
                egress=_PROVIDER,
                data=HOLDS[Calculation],
            ),
            calculated,
            nothing_stored,
        ),
    ]


def _query(
    shop: Shop, name: str, args: type[A], result: type[BaseModel], describe: Callable[[A], str], summary: str
) -> Tool[A]:
    async def run(given: A, context: CallContext) -> BaseModel:
        return result.model_validate(await shop.read(name, given.model_dump(mode="json")))

    spec = ToolSpec(name, Effect.READ, args, result, describe, summary, egress=_PROVIDER, data=HOLDS[result])
    return Tool(spec, run, nothing_stored)


async def nothing_stored(key: str) -> None:
    """A read leaves nothing behind: it can be done again."""


def pieces(lines: list[a.AskedLine]) -> str:
    return count(sum(line.quantity for line in lines), "piece")


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
