"""The moves of a returns agent: read once more, propose but never the same twice, write once, ask people once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.contract import Finish
from agents.procedure import Answered, Call, Seen
from agents.returns.intake import ReturnRequest
from agents.returns.replies import Reply
from agents.returns.understanding import ASK, Understanding
from core.actions import JSON, OutcomeStatus

S = OutcomeStatus
NOT_THEIRS = ("not_found", "other_customer")
_ON_RETURN = ("returns.request", "returns.approve", "returns.decline", "returns.cancel", "returns.get", "returns.close")
PLAIN = {
    "it was returned already": "it was returned already",
    "it was a final sale": "it was a final sale, which can't be returned",
    "it is not on this order": "it is not part of this order",
    "the order was cancelled": "the order was cancelled",
    "it was not delivered yet": "it has not been delivered yet; write to us again once it is there",
}
"""What the rules say, in words for the customer. A line of which this is said can't even be requested."""


class Moves:
    def __init__(self, request: ReturnRequest, seen: Seen) -> None:
        self._request = request
        self._seen = seen
        self._told = Understanding.of(request, seen)
        self._todo: list[Call] = []
        self._items: dict[str, dict[str, Any]] = {}
        self._order_id = ""
        self._left_out: list[str] = []

    def _get(self, call: Call) -> dict[str, Any] | None:
        """What a read gave. Not asked yet, or failed once: it is put on the list. None if it gives nothing."""
        asked = [one for one in self._seen.of(call.tool) if one.call.args == call.args]
        if asked and asked[-1].ran:
            return asked[-1].outcome.result
        if not asked or (len(asked) == 1 and _may_pass(asked[0])):
            self._todo.append(call)
        return None

    def _write(
        self, full: Reply, brief: Reply, outcome: str, summary: str, beside: Sequence[Call] = ()
    ) -> list[Call] | Finish:
        """One message; if a person rejects its words, one that says less; then the end."""
        sent = self._seen.of("messages.send")
        if not sent:
            return [*beside, Call("messages.send", full.args(self._request.customer_id), "Writing to the customer.")]
        if sent[-1].outcome.status in (S.REJECTED, S.RESPONDED) and len(sent) == 1:
            return [Call("messages.send", brief.args(self._request.customer_id), "Writing less.")]
        silent = "" if any(one.ran for one in sent) else " The customer was not written to."
        return Finish(outcome=outcome, summary=summary + silent)

    def _propose(self, *calls: Call) -> list[Call] | Finish:
        """Never again what got a no, word for word."""
        if any((before := self._seen.asked(call)) and not before.ran for call in calls):
            return self._ask(self._question())
        return list(calls)

    def _ask(self, question: str) -> list[Call] | Finish:
        """Once; after that the case is theirs."""
        if self._seen.of(ASK):
            return Finish(outcome="handed_over", summary=f"People took it over: {question}")
        later = "".join(f"\n\nLater: {text.strip()[:400]}" for text in self._seen.wrote[-2:])
        wrote = self._request.letter.strip()[: 1_500 - len(later)] or "(a form)"
        context = f"Customer {self._request.customer_id} wrote: {wrote}{later}"
        return [Call(ASK, {"question": question[:1_000], "context": context}, "Asking people.")]

    def _question(self) -> str:
        no = next((one for one in reversed(self._seen.answered) if not one.ran), None)
        if no is None:
            return "How shall we go on?"
        return f"{no.call.tool} was {no.outcome.status}: {no.outcome.reason or 'no reason given'}. How shall we go on?"

    def _read_again(self, return_id: str) -> list[Call] | None:
        """After a stale write the return is read, once for each such write."""
        stale = [one for one in self._seen.answered if one.outcome.result.get("code") == "stale_status"]
        if len(stale) <= len(self._seen.of("returns.get")):
            return None
        args: dict[str, JSON] = {"return_id": return_id, "customer_id": self._request.customer_id}
        return [Call("returns.get", args, "Reading the return again.")]

    def _status(self) -> str:
        known = [one for one in self._seen.of(*_ON_RETURN) if one.ran and "status" in one.outcome.result]
        return str(known[-1].outcome.result["status"])

    def _name(self, line_id: str) -> str:
        item = self._items.get(line_id)
        return str(item["title"]) if item else "an item"

    def _why(self, verdicts: Sequence[Mapping[str, Any]], evaluation: Mapping[str, Any]) -> list[str]:
        """In the customer's words, each reason once."""
        said = []
        for reason in (reason for verdict in verdicts for reason in verdict["reasons"]):
            if "the window is" in reason:
                said.append(f"the return period of {evaluation['window_days']} days has ended")
            elif reason in PLAIN:
                said.append(PLAIN[reason])
        return list(dict.fromkeys(said))


def _may_pass(one: Answered) -> bool:
    """A read that failed for a reason of the moment is worth a second try."""
    return one.outcome.status is S.FAILED and one.outcome.result.get("code") not in NOT_THEIRS
