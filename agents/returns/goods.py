"""Which goods of an order a sentence speaks of: by their noun; by colour, size and the like where several share it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_FILLING = (
    "a an the of and or with for in to set pair pack piece bundle everyday slim old new size color colour my your"
)
_GENERIC = frozenset(_FILLING.split())
_SIZES = {"small": "s", "medium": "m", "large": "l"}
_SAME = {
    "trainer": "sneaker", "jumper": "sweater", "pajama": "pyjama", "tshirt": "tee", "perfume": "parfum",
    "fragrance": "parfum", "cup": "bottle", "hoover": "vacuum", "earphone": "earbud", "headset": "headphone",
    "overcoat": "coat", "raincoat": "coat", "trouser": "chino", "ereader": "reader", "blanket": "throw",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A line of the order, as far as a letter can speak of it."""

    line_id: str
    title: str
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    bought: int = 1


def mentioned(clause: str, items: Sequence[Item]) -> list[Item]:
    """Those whose noun the clause has, narrowed by colour, size and other words where several share it."""
    words = _words(clause)
    found = [item for item in items if head(item) in words]
    if not found:
        scores = {item.line_id: len(words & distinctive(item, items)) for item in items}
        most = max(scores.values())
        return [item for item in items if most and scores[item.line_id] == most]
    narrowed = []
    for group in alike(found):
        fits = {item.line_id: _fit(item, group, words) for item in group}
        most = max(fits.values())
        named = [item for item in group if fits[item.line_id] == most]
        several = [item for item in group if _own_options(item, group) & words]
        narrowed += several if len(several) > 1 else named
    return narrowed


def alike(items: Sequence[Item]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(head(item), []).append(item)
    return list(groups.values())


def _fit(item: Item, group: Sequence[Item], words: frozenset[str]) -> int:
    return len(title_words(item) & words) + 2 * len(_own_options(item, group) & words)


def _own_options(item: Item, group: Sequence[Item]) -> frozenset[str]:
    """The option values that tell the item from the others of its group."""
    others = frozenset().union(*(option_words(other) for other in group if other is not item))
    return option_words(item) - others


@lru_cache(maxsize=1024)
def option_words(item: Item) -> frozenset[str]:
    values = [str(value).lower() for value in item.options.values()]
    return frozenset(values) | frozenset(long for long, short in _SIZES.items() if short in values)


def distinctive(item: Item, items: Sequence[Item]) -> frozenset[str]:
    others = frozenset().union(*(title_words(other) | option_words(other) for other in items if other is not item))
    return (title_words(item) | option_words(item)) - others


@lru_cache(maxsize=1024)
def title_words(item: Item) -> frozenset[str]:
    return frozenset(stem(word) for word in WORD.findall(item.title.lower())) - _GENERIC


@lru_cache(maxsize=1024)
def head(item: Item) -> str:
    """The noun of a title: the last telling word before a comma or a `with`."""
    words = [stem(word) for word in WORD.findall(re.split(r",| with | for ", item.title.lower())[0])]
    telling = [word for word in words if word not in _GENERIC and not word.isdigit()]
    return telling[-1] if telling else item.title.lower()


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Singular and without its spelling variants, roughly, and the same way for titles and letters."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith(("ie", "ies")):
        word = word.removesuffix("s").removesuffix("ie") + "y"
    for ending, instead in (("sses", "ss"), ("xes", "x"), ("shes", "sh"), ("ches", "ch"), ("s", "")):
        if word.endswith(ending) and len(word) > 3 and not word.endswith(("ss", "us")):
            word = word.removesuffix(ending) + instead
            break
    return _SAME.get(word, word)


def _words(clause: str) -> frozenset[str]:
    """Also in the singular. A short word or a number counts only as a size: `size M`, `in 9`, `the L`."""
    joined = clause.replace("t-shirt", "tee").replace("e-reader", "reader").replace("-", " ")
    raw = WORD.findall(joined)
    told = {word for word, last in zip(raw, ["", *raw], strict=False) if _tells(word, last)}
    return frozenset(told | {stem(word) for word in told})


def _tells(word: str, last: str) -> bool:
    """A size is one only where it is said to be one: not in `too large`, not in `8 October`."""
    if word in _SIZES or (len(word) <= 2 and word.isalpha()):
        return last in ("size", "in", "the", "a", "an")
    return not (word.isdigit() or len(word) <= 2) or last in ("size", "in")


def name(item: Item) -> str:
    options = ", ".join(map(str, item.options.values()))
    return f"{item.title} ({options})" if options else item.title
