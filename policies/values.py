"""Text in a policy file that stands for a value. It is read as the type that it is for, never guessed."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

from core.errors import InvalidInput
from core.money import Money
from core.verdicts import FactType, FactValue
from policies.problems import suggest
from policies.vocabulary import Term

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,9})?")
_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_MONEY = re.compile(r"(-?(?:0|[1-9]\d{0,14})(?:\.\d+)?) ([A-Za-z]{3})")
_DURATION = re.compile(r"([1-9]\d{0,5}) (second|minute|hour|day|week)s?")
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Unfit(Exception):
    """Text that is no value of the wanted type."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def money(text: str) -> Money:
    match = _MONEY.fullmatch(text)
    if match is None:
        raise Unfit(f"'{text[:40]}' is no amount of money", "Write it like 150.00 USD.")
    try:
        return Money.of(match[1], match[2])
    except InvalidInput as error:
        upper = match[2].upper()
        hint = f"Did you mean {match[1]} {upper}?" if upper != match[2] else error.hint
        raise Unfit(error.detail.rstrip("."), hint) from error


def whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise Unfit(f"'{text[:40]}' is no whole number", "Write it like 30, without a zero before it.")
    return int(text)


def number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise Unfit(f"'{text[:40]}' is no number", "Write it like 2.5, without a zero before it.")
    return Decimal(text)


def seconds(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Unfit(f"'{text[:40]}' is no length of time", "Write it like 4 hours or 30 days.")
    return int(match[1]) * _SECONDS[match[2]]


def day(text: str) -> date:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise Unfit(f"'{text[:40]}' is no date", "Write it like 2026-12-01.") from None


def value_of(text: str, term: Term) -> FactValue:
    """The value that `text` means for a fact or an argument. Raises `Unfit`."""
    match term.type:
        case FactType.MONEY:
            return money(text)
        case FactType.INTEGER:
            return whole(text)
        case FactType.DECIMAL:
            return number(text)
        case FactType.BOOLEAN:
            if text not in ("true", "false"):
                raise Unfit(f"{term.path} is true or false, not '{text[:40]}'", "Write true or false.")
            return text == "true"
        case FactType.CHOICE:
            if text not in term.choices:
                raise Unfit(f"'{text[:40]}' is none of the values of {term.path}", suggest(text, term.choices))
            return text
        case FactType.TIME:
            try:
                found = datetime.fromisoformat(text)
            except ValueError:
                found = None
            if found is None or found.tzinfo is None:
                raise Unfit(f"'{text[:40]}' is no time with its offset", "Write it like 2026-12-01T09:30:00+00:00.")
            return found
        case FactType.TEXT:
            return text
