"""One look at a returns case: which step it stands at, and what that step proposes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.contract import Finish
from agents.procedure import Call
from agents.returns import replies
from agents.returns.moves import NOT_THEIRS, S
from agents.returns.second_thoughts import withdraws
from agents.returns.settling import GOODS_FOR_GOODS, R, Settling, Weighed
from core.actions import JSON
from tools.returns.models import Reason, Resolution

_NO_GOODS = frozenset({"EMPTY_BOX", "INR_CLAIM"})


class Flow(Settling):
    def next(self) -> list[Call] | Finish:
        if any(one.outcome.status is S.UNKNOWN for one in self._seen.answered):
            return self._ask("Please look up what came of the last action: its outcome is unknown.")
        if withdraws(self._told.wrote):
            return self._withdraw()
        order_id = self._told.order()
        if order_id is None:
            return self._ask("Which order does the customer mean? The letter names none, or more than one.")
        order, items = self._look_up(order_id)
        if self._todo:
            return self._todo
        if order is None or items is None:
            return self._no_order(order_id)
        self._items = {item["fulfillment_line_item_id"]: item for item in items["items"]}
        lines = self._told.lines(items["items"])
        if isinstance(lines, str):
            return self._ask(lines)
        self._order_id = order_id
        if self._told.wrote and (return_id := self._other_return(lines)):
            return self._ask(
                f"The customer wrote again, and return {return_id} does not fit any more. How shall we go on?"
            )
        return self._weigh(lines)

    def _look_up(self, order_id: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        customer = self._request.customer_id
        order = self._get(
            Call("orders.get", {"order_id": order_id, "customer_id": customer}, f"Reading order {order_id}.")
        )
        items = self._get(Call("returns.returnable_items", {"order_id": order_id}, "Listing what can go back."))
        self._get(Call("customers.return_history", {"customer_id": customer}, "Reading the customer's history."))
        for number, photo in enumerate(self._request.photos, 1):
            self._get(Call("vision.score", {"photo": photo}, f"Looking at photo {number}."))
        return order, items

    def _no_order(self, order_id: str) -> list[Call] | Finish:
        no = self._seen.last("orders.get")
        if no is None or no.ran:
            return self._ask(f"What can be returned of order {order_id} could not be read. Please look into it.")
        if no.outcome.status is S.DENIED or no.outcome.result.get("code") in NOT_THEIRS:
            return self._write(
                replies.not_found(), replies.not_found(brief=True), "not_found", "No such order of theirs."
            )
        return self._ask(f"Order {order_id} could not be read: {no.outcome.reason} Please look into it.")

    def _weigh(self, lines: list[dict[str, JSON]]) -> list[Call] | Finish:
        wants = self._told.wants(lines)
        about: dict[str, JSON] = {"order_id": self._order_id, "lines": lines}
        before = self._wanted_before(wants)
        evaluation = self._get(
            Call("rules.evaluate", about | {"wants": before and before.value}, "Weighing the rules.")
        )
        assumed = before or R.REFUND_ORIGINAL
        self._get(Call("returns.calculate", about | {"resolution": assumed.value}, "Calculating what is due."))
        shelves = {}
        if wants is R.EXCHANGE:
            for line in lines:
                item = self._items.get(line["fulfillment_line_item_id"])
                if item:
                    call = Call("variants.get", {"variant_id": item["variant_id"]}, "Looking on the shelf.")
                    shelves[line["fulfillment_line_item_id"]] = self._get(call)
        if self._todo:
            return self._todo
        if evaluation is None:
            return self._ask("The rules could not be evaluated for this return. Please look into it.")
        signals = {signal["signal"] for signal in evaluation["signals"]}
        said = [why for line in evaluation["lines"] for why in line["reasons"]]
        if "QTY_OVERSTATED" in signals or any("asked of" in why for why in said):
            return self._ask("The customer asks to return more pieces than can be returned. How shall we go on?")
        if signals & _NO_GOODS:
            return self._ask(
                "The customer says that the goods never came: nothing can be sent back. Please look into it."
            )
        good = [line for line, verdict in zip(lines, evaluation["lines"], strict=True) if verdict["eligible"]]
        if good and len(good) < len(lines):
            self._left_out = [
                f"{self._name(verdict['fulfillment_line_item_id'])} ({why})"
                for verdict in evaluation["lines"]
                if not verdict["eligible"]
                for why in self._why([verdict], evaluation)
            ]
            return self._weigh(good)
        return self._settle(lines, evaluation, shelves)

    def _settle(
        self, lines: list[dict[str, JSON]], evaluation: Mapping[str, Any], shelves: Mapping[str, Any]
    ) -> list[Call] | Finish:
        resolution = R(evaluation["recommended"])
        wants = self._told.wants(lines)
        if wants and wants is not self._wanted_before(wants):
            offered = {R(option["resolution"]) for option in evaluation["options"] if option["eligible"]}
            if wants not in offered:
                return self._ask(f"The customer wrote again and asks for {wants.value}, which the rules do not offer.")
            resolution = wants
        swaps = self._swaps(lines, resolution, shelves)
        if not swaps and resolution in GOODS_FOR_GOODS:
            resolution = R.REFUND_ORIGINAL  # what they want is not on the shelf
        chosen = None if isinstance(swaps, str) else self._after_no(resolution, evaluation)
        if chosen in GOODS_FOR_GOODS and chosen is not resolution:
            swaps = self._swaps(lines, chosen, shelves)
        if isinstance(swaps, str):
            return self._ask(swaps)
        if chosen is None:
            return self._ask(self._question())
        against = [line for line in evaluation["lines"] if not line["eligible"]]
        goods = replies.goods(
            [f"{line['quantity']} x {self._name(line['fulfillment_line_item_id'])}" for line in lines]
        )
        found = Weighed(lines, evaluation, goods, self._why(against, evaluation), swaps)
        return self._decline(found) if chosen is R.DENY else self._give(chosen, found)

    def _swaps(
        self, lines: list[dict[str, JSON]], resolution: Resolution, shelves: Mapping[str, Any]
    ) -> list[dict[str, JSON]] | str:
        """What to send for what comes back; empty if it is not on the shelf; or a question."""
        if resolution not in GOODS_FOR_GOODS:
            return []
        swaps: list[dict[str, JSON]] = []
        for line in lines:
            item = self._items[line["fulfillment_line_item_id"]]
            variant = item["variant_id"]
            if resolution is R.EXCHANGE:
                shelf = shelves.get(line["fulfillment_line_item_id"]) or {"alternatives": []}
                wish = self._told.wish(item["options"], shelf["alternatives"], Reason(line["reason"]))
                if wish.unclear:
                    return f"Which variant of '{item['title']}' does the customer want instead?"
                variant = wish.variant_id
            if not variant:
                return []
            swaps.append({key: line[key] for key in ("fulfillment_line_item_id", "quantity")} | {"variant_id": variant})
        return swaps
