"""How many pieces of an item a letter means. Pure; English."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.returns.goods import WORD, Item, distinctive, head, option_words, stem, title_words

_SPELT = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: number for number, word in enumerate(_SPELT, 1)} | {"single": 1, "pair": 2}
_UNITS = "day week month year hour time inch cm mm ml l m w gb watt percent star order step people"
_MEASURES = frozenset(_UNITS.split())
_NOT_A_COUNT_AFTER = frozenset(("size", "order", "number", "no", "from", "placed", "on", "step"))
_PIECES = frozenset(("pieces", "pcs", "units", "pairs"))
_BETWEEN = 5
"""Words that may stand between a count and its noun."""
_OF_THEM = re.compile(rf"\b({'|'.join(NUMBERS)}|\d{{1,3}}) of (?:them|these|those)\b")
_ALL_OF_THEM = re.compile(r"\b(?:both|all) (?:of )?(?:them|these|those)\b|\bboth\b")


def quantity(item: Item, about: Sequence[str], clauses: Sequence[str], items: Sequence[Item]) -> int | None:
    """From the clauses about the item. None where several were bought and the letter can mean one or more."""
    for clause in about:
        if (told := _told(item, clause, items)) is not None:
            return told
    if len(items) == 1:
        for clause in clauses:
            if match := _OF_THEM.search(clause):
                return _number(match[1])
            if item.bought > 1 and _ALL_OF_THEM.search(clause):
                return item.bought if "both" not in clause or item.bought == 2 else None
    if item.bought == 1:
        return 1
    return _by_noun(item, about)


def _told(item: Item, clause: str, items: Sequence[Item]) -> int | None:
    """`two of the three shirts`, `shirts, 3 pieces`, `all the shirts`; only what belongs to this noun."""
    words = WORD.findall(clause.replace("-", " "))
    others = {head(other) for other in items} - {head(item)}
    marks = {head(item)} | distinctive(item, items)
    for place, word in enumerate(words):
        if stem(word) not in marks and word not in marks:
            continue
        start = next((at + 1 for at in range(place - 1, -1, -1) if stem(words[at]) in others), 0)
        end = next((at for at in range(place + 1, len(words)) if stem(words[at]) in others), len(words))
        before, after = words[start:place], words[place + 1 : end]
        counts = [at for at in range(len(before)) if _counts(item, before, at)]
        if counts:
            several = len(counts) > 1 and "of" in before[counts[-2] : counts[-1]]
            return _number(before[counts[-2] if several else counts[-1]])
        for at, follows in zip(range(len(after) - 1), after[1:], strict=True):
            if follows in _PIECES and (number := _number(after[at])):
                return number
        near = {*before[-_BETWEEN:], *after}
        if item.bought > 1 and ("all" in near or ("both" in near and item.bought == 2)):
            return item.bought
    return None


def _counts(item: Item, before: Sequence[str], at: int) -> bool:
    """The word is a count of the noun: no size, no date, no measure, no part of the title."""
    if _number(before[at]) is None or len(before) - at > _BETWEEN:
        return False
    if before[at] in title_words(item) | option_words(item):
        return False
    if at + 1 < len(before) and before[at + 1] in _PIECES and "of" not in before[at + 2 : at + 3]:
        return False  # `the sweaters, 2 pieces, and the loafers`: it counts what comes before it
    between = [stem(word) for word in before[at + 1 :]]
    return (
        not (between and between[0] in _MEASURES)
        and not (at and before[at - 1] in _NOT_A_COUNT_AFTER and before[at].isdigit())
        and not _NOT_A_COUNT_AFTER & set(between)
    )


def _by_noun(item: Item, about: Sequence[str]) -> int | None:
    """By singular and plural, where the title is singular; else it can't be told."""
    noun = next((word for word in reversed(WORD.findall(item.title.lower())) if stem(word) == head(item)), "")
    written = [word for clause in about for word in WORD.findall(clause) if stem(word) == head(item)]
    if not noun or noun != stem(noun) or not written:
        return None
    return item.bought if any(word != noun for word in written) else 1


def _number(word: str) -> int | None:
    if word.isdigit():
        return int(word) if 0 < int(word) <= 200 else None
    return NUMBERS.get(word)
