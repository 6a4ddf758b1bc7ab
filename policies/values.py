"""Text in a policy file that stands for a value. It is read as the type that it is for, never guessed."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

from core.errors import InvalidInput
from core.money import Money, exponent
from core.verdicts import FactType, FactValue
from policies.problems import near, suggest
from policies.vocabulary import Term

# Digits are 0 to 9: Python's own reading takes those of every script.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,9})?")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_MONEY = re.compile(r"(-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?) ([A-Za-z]{3})")
_TURNED = re.compile(r"([A-Za-z]{3}) ?([0-9.]+)")
_DURATION = re.compile(r"([1-9][0-9]{0,5}) ([a-z]{1,12})")
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_LONGEST_S = 3_660 * 86_400
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEARS = range(2000, 2200)


class Unfit(Exception):
    """Text that is no value of the wanted type."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def money(text: str) -> Money:
    match = _MONEY.fullmatch(text)
    if match is None:
        turned = _TURNED.fullmatch(text)
        hint = f"Did you mean {turned[2]} {turned[1].upper()}?" if turned else "Write it like 150.00 USD."
        raise Unfit(f"'{text[:40]}' is no amount of money", hint)
    return priced(match[1], match[2])


def priced(amount: str, currency: str) -> Money:
    """Raises `Unfit`, also for more decimals than the currency has: in half of the world `1.500` is 1500."""
    try:
        places = exponent(currency)
        part = amount.partition(".")[2]
        if len(part) > places:
            many = f"{len(part)} decimal{'s' if len(part) > 1 else ''}"
            raise Unfit(f"'{amount} {currency}' has {many}", _too_fine(amount, currency, places))
        return Money.of(amount, currency)
    except InvalidInput as error:
        upper = currency.upper()
        hint = f"Did you mean {amount} {upper}?" if upper != currency else error.hint
        raise Unfit(error.detail.rstrip("."), hint) from error


def _too_fine(amount: str, currency: str, places: int) -> str:
    whole, _, part = amount.partition(".")
    meant = [f"{whole}{part} {currency}"] if len(part) == 3 and whole.lstrip("-") != "0" else []
    meant.append(f"{whole}.{part[:places]} {currency}" if places else f"{whole} {currency}")
    return f"{currency} has {places or 'no'} decimals; write {' or '.join(meant)}."


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
    unit = match[2].removesuffix("s") if match else ""
    if match is None or unit not in _SECONDS:
        meant = near(unit, _SECONDS) if match else ""
        hint = f"Did you mean {match[1]} {meant}s?" if match and meant else "Write it like 4 hours or 30 days."
        raise Unfit(f"'{text[:40]}' is no length of time", hint)
    found = int(match[1]) * _SECONDS[unit]
    if found > _LONGEST_S:
        raise Unfit(f"'{text[:40]}' is more than ten years", "Write a shorter time.")
    return found


def day(text: str) -> date:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        found = date.fromisoformat(text)
    except ValueError:
        raise Unfit(f"'{text[:40]}' is no date", "Write it like 2026-12-01.") from None
    if found.year not in _YEARS:
        raise Unfit(f"'{text}' is outside of {_YEARS[0]} to {_YEARS[-1]}", "Leave out an end that is never reached.")
    return found


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
