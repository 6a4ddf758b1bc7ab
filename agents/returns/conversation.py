"""The returns agent's side of a chat: when enough was said to open a return, and how one is told how it stands.

Pure; English. It asks for an order number and for what is to go back, and for nothing else: what is unclear beyond
that is a question to the house's people, who see the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from agents.conversation import Ask, Heard, Opening, Standing
from agents.returns.intake import LETTER_LIMIT
from agents.returns.letters import order_ids
from agents.returns.small_talk import hears, says_what
from core.actions import JSON

_WHICH = (
    "Hello! I can help you to send something back. Please tell me the number of your order (it looks like"
    " ORD-1234567), what you would like to return, and why."
)
_NUMBER = "Which order is it about? Please send me its number, such as ORD-1234567: it is on your confirmation."
_NONE = (
    "I see no case in this conversation. Please tell me your case number (it begins with case_), or the number of your"
    " order and what you would like to return."
)
_ENDED = {
    "handed_over": "A colleague has taken over your case {case} and will write to you.",
    "cancelled": "Your case {case} was closed without a return. If that is not what you expected, please tell me.",
}


class ReturnsConversation:
    """Implements `agents.conversation.Conversation`."""

    writes_by = "messages.send"

    def begin(self, said: Sequence[str], customer: str) -> Opening | Ask:
        meant = [each.strip() for each in said if hears(each) is not Heard.COURTESY]
        if not meant:
            return Ask(_WHICH)
        if all(hears(each) is Heard.ENQUIRY for each in meant):
            return Ask(_NONE)
        named = self._order(meant)
        if isinstance(named, Ask):
            return named
        if not any(says_what(each) for each in meant):
            return Ask(f"What would you like to send back from order {named}, and what is the matter with it?")
        letter = "\n\n".join(meant)
        if len(letter) > LETTER_LIMIT:
            return Ask("That is more than I can read at once. Please tell me in fewer words what goes back, and why.")
        return Opening({"customer_id": customer, "order_id": named, "letter": letter, "channel": "chat"})

    def hears(self, said: str) -> Heard:
        return hears(said)

    def holds(self, payload: Mapping[str, JSON], said: str) -> bool:
        """Whole messages only: `keep it` is news where the letter says `I can't keep it`."""
        return f"\n\n{said.strip()}\n\n" in f"\n\n{payload.get('letter', '')}\n\n"

    def written(self, args: Mapping[str, JSON]) -> str:
        return str(args.get("body", "")).strip()

    def words(self, standing: Standing) -> str:
        case = standing.case_id
        match standing.state:
            case "waiting":
                return (
                    "A colleague has to look at your request before I can go on. You need not do anything."
                    f" Your case number is {case}; ask me here at any time how it stands."
                )
            case "delayed":
                return f"This takes longer than usual, and we stay on it. Your case number is {case}."
            case "working":
                return f"I am working on it. Your case number is {case}; ask me again in a moment."
            case "ended":
                if standing.told:
                    return f"{standing.told[-1]}\n\nYour case {case} is closed."
                return _ENDED.get(standing.outcome, "Your case {case} is closed.").format(case=case)

    def _order(self, meant: Sequence[str]) -> str | Ask:
        """The one order that the last message with a number names; a later word goes before an earlier one."""
        for each in reversed(meant):
            named = _orders(each)
            if len(named) == 1:
                return named[0]
            if named:
                return Ask(f"You named {', '.join(named[:5])}. Which of these orders is it? One at a time, please.")
        return Ask(_NUMBER)


@lru_cache(maxsize=512)
def _orders(said: str) -> tuple[str, ...]:
    return tuple(order_ids(said))
