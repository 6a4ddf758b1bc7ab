"""The second half of a return: open it, approve or decline it, give what is due, tell the customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.contract import Finish
from agents.procedure import Call
from agents.returns import replies
from agents.returns.feedback import meant_by
from agents.returns.moves import PLAIN, Moves, S
from core.actions import JSON
from core.money import Money
from tools.returns.models import DeclineReason, Reason, Resolution

R = Resolution
GIVES = {
    R.REFUND_ORIGINAL: "refunds.create",
    R.RETURNLESS_REFUND: "refunds.create",
    R.STORE_CREDIT: "store_credit.issue",
    R.EXCHANGE: "exchanges.create",
    R.REPLACE: "exchanges.create",
}
GOODS_FOR_GOODS = (R.EXCHANGE, R.REPLACE)
_NEVER = ("return_period_ended", "final_sale", "already_returned", "order_canceled", "not_delivered")
"""What a shop says of goods that it takes back under no circumstances."""
_DECIDING = (*GIVES.values(), "returns.approve", "returns.decline", "returns.request")


@dataclass(frozen=True)
class Weighed:
    """What is meant, what the rules say of it, and what could be sent instead."""

    lines: list[dict[str, JSON]]
    evaluation: Mapping[str, Any]
    goods: str
    why: Sequence[str]
    """Why not, in words for the customer."""
    swaps: Sequence[dict[str, JSON]] = ()


class Settling(Moves):
    def _after_no(self, resolution: Resolution, evaluation: Mapping[str, Any]) -> Resolution | None:
        """The way out that is left after every no so far. None: people have to say."""
        open_ = {R(option["resolution"]) for option in evaluation["options"] if option["eligible"]} | {R.DENY}
        chosen: Resolution | None = resolution
        for one in self._seen.answered:
            if one.ran or one.call.tool not in _DECIDING:
                continue
            status, code = one.outcome.status, one.outcome.result.get("code")
            if status in (S.REJECTED, S.RESPONDED):
                chosen = meant_by(one.outcome.reason, open_, refused=one.call.tool)
            elif status is S.FAILED and code == "stale_status":
                continue  # it is read again
            elif one.call.tool == "exchanges.create" and status is S.FAILED and R.REFUND_ORIGINAL in open_:
                chosen = R.REFUND_ORIGINAL
            elif one.call.tool in ("returns.request", "returns.approve") and (status is S.DENIED or code in _NEVER):
                chosen = R.DENY
            else:
                chosen = None
        return chosen

    def _changed(self) -> list[dict[str, JSON]] | None:
        """The lines of the return, if a person changed them when it was opened."""
        opened = self._seen.last("returns.request")
        if opened is None or opened.outcome.status is not S.EDITED:
            return None
        asked = {line["fulfillment_line_item_id"]: line for line in opened.call.args["lines"]}
        default = {"reason": Reason.OTHER.value, "customer_note": ""}
        kept = ("fulfillment_line_item_id", "quantity")
        return [
            default | asked.get(line["fulfillment_line_item_id"], {}) | {key: line[key] for key in kept}
            for line in opened.outcome.result["lines"]
        ]

    def _give(self, resolution: Resolution, found: Weighed) -> list[Call] | Finish:
        opened = self._seen.result("returns.request")
        if opened is None:
            return self._request_return(found, "Opening the return.")
        return_id, status = str(opened["return_id"]), self._status()
        if stale := self._read_again(return_id):
            return stale
        on_return: dict[str, JSON] = {"return_id": return_id, "expected_status": status}
        if status == "REQUESTED":
            return self._propose(Call("returns.approve", on_return, "Approving the return."))
        given = any(self._seen.result(tool) for tool in GIVES.values())
        if status != "OPEN" and not given:
            return self._ask(f"Return {return_id} is {status} by now. Please look into it.")
        keeps = resolution is R.RETURNLESS_REFUND
        calls = []
        if not keeps and self._seen.last("labels.create_return") is None:
            calls.append(Call("labels.create_return", on_return, "Sending a label."))
        if not given:
            money = self._money(resolution, on_return, found)
            if self._todo:
                return self._todo
            if money is None:
                return self._ask("The rules entitle the customer to nothing for these goods. Please look into it.")
            calls.append(money)
        if calls:
            return self._propose(*calls)
        label = self._seen.result("labels.create_return")
        if not keeps and label is None:
            return self._ask(f"There is no label for return {return_id}. How do the goods come back?")
        close = [Call("returns.close", on_return, "Closing the return.")] if keeps and status == "OPEN" else []
        return self._report(found.goods, label, kept=keeps, beside=close)

    def _money(self, resolution: Resolution, on_return: dict[str, JSON], found: Weighed) -> Call | None:
        """None where nothing is due, or where it still has to be calculated."""
        lines = self._changed() or found.lines
        if resolution in GOODS_FOR_GOODS:
            pieces = {line["fulfillment_line_item_id"]: line["quantity"] for line in lines}
            swaps = [
                swap | {"quantity": pieces[swap["fulfillment_line_item_id"]]}
                for swap in found.swaps
                if swap["fulfillment_line_item_id"] in pieces
            ]
            return Call("exchanges.create", on_return | {"lines": swaps}, "Sending the other goods.")
        if lines == found.lines:
            options = {option["resolution"]: option["entitled"] for option in found.evaluation["options"]}
            amount = options[resolution.value]
        else:
            about = {"order_id": self._order_id, "lines": lines, "resolution": resolution.value}
            due = self._get(Call("returns.calculate", about, "Calculating again what is due."))
            amount = due and due["entitled"]
        if not amount or amount["amount_minor"] <= 0:
            return None
        paying = on_return | {"order_id": self._order_id, "amount": amount}
        if resolution is R.STORE_CREDIT:
            return Call("store_credit.issue", paying, "Issuing store credit.")
        keep = resolution is R.RETURNLESS_REFUND
        refund = paying | {"reason": lines[0]["reason"], "keep_item": keep}
        return Call("refunds.create", refund, "Giving the money back.")

    def _decline(self, found: Weighed) -> list[Call] | Finish:
        opened = self._seen.last("returns.request")
        reasons = {why for line in found.evaluation["lines"] if not line["eligible"] for why in line["reasons"]}
        if opened is None and not reasons & set(PLAIN):
            return self._request_return(found, "Registering the return.")
        if opened is not None and opened.ran:
            return_id, status = str(opened.outcome.result["return_id"]), self._status()
            if stale := self._read_again(return_id):
                return stale
            on_return: dict[str, JSON] = {"return_id": return_id, "expected_status": status}
            if status == "REQUESTED":
                late = any("the window is" in reason for reason in reasons)
                code = DeclineReason.RETURN_PERIOD_ENDED if late else DeclineReason.OTHER
                note = f"We can't accept this return{': ' + '; '.join(found.why) if found.why else ''}."
                no = on_return | {"reason": code.value, "note": note}
                return self._propose(Call("returns.decline", no, "Declining the return."))
            if status == "OPEN":
                label = self._seen.result("labels.create_return")
                if label and not self._seen.results("labels.void"):
                    return self._propose(Call("labels.void", {"label_id": label["label_id"]}, "Voiding the label."))
                return self._propose(Call("returns.cancel", on_return, "Taking the approval back."))
        full, brief = (replies.declined(self._order_id, found.goods, found.why, brief=short) for short in (False, True))
        return self._write(full, brief, "declined", f"Declined: {'; '.join(found.why) or 'not accepted'}.")

    def _withdraw(self) -> list[Call] | Finish:
        """The customer keeps it all. What was given already is for people to see to."""
        if any(self._seen.result(tool) for tool in (*GIVES.values(), "returns.close")):
            return self._ask("The customer withdraws the return, and something was given for it already.")
        opened = self._seen.last("returns.request")
        if opened is not None and opened.ran:
            return_id, status = str(opened.outcome.result["return_id"]), self._status()
            if stale := self._read_again(return_id):
                return stale
            if status in ("REQUESTED", "OPEN"):
                label = self._seen.result("labels.create_return")
                if label and not self._seen.results("labels.void"):
                    return self._propose(Call("labels.void", {"label_id": label["label_id"]}, "Voiding the label."))
                on_return: dict[str, JSON] = {"return_id": return_id, "expected_status": status}
                return self._propose(Call("returns.cancel", on_return, "Taking the return back."))
        full, brief = (replies.withdrawn(brief=short) for short in (False, True))
        return self._write(full, brief, "withdrawn", "The customer withdrew it.")

    def _other_return(self, lines: Sequence[Mapping[str, JSON]]) -> str:
        """The return that is open, if the rules were not asked about just these goods and reasons before it was."""
        opened = self._seen.last("returns.request")
        if opened is None or not opened.ran:
            return ""

        def goods(of: Sequence[Mapping[str, JSON]]) -> list[tuple[JSON, ...]]:
            return sorted((line["fulfillment_line_item_id"], line["quantity"], line["reason"]) for line in of)

        weighed = [one.call.args for one in self._seen.of("rules.evaluate")]
        same = any(one["order_id"] == self._order_id and goods(one["lines"]) == goods(lines) for one in weighed)
        return "" if same else str(opened.outcome.result["return_id"])

    def _wanted_before(self, wants: Resolution | None) -> Resolution | None:
        """What the rules were asked for when the return was opened: they can't weigh goods anew that are on one."""
        weighed = self._seen.last("rules.evaluate")
        if not self._told.wrote or weighed is None or self._seen.result("returns.request") is None:
            return wants
        return R(weighed.call.args["wants"]) if weighed.call.args["wants"] else None

    def _request_return(self, found: Weighed, why: str) -> list[Call] | Finish:
        return self._propose(Call("returns.request", {"order_id": self._order_id, "lines": found.lines}, why))

    def _report(
        self, goods: str, label: Mapping[str, Any] | None, *, kept: bool, beside: list[Call]
    ) -> list[Call] | Finish:
        refund, credit = self._seen.result("refunds.create"), self._seen.result("store_credit.issue")
        told = replies.Told(
            self._order_id,
            goods,
            refund=Money.model_validate(refund["amount"]) if refund else None,
            credit=Money.model_validate(credit["amount"]) if credit else None,
            exchanged=self._seen.result("exchanges.create") is not None,
            carrier=label["carrier"].replace("_", " ") if label else "",
            kept=kept,
            left_out=tuple(self._left_out),
        )
        paid = "refunded_without_return" if kept else "refunded"
        outcome = "exchanged" if told.exchanged else "store_credit" if told.credit else paid
        summary = f"{told.refund or told.credit or 'Other goods'} for {goods}, order {self._order_id}."
        return self._write(replies.settled(told), replies.settled(told, brief=True), outcome, summary, beside)
