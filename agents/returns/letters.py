"""Reading a customer's letter: which order, which of its items, how many, and why. Pure; English.

It never guesses. Where a letter fits two things equally well, or nothing, the reading carries a question
for people instead of lines. Amounts and ids of goods are never taken from a letter, so that no sentence
in it can move more than the writer's own goods.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agents.returns.goods import WORD, Item, alike, head, mentioned, name, option_words, stem, title_words
from agents.returns.phrases import NUMBERS, is_content, plain, reason_in
from tools.returns.models import Reason

ORDER_PREFIX = "ORD-"
"""The shop's own numbers. A bare number of seven digits, or one after the word order, is taken for one."""
_ORDER = re.compile(r"(?<![\w.-])(?:#?(?P<own>ord[-_ ]?\d{3,12})|#?(?P<other>w\d{7})|#(?P<hash>\d{4,12}))(?!\w)", re.I)
_BARE_ORDER = re.compile(
    r"(?:\border(?: (?:number|no\.?|id|nr\.?))?[ :#-]{1,3}(\d{4,12})|(?<![\w.,#-])(\d{7}))\b(?!\.\d)", re.I
)
_CLAUSE = re.compile(
    r"[.!?;\n]+(?=\s|$)|,? \b(?:but|however|whereas|while|though)\b|, (?=i |i'm |i'll |we )"
    r"|,? and (?=(?:i |i'm |we )?(?:would |'d |want |like |need |am |to )*(?:return|send|exchange|swap|keep|refund))"
    r"|,? and (?=(?:the|my|one) [^.;!?\n]*(?:\b(?:is|are|was|were|has|have|came|arrived|broke|fits?|looks?)\b|n't ))"
)
_MEASURES = "day week month year hour time inch cm mm ml l m w gb watt percent star order step people"
_UNITS = frozenset(_MEASURES.split())
_ALL_OF_IT = re.compile(
    r"\b(?:everything|all of it|(?:the )?(?:whole|entire|complete|full) (?:order|lot|parcel|thing)"
    r"|all (?:the |my |of the |these |those )?(?:items|things|articles|pieces))\b"
)
_ALL = re.compile(r"\b(?:all|both|every)\b")
_SOME_OF = re.compile(rf"\b({'|'.join(NUMBERS)}|\d{{1,3}}) (?:out )?of (?:the |my |these |those |them|our )?")


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
    found += [ORDER_PREFIX + (match[1] or match[2]) for match in _BARE_ORDER.finditer(text)]
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
    """What of the order the letter wants to give back."""
    text = _without_ids(plain(body(letter)))
    clauses = [clause for clause in _CLAUSE.split(text) if clause and clause.strip()]
    if not items:
        return Reading(question="Which items does the customer mean? The order has none that could be returned.")
    if _ALL_OF_IT.search(text) and not any(is_content(clause) and mentioned(clause, items) for clause in clauses):
        return Reading(tuple(Meant(i.line_id, i.bought, _reason(i, clauses, items)) for i in items))
    meant = _meant(clauses, items)
    if isinstance(meant, str):
        return Reading(question=meant)
    lines = []
    for item in meant:
        quantity = _quantity(item, [clause for clause in clauses if item in mentioned(clause, items)], text, len(items))
        if quantity is None:
            return Reading(question=f"How many of the {item.bought} '{name(item)}' does the customer want to return?")
        lines.append(Meant(item.line_id, quantity, _reason(item, clauses, items)))
    return Reading(tuple(lines))


def _meant(clauses: Sequence[str], items: Sequence[Item]) -> list[Item] | str:
    """The items that go back, or the question to ask."""
    wanted: list[Item] = []
    kept: list[Item] = []
    unclear = ""
    for clause in clauses:
        found = mentioned(clause, items)
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
    if wanted and not (unclear and len(wanted) == 0):
        return wanted if not unclear or _settled(unclear, wanted) else unclear
    if unclear:
        return unclear
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


def _settled(question: str, wanted: Sequence[Item]) -> bool:
    """An item was named unmistakably elsewhere, so its bare noun is no question any more."""
    return any(name(item) in question for item in wanted)


def _quantity(item: Item, clauses: Sequence[str], text: str, kinds: int) -> int | None:
    """Pieces of an item; None where several were bought and the letter can mean one or more."""
    for clause in [*clauses, *([text] if kinds == 1 else [])]:
        if match := _SOME_OF.search(clause):
            return _number(match[1])
        if (before := _number_before(item, clause)) is not None:
            return before
        if item.bought > 1 and _ALL.search(clause):
            return item.bought
    if item.bought == 1:
        return 1
    noun = next((w for w in reversed(WORD.findall(item.title.lower())) if stem(w) == head(item)), "")
    if noun and noun == stem(noun):  # the title is singular, so the letter's own number tells
        plural = any(stem(word) == head(item) and word != noun for c in clauses for word in WORD.findall(c))
        return item.bought if plural else 1 if clauses else None
    return None


def _number_before(item: Item, clause: str) -> int | None:
    """`two of`, `3 blue mugs`: a count within three words before the noun, not a size and not a measure."""
    words = WORD.findall(clause.replace("-", " "))
    allowed = title_words(item) | option_words(item) | {"of", "the", "my", "those", "these"}
    for place, word in enumerate(words):
        if stem(word) != head(item):
            continue
        for back in range(place - 1, max(-1, place - 5), -1):
            number = _number(words[back])
            follows = stem(words[back + 1]) if back + 1 < len(words) else ""
            if number is not None and words[back] not in ("a", "an", "one") and words[back] not in option_words(item):
                if (
                    follows in _UNITS
                    or (back and words[back - 1] in ("size", "order"))
                    or words[back] in title_words(item)
                ):
                    break
                return number
            if words[back] in ("one", "single"):
                return 1
            if stem(words[back]) not in allowed and back < place - 2:
                break
    return None


def _number(word: str) -> int | None:
    if word.isdigit():
        return int(word) if 0 < int(word) <= 200 else None
    return NUMBERS.get(word)


def _reason(item: Item, clauses: Sequence[str], items: Sequence[Item]) -> Reason:
    """From the clauses about this item and those after them that name none; else from the whole letter."""
    about: list[str] = []
    on_it = False
    for clause in clauses:
        found = mentioned(clause, items)
        on_it = item in found if found else on_it
        if on_it:
            about.append(clause)
    reason = reason_in(". ".join(about))
    return reason if reason is not Reason.UNKNOWN else reason_in(". ".join(clauses))


def _without_ids(text: str) -> str:
    return _BARE_ORDER.sub(" ", _ORDER.sub(" ", text))
