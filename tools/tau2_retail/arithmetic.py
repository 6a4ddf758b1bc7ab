"""Sums such as `155.33 - 147.05 + (2 * 3)`, read by a small parser: nothing is evaluated as code."""

from __future__ import annotations

import re
from decimal import Decimal, DivisionByZero, InvalidOperation

from core.errors import ProviderRefused

_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*|\.\d+)|([-+*/()]))")
_LONGEST = 500


def calculate(expression: str) -> Decimal:
    """Rounded to two decimals. Raises `ProviderRefused`."""
    try:
        tokens = _tokens(expression)
        value = _sum(tokens)
        if tokens:
            raise _invalid()
        return round(value, 2)
    except (DivisionByZero, InvalidOperation, RecursionError) as error:
        raise _invalid() from error


def _invalid() -> ProviderRefused:
    return ProviderRefused("Invalid expression", reason="invalid_expression", hint="Use numbers, + - * / and brackets.")


def _tokens(expression: str) -> list[str]:
    """Last token first, so that the next one is popped off the end."""
    text = expression.rstrip()
    if len(text) > _LONGEST:
        raise _invalid()
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ProviderRefused("Invalid characters in expression", reason="invalid_expression")
        found.append(match[1] or match[2])
        at = match.end()
    return found[::-1]


def _sum(tokens: list[str]) -> Decimal:
    value = _product(tokens)
    while tokens and tokens[-1] in "+-":
        value = value + _product(tokens) if tokens.pop() == "+" else value - _product(tokens)
    return value


def _product(tokens: list[str]) -> Decimal:
    value = _factor(tokens)
    while tokens and tokens[-1] in "*/":
        value = value * _factor(tokens) if tokens.pop() == "*" else value / _factor(tokens)
    return value


def _factor(tokens: list[str]) -> Decimal:
    if not tokens:
        raise _invalid()
    token = tokens.pop()
    match token:
        case "-":
            return -_factor(tokens)
        case "+":
            return _factor(tokens)
        case "(":
            value = _sum(tokens)
            if not tokens or tokens.pop() != ")":
                raise _invalid()
            return value
        case ")" | "*" | "/":
            raise _invalid()
        case _:
            return Decimal(token)
