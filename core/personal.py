"""What of a JSON value may be about a person, and so is sealed: every text that is plainly no word of ours.

Numbers, truth values and the names of fields stay, as do identifiers, words of a closed list and times: the database's
own guards and policy's counts look at them. Whatever people write, names and addresses are none of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_CLEAR = re.compile(
    r"[a-z][a-z0-9_.-]{0,63}"  # a word of ours, a person of the house, `cus_000056`
    r"|[A-Z]{1,6}-[0-9]{1,12}"  # `ORD-5594010`
    r"|[A-Z]+(?:_[A-Z]+)*"  # a code: `UNWANTED`, `USD`
    r"|[a-z]{2,12}_[a-z0-9]{8,40}(?:[:.][a-z0-9.]{1,40}){0,4}"  # an id of ours, and what hangs on it
    r"|(?=[0-9]*[a-f])[0-9a-f]{16,128}"  # a digest; digits alone may be a card's
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(?:Z|[+-][0-9]{2}:[0-9]{2})"  # a moment; a day may be one of birth
    r"|[0-9]{1,5}(?:\.[0-9]{1,4})?"  # a small number, a step
)
_LONGEST = 160


def is_clear(text: str) -> bool:
    return (len(text) <= _LONGEST and _CLEAR.fullmatch(text) is not None) or not text


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The same value with every text replaced; nothing is changed in place."""
    match value:
        case str():
            return change(value)
        case dict():
            return {name: map_texts(each, change) for name, each in value.items()}
        case list() | tuple():
            return [map_texts(each, change) for each in value]
        case _:
            return value


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from texts(each)
        case list() | tuple():
            for each in value:
                yield from texts(each)
