"""What an action is about: its order, return and customer, each read from the shop once and only if asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from core.actions import JSON, ProposedAction
from core.errors import ProviderRefused
from core.money import Money
from tools.fulfillment.ports import Shop
from tools.returns.addresses import foreign_addresses
from tools.returns.args import AskedLine, ExchangeItem
from tools.returns.models import Customer, FulfillmentLine, Label, Reason, Resolution, Variant
from tools.returns.results import History, KnownVariants, OrderFound, ReturnFound, asked_again
from tools.vision.ports import VisionScorer, score_photo

T = TypeVar("T", bound=BaseModel)

_LINES = TypeAdapter(list[AskedLine])
_SWAPS = TypeAdapter(list[ExchangeItem])
_PAYS_AS = {
    "refunds.create": Resolution.REFUND_ORIGINAL,
    "store_credit.issue": Resolution.STORE_CREDIT,
    "exchanges.create": Resolution.EXCHANGE,
}


class Swap(NamedTuple):
    """`was` is None for goods that are in no catalogue any more."""

    quantity: int
    sent: Variant
    was: Variant | None


class Subject:
    """One action with its case. A part that does not exist is None; a shop that is down raises."""

    def __init__(
        self,
        shop: Shop,
        action: ProposedAction,
        case: Mapping[str, JSON],
        now: datetime,
        vision: VisionScorer,
        photos: Path | None,
    ) -> None:
        self._shop = shop
        self._vision = vision
        self._folder = photos
        self._seen: dict[str, Any] = {}
        self.tool = action.tool
        self.args = action.args
        self.case = case
        self.now = now

    async def order(self) -> OrderFound | None:
        order_id = self._text("order_id")
        if order_id is None:
            found = await self.returned()
            order_id = found.order_id if found else None
        if order_id is None:
            return None
        return await self._read("orders.get", {"order_id": order_id}, OrderFound)

    async def returned(self) -> ReturnFound | None:
        return_id = self._text("return_id")
        if return_id is None and (label_id := self._text("label_id")):
            label = await self._read("labels.get", {"label_id": label_id}, Label)
            return_id = label.return_id if label else None
        return None if return_id is None else await self._read("returns.get", {"return_id": return_id}, ReturnFound)

    async def customer(self) -> Customer | None:
        """Of the case, never of what the model wrote."""
        customer_id = self.case.get("customer_id")
        if not isinstance(customer_id, str):
            return None
        return await self._read("customers.get", {"customer_id": customer_id}, Customer)

    async def history(self) -> History | None:
        """Of the case's customer, less the return that this action is about."""
        customer = await self.customer()
        if customer is None:
            return None
        history = await self._read("customers.return_history", {"customer_id": customer.customer_id}, History)
        own = await self.returned()
        if history is None or own is None or own.return_id not in {past.return_id for past in history.returns}:
            return history
        return history.without(own.return_id)

    async def lines(self) -> list[tuple[AskedLine, FulfillmentLine]] | None:
        """The pieces that the action is about, where all of them are on the order; None if it is about none."""
        asked = self.asked()
        if asked is None:
            found = await self.returned()
            asked = asked_again(found) if found else None
        order = await self.order()
        if order is None or not asked:
            return None
        by_id = {line.fulfillment_line_item_id: line for line in order.lines}
        if any(line.fulfillment_line_item_id not in by_id for line in asked):
            return None
        return [(line, by_id[line.fulfillment_line_item_id]) for line in asked]

    async def swaps(self) -> list[Swap] | None:
        """The goods that an exchange sends, with the line that each is for; None where one of them is unknown."""
        order = await self.order()
        try:
            items = _SWAPS.validate_python(self.args["lines"])
        except (KeyError, ValidationError):
            return None
        by_id = {line.fulfillment_line_item_id: line for line in order.lines} if order else {}
        if any(item.fulfillment_line_item_id not in by_id for item in items):
            return None
        lines = [by_id[item.fulfillment_line_item_id] for item in items]
        ids = sorted({item.variant_id for item in items} | {line.variant_id for line in lines})
        read = await self._read("variants.known", {"variant_ids": ids}, KnownVariants)
        known = {variant.variant_id: variant for variant in read.variants} if read else {}
        if any(item.variant_id not in known for item in items):
            return None
        return [
            Swap(item.quantity, known[item.variant_id], known.get(line.variant_id))
            for item, line in zip(items, lines, strict=True)
        ]

    def asked(self) -> list[AskedLine] | None:
        """The lines that the arguments name with a reason, as `returns.request` does."""
        try:
            return _LINES.validate_python(self.args["lines"])
        except (KeyError, ValidationError):  # no lines, or of another shape, such as ids
            return None

    def resolution(self) -> Resolution | None:
        """How the action would settle a return."""
        if self.args.get("keep_item") is True:
            return Resolution.RETURNLESS_REFUND
        transfer = self.args.get("financial_transfer")
        if isinstance(transfer, dict):
            credit = transfer.get("method") == "store_credit"
            return Resolution.STORE_CREDIT if credit else Resolution.REFUND_ORIGINAL
        return _PAYS_AS.get(self.tool)

    def currencies(self) -> set[str]:
        """Of all money in the arguments."""
        transfer = self.args.get("financial_transfer")
        money = [self.args.get("amount"), self.args.get("fees"), transfer.get("amount") if transfer else None]
        return {Money.model_validate(amount).currency for amount in money if amount}

    def foreign_addresses(self, own: str) -> list[str]:
        """What leads elsewhere than to `own` in words that are to leave the house, a decline's note among them."""
        text = "\n".join(str(self.args.get(part, "")) for part in ("subject", "body", "note"))
        return foreign_addresses(text, own)

    def reasons_of_form(self) -> dict[str, str]:
        """Of each line, the reason that the customer gave in the form; none where they left it open."""
        lines = self.case.get("lines")
        given = {}
        for line in lines if isinstance(lines, list) else ():
            if isinstance(line, dict) and line.get("reason", Reason.UNKNOWN) != Reason.UNKNOWN:
                given[str(line.get("fulfillment_line_item_id"))] = str(line["reason"])
        return given

    def letter(self) -> str:
        """All that the customer wrote, later messages included."""
        return "\n\n".join([str(self.case.get("letter") or ""), *self.case.get("customer.wrote", ())])

    def photos(self) -> list[str]:
        photos = self.case.get("photos")
        return [photo for photo in photos if isinstance(photo, str)] if isinstance(photos, list) else []

    async def photo_score(self) -> Decimal | None:
        """The lowest of the case's photos; None where one of them has none."""
        scored = [await score_photo(photo, self._vision, self._folder) for photo in self.photos()]
        values = [photo.score for photo in scored if photo.score is not None]
        return min(values) if values and len(values) == len(scored) else None

    def _text(self, field: str) -> str | None:
        value = self.args.get(field)
        return value if isinstance(value, str) else None

    async def _read(self, query: str, args: dict[str, JSON], kind: type[T]) -> T | None:
        if query not in self._seen:
            try:
                self._seen[query] = kind.model_validate(await self._shop.read(query, args))
            except ProviderRefused:  # there is none, as far as the shop will say
                self._seen[query] = None
        found: T | None = self._seen[query]
        return found
