"""What a case asks for, made out of its form, its letter, and what people answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.procedure import Answered, Seen
from agents.returns.goods import Item
from agents.returns.intake import ReturnRequest
from agents.returns.letters import Meant, Reading, body, order_ids, read_letter
from agents.returns.phrases import plain, reason_in, wanted_in
from agents.returns.second_thoughts import changed
from agents.returns.wishes import OnShelf, Wish, wished
from core.actions import JSON, OutcomeStatus
from tools.returns.models import OUR_FAULT, Reason, Resolution

ASK = "people.ask"
CLARIFYING = ("Which ", "How many ")
"""How a question begins that an answer in words can settle."""
_NOTE, _NOTES = 2_000, 10_000
"""Characters of a letter that go with a line, and with all lines of a call together."""


@dataclass(frozen=True)
class Understanding:
    request: ReturnRequest
    answer: str = ""
    """What people said to a clarifying question; it goes before the letter."""
    wrote: tuple[str, ...] = ()
    """What the customer wrote later, the oldest first: it goes before the letter too, the newest before all."""

    @classmethod
    def of(cls, request: ReturnRequest, seen: Seen) -> Understanding:
        words = [
            _words_of(one) for one in seen.of(ASK) if str(one.call.args.get("question", "")).startswith(CLARIFYING)
        ]
        return cls(request, " ".join(word for word in words if word), seen.wrote)

    @property
    def texts(self) -> list[str]:
        """What the customer wrote, the newest first."""
        return [*reversed(self.wrote), self.request.letter]

    def order(self) -> str | None:
        """The one order that is meant; None if none or several are named."""
        for source in (self.answer, *reversed(self.wrote), self.request.order_id or "", self.request.letter):
            found = [source] if source and source == self.request.order_id else order_ids(source)
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def lines(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, JSON]] | str:
        """Lines as the tools take them, or the question to people."""
        letter = self.request.letter
        known = [Item(i["fulfillment_line_item_id"], i["title"], i["options"], i["bought"]) for i in items]
        reading = read_letter(self.answer, known) if self.answer and not self.request.lines else None
        if self.request.lines:
            form = (Meant(line.fulfillment_line_item_id, line.quantity, line.reason) for line in self.request.lines)
            reading = changed(Reading(tuple(form)), self.wrote, known)
        elif reading is None or reading.question:
            reading = changed(read_letter(letter, known), self.wrote, known)
        if reading.question:
            return reading.question
        meant = list(reading.lines)
        reasons = (reason_in(plain(body(text))) for text in self.texts)
        told = next((reason for reason in reasons if reason is not Reason.UNKNOWN), Reason.UNKNOWN)
        note = letter[: min(_NOTE, _NOTES // len(meant))].strip()
        return [
            {
                "fulfillment_line_item_id": one.line_id,
                "quantity": one.quantity,
                "reason": (told if one.reason is Reason.UNKNOWN else one.reason).value,
                "customer_note": note,
            }
            for one in meant
        ]

    def wants(self, lines: Sequence[Mapping[str, Any]] = ()) -> Resolution | None:
        """The same goods again, where an exchange is asked for what was broken or wrong and nothing else is named."""
        later = (wanted_in(plain(body(text))) for text in reversed(self.wrote))
        wants = next((one for one in later if one), None)
        wants = wants or self.request.wants or wanted_in(plain(body(self.request.letter)))
        if wants is Resolution.DENY:
            return None
        if wants is Resolution.EXCHANGE and lines and all(line["reason"] in OUR_FAULT for line in lines):
            return Resolution.REPLACE
        return wants

    def wish(self, own: Mapping[str, str], alternatives: Sequence[Mapping[str, Any]], reason: Reason) -> Wish:
        shelf = [OnShelf(one["variant_id"], one["options"]) for one in alternatives]
        for text in (self.answer, *map(body, self.texts)):
            if text and not (wish := wished(text, own, shelf, reason)).unclear:
                return wish
        return Wish(unclear=True)


def _words_of(one: Answered) -> str:
    """A person answers by changing the question, or in the reason they give."""
    if one.outcome.status is OutcomeStatus.EDITED:
        return f"{one.outcome.result.get('asked', '')} {one.outcome.reason}".strip()
    said = (OutcomeStatus.DONE, OutcomeStatus.REJECTED, OutcomeStatus.RESPONDED)
    return one.outcome.reason if one.outcome.status in said else ""
