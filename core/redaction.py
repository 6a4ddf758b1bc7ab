"""What is taken out of log lines, traces for operators and metrics: whatever looks like somebody's data.

Nothing here should be needed: the house logs ids. It is the net under what libraries, servers outside and exceptions
put into their messages. Patterns find what has a form; a name has none, so whoever works on a case says its texts.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from core.personal import is_clear

_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{2,4}){3,8}\b")
_CARD = re.compile(r"(?<![0-9A-Za-z._-])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z_-])")
_PHONE = re.compile(
    r"(?<![0-9A-Za-z._:/-])(?:\+[0-9]{1,3}|\(?0[0-9]{1,4}\)?)(?:[ ()/.-]{0,2}[0-9]){6,12}(?![0-9A-Za-z_-])"
)
_WAY = (
    r"(?:street|st\.|road|rd\.|avenue|ave\.|lane|drive|way|walk|close|court|square|place|boulevard|blvd\.?|terrace|"
    r"crescent|hill|row)"
)
_STREET = re.compile(
    rf"\b[0-9]{{1,5}}[a-z]?,? (?:[A-Z][\w'.-]{{1,30}} ){{1,3}}{_WAY}\b"
    r"|\b[A-ZÄÖÜ][\wäöüß-]{1,40}(?:straße|strasse|str\.|weg|gasse|platz|allee) [0-9]{1,4}[a-z]?\b",
    re.IGNORECASE,
)
_LEAST, _MOST = 4, 200
"""Of a text that is taken out word for word: shorter ones are anywhere."""


class _Known:
    """Made a pattern of when the first line is logged: most segments log none."""

    def __init__(self, texts: Callable[[], Iterable[str]]) -> None:
        self._texts = texts

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        lines = {line.strip() for text in self._texts() if not is_clear(text) for line in text.splitlines()}
        words = sorted({line[:_MOST] for line in lines if len(line) >= _LEAST}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, words)), re.IGNORECASE) if words else None


_AT_HAND: ContextVar[_Known | None] = ContextVar("personal texts", default=None)


@contextmanager
def knowing(texts: Callable[[], Iterable[str]]) -> Iterator[None]:
    """In here these texts, and each line of them, are taken out too; identifiers stay."""
    before = _AT_HAND.set(_Known(texts))
    try:
        yield
    finally:
        _AT_HAND.reset(before)


def redacted(text: str) -> str:
    """The text, with a word in brackets for each thing that was taken out."""
    if (known := _AT_HAND.get()) is not None and known.pattern is not None:
        text = known.pattern.sub("[personal]", text)
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(_if(_is_iban, "[iban]"), text)
    text = _CARD.sub(_if(_is_card, "[card]"), text)
    text = _PHONE.sub("[phone]", text)
    return _STREET.sub("[address]", text)


def _if(test: Callable[[str], bool], word: str) -> Callable[[re.Match[str]], str]:
    return lambda found: word if test(found.group()) else found.group()


def _is_card(text: str) -> bool:
    """By the check digit of ISO/IEC 7812 (Luhn): a number that is none is an order's or a time."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """By the check digits of ISO 13616 (mod 97)."""
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


def install() -> None:
    """From now on every log record of this process is redacted where it is made, whoever handles it."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def redacting(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return _clean(make(*args, **kwargs))

    redacting.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacting)


def _clean(record: logging.LogRecord) -> logging.LogRecord:
    try:
        told = record.getMessage()
    except (TypeError, ValueError, KeyError):  # logging says itself where a message does not fit its arguments
        return record
    if (clean := redacted(told)) != told:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = redacted("".join(traceback.format_exception(*record.exc_info)).rstrip())
    return record
