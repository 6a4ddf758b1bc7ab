"""What a customer's later message does to what they asked for before: it adds, narrows, changes or withdraws. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.returns.goods import Item, mentioned
from agents.returns.letters import Meant, Reading, body, read_letter, without_ids
from agents.returns.phrases import plain, wanted_in

_STOP = re.compile(
    r"\b(?:forget (?:about )?(?:it|that|this|(?:the|my|this) (?:\w+ )?(?:return|request|refund|case))"
    r"|never ?mind"
    r"|(?:cancel|withdraw|stop|drop|call off) (?:it|this|that|everything"
    r"|(?:the|my|this) (?:\w+ )?(?:return|request|refund|case))"
    r"|(?:i'll|i will|i'd|i would|i want to|like to|decided to|going to|rather|we'll|we will|we want to) ?"
    r"(?:just |rather |now |like to )?keep (?:it|them|this|these|those|both|all(?: of (?:it|them))?|everything)"
    r"|(?:i'm|i am|we are|we're) (?:just |now )?keeping (?:it|them|this|these|both|everything)"
    r"|(?:don't|do not|no longer) (?:want|need|wish) (?:to (?:return|send|give)(?: (?:it|them|anything))?(?: back)?"
    r"|(?:a|the|any) (?:refund|return))(?: (?:any ?more|now))?"
    r"|no (?:refund|return) (?:is )?(?:needed|necessary))\b"
)
_BACK = re.compile(r"\b(?:return\w*|refund\w*|sen[dt]\w* (?:\w+ ){0,4}back|giv\w+ (?:\w+ ){0,3}back|go(?:ing)? back)\b")
_KEEP = re.compile(r"\bkeep(?:ing)?\b")
_ONLY = re.compile(r"\b(?:only|just|instead|rather|not the|keep(?:ing)?)\b")


def withdraws(wrote: Sequence[str]) -> bool:
    """Whether the last word on it, of messages from the oldest to the newest, is that nothing goes back."""
    for text in reversed(wrote):
        said = plain(body(text))
        rest = _STOP.sub(" ", said)
        wants = wanted_in(rest) is not None or bool(_BACK.search(rest))
        if rest != said and not wants:
            return True
        if wants:
            return False
    return False


def changed(earlier: Reading, wrote: Sequence[str], items: Sequence[Item]) -> Reading:
    """What goes back after these messages; or a question, where one of them names goods and can't be read."""
    for text in wrote:
        said = without_ids(plain(body(text)))
        named = mentioned(said, items) if items else []
        if not named:
            continue
        if _KEEP.search(said) and not _BACK.search(said):
            kept = {item.line_id for item in named}
            left = tuple(line for line in earlier.lines if line.line_id not in kept)
            earlier = Reading(left, "" if left else _KEEPS_ALL)
            continue
        later = read_letter(text, items)
        if earlier.question or later.question or _ONLY.search(said):
            earlier = later
            continue
        lines: dict[str, Meant] = {line.line_id: line for line in (*earlier.lines, *later.lines)}
        earlier = Reading(tuple(lines.values()))
    return earlier


_KEEPS_ALL = "Which items does the customer want to return still? They wrote again that they keep what they had named."
