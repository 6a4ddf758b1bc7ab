"""Which variant a customer wants instead. Pure: the letter, the piece they have, and what is on the shelf."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.returns.phrases import plain
from tools.returns.models import Reason

_WISH = re.compile(
    r"\b(?:exchang\w*|swap\w*|switch\w*|change|replac\w*|instead|prefer|need\w*|want|would like|please|send|get)\b"
    r"|'d like"
)
_SIZES = ("xxs", "xs", "s", "m", "l", "xl", "xxl")
_SPELT = {"small": "s", "medium": "m", "large": "l", "extra large": "xl"}
_STEP = {Reason.SIZE_TOO_SMALL: 1, Reason.SIZE_TOO_LARGE: -1}


@dataclass(frozen=True)
class OnShelf:
    variant_id: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Wish:
    """`variant_id` to send. Without one: `unclear`, or what they want is not on the shelf."""

    variant_id: str = ""
    unclear: bool = False


def wished(letter: str, own: Mapping[str, str], shelf: Sequence[OnShelf], reason: Reason) -> Wish:
    """By the options that the letter asks for; for a wrong size, the next one."""
    text = plain(letter)
    asked = [clause for clause in re.split(r"[.;!?\n]+(?=\s|$)", text) if _WISH.search(clause)]
    change: dict[str, str] = {}
    for name, value in own.items():
        others = {variant.options[name] for variant in shelf if name in variant.options} - {value}
        named = {other for other in others if any(_names(clause, other) for clause in asked)}
        if len(named) > 1:
            return Wish(unclear=True)
        if named:
            change[name] = named.pop()
    if not change and "size" in own and reason in _STEP:
        size = _next_size(own["size"], _STEP[reason])
        if size is None:
            return Wish(unclear=True)
        change = {"size": size}
    if not change:
        return Wish(unclear=True)
    target = {name: value.lower() for name, value in {**own, **change}.items()}
    for variant in shelf:
        if {name: value.lower() for name, value in variant.options.items()} == target:
            return Wish(variant.variant_id)
    return Wish()


def _names(clause: str, value: str) -> bool:
    low = value.lower()
    spelt = [low, *(word for word, short in _SPELT.items() if short == low)]
    for word in spelt:
        lead = r"(?:size|in|an?|the|for|to|into|with|\() ?" if len(word) <= 2 or word.isdigit() else r"\b"
        if re.search(rf"{lead}{re.escape(word)}\b", clause):
            return True
    return False


def _next_size(size: str, step: int) -> str | None:
    low = size.lower()
    if low.isdigit():
        return str(int(low) + step)
    if low not in _SIZES or not 0 <= _SIZES.index(low) + step < len(_SIZES):
        return None
    return _SIZES[_SIZES.index(low) + step].upper()
