"""Reading a customer's letter: which order, which of its items, how many, and why. Pure; English.

It never guesses. Where a letter fits two things equally well, or nothing, the reading carries a question
for people instead of lines. Amounts and ids of goods are never taken from a letter, so that no sentence
in it can move more than the writer's own goods.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from agents.returns.goods import Item, alike, mentioned, name
from agents.returns.phrases import is_content, plain, reason_in
from agents.returns.quantities import quantity
from tools.returns.models import Reason

ORDER_PREFIX = "ORD-"
"""The shop's own numbers. A bare number of seven digits, or one after the word order, is taken for one."""
_ORDER = re.compile(r"(?<![\w.-])(?:#?(?P<own>ord[-_ ]?\d{3,12})|#?(?P<other>w\d{7})|#(?P<hash>\d{4,12}))(?!\w)", re.I)
_AFTER_ORDER = re.compile(r"\border(?: (?:number|no\.?|id|nr\.?))?[ :#-]{1,3}(\d{4,12})\b", re.I)
_BARE = re.compile(r"(?<![\w.,#-])(\d{7})\b(?!\.\d)")
_CLAUSE = re.compile(
    r"[.!?;]+(?=\s|$)|\n+|,? \b(?:but|however|whereas|while|though)\b|, (?=i |i'm |i'll |we )"
    r"|,? and (?=(?:i |i'm |we )?(?:would |'d |want |like |need |am |to )*(?:return|send|exchange|swap|keep|refund))"
    r"|,? and (?=(?:the|my|one) [^.;!?\n]*(?:\b(?:is|are|was|were|has|have|came|arrived|broke|fits?|looks?)\b|n't ))"
)
_ALL_OF_IT = re.compile(
    r"\b(?:return\w*|sen[dt]\w*|giv\w*|tak\w*|back|refund\w*|about|exchang\w*)\b[^.;!?\n]{0,30}?"
    r"\b(?:everything|all of it|(?:the )?(?:whole|entire|complete|full) (?:order|lot|parcel|thing)"
    r"|all (?:the |my |of the |these |those )?(?:items|things|articles|pieces))\b"
)
_ALL = re.compile(r"\b(?:all|both|every)\b")


@dataclass(frozen=True)
class Meant:
    line_id: str
    quantity: int
    reason: Reason


@dataclass(frozen=True)
class Reading:
    """Either lines, or a question that people have to answer first."""

    lines: tuple[Meant, ...] = ()
    question: str = ""


class _Said(NamedTuple):
    clause: str
    of: Sequence[Item]
    """The items that it mentions."""


def order_ids(letter: str) -> list[str]:
    """Every order number that the writer names, in the shop's spelling, each once; else those of quoted mail."""
    return _ids(body(letter)) or _ids(letter)


def _ids(text: str) -> list[str]:
    found = []
    for match in _ORDER.finditer(text):
        if match["other"]:
            found.append(f"#{match['other'].upper()}")
        else:
            found.append(ORDER_PREFIX + re.sub(r"\D", "", match[0]))
    found += [ORDER_PREFIX + number for number in _AFTER_ORDER.findall(text)]
    if not found:  # a number alone is an order's only where none is called so
        found = [ORDER_PREFIX + number for number in _BARE.findall(text)]
    return list(dict.fromkeys(found))


def body(letter: str) -> str:
    """The letter without quoted mail and without what follows a signature's dashes."""
    lines = []
    for line in letter.splitlines():
        if line.strip() == "--":
            break
        if not line.lstrip().startswith(">"):
            lines.append(line)
    return "\n".join(lines)


def read_letter(letter: str, items: Sequence[Item]) -> Reading:
    """What of the order the letter wants to give back. A case asks at every turn, so it is remembered."""
    return _read(letter, tuple(items))


@lru_cache(maxsize=256)
def _read(letter: str, items: tuple[Item, ...]) -> Reading:
    if not items:
        return Reading(question="Which items does the customer mean? The order has none that could be returned.")
    text = without_ids(plain(body(letter)))
    clauses = [clause for clause in _CLAUSE.split(text) if clause and clause.strip()]
    said = [_Said(clause, mentioned(clause, items)) for clause in clauses]
    if _ALL_OF_IT.search(text) and not any(one.of and is_content(one.clause) for one in said):
        return Reading(tuple(Meant(i.line_id, i.bought, _reason(i, said)) for i in items))
    meant = _meant(said, items)
    if isinstance(meant, str):
        return Reading(question=meant)
    lines = []
    for item in meant:
        about = [one.clause for one in said if item in one.of]
        pieces = quantity(item, about, clauses, items)
        if pieces is None:
            return Reading(question=f"How many of the {item.bought} '{name(item)}' does the customer want to return?")
        lines.append(Meant(item.line_id, pieces, _reason(item, said)))
    return Reading(tuple(lines))


def _meant(said: Sequence[_Said], items: Sequence[Item]) -> list[Item] | str:
    """The items that go back, or the question to ask."""
    wanted: list[Item] = []
    kept: list[Item] = []
    unclear = ""
    for clause, found in said:
        if not found:
            continue
        if is_content(clause):
            kept += found
            continue
        for group in alike(found):
            if len(group) == 1 or _means_all(group, clause):
                wanted += group
            elif not any(item in wanted for item in group):
                unclear = f"Which of these does the customer mean: {' or '.join(name(item) for item in group)}?"
    wanted = [item for item in items if item in wanted]
    if unclear and not any(name(item) in unclear for item in wanted):
        return unclear
    if wanted:  # what was named unmistakably elsewhere is no question any more
        return wanted
    rest = [item for item in items if item not in kept]
    if len(rest) == 1:
        return rest
    names = ", ".join(name(item) for item in items)
    return f"Which items does the customer want to return? The letter does not tell. The order has: {names}."


def _means_all(group: Sequence[Item], clause: str) -> bool:
    """`both` means two pieces or two sorts; of more than that it does not tell which."""
    if "both" in clause.split():
        return len(group) == sum(item.bought for item in group) == 2
    return bool(_ALL.search(clause))


def _reason(item: Item, said: Sequence[_Said]) -> Reason:
    """From the clauses about this item and those after them that name none; else from the whole letter."""
    about: list[str] = []
    on_it = False
    for clause, found in said:
        on_it = item in found if found else on_it
        if on_it:
            about.append(clause)
    reason = reason_in(". ".join(about))
    return reason if reason is not Reason.UNKNOWN else reason_in(". ".join(one.clause for one in said))


def without_ids(text: str) -> str:
    return _BARE.sub(" ", _AFTER_ORDER.sub(" ", _ORDER.sub(" ", text)))
