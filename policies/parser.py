"""Reads a condition into its typed tree, for one tool.

    condition := all ('or' all)*            all := part ('and' part)*
    part      := 'not' part | '(' condition ')' | sum [op sum | ['not'] 'in' list | 'is' ('known' | 'unknown')]
    sum       := operand ('+' operand)*     operand := number [currency] | path | $limit | word | "text"

`and` beside `or` needs parentheses: people read such a line in two ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.verdicts import FactType
from policies.checker import Checker, Loose, Unknown, Word, plain
from policies.conditions import AllOf, AnyOf, Condition, Const, Known, LimitRef, Not, Op, Ref, Within
from policies.lexer import ConditionError, Kind, Token
from policies.problems import At, near, suggest
from policies.values import Unfit, priced
from policies.vocabulary import Terms

_DEEPEST = 30
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "known", "unknown"})
_OPS = {op.value: op for op in Op}
_WHOLE_TEXT = "Text is compared whole: fact == VALUE, or fact in [A, B]."
_MEANT = {
    "between": "Write fact >= 1 and fact <= 5.",
    "equals": "Write ==.",
    "eq": "Write ==.",
    "ne": "Write !=.",
    "gt": "Write >.",
    "ge": "Write >=.",
    "lt": "Write <.",
    "le": "Write <=.",
    "xor": "Write (a and not b) or (b and not a).",
    "unless": "Give the rule a key unless: of its own.",
    **dict.fromkeys(("contains", "matches", "like", "regex", "startswith", "endswith", "has"), _WHOLE_TEXT),
}
_NOTHING = frozenset({"null", "none", "nil", "missing", "empty", "undefined"})
_MISSES = {
    "known": "Write fact is known or fact is unknown.",
    "unknown": "Write fact is known or fact is unknown.",
    "]": "A list needs a value: [A, B].",
    ")": "Write a condition inside the parentheses.",
    "and": "Write a condition before it, once.",
    "or": "Write a condition before it, once.",
}
_UNITS = frozenset({"second", "minute", "hour", "day", "week", "month", "year"})

Report = Callable[[At, str, str], None]


@dataclass(frozen=True)
class Scope:
    """What a condition may name."""

    terms: Terms
    limits: Mapping[str, LimitRef]
    broken: frozenset[str] = frozenset()
    """Names whose own definition was reported: using them says nothing more."""


def parse(tokens: list[Token], scope: Scope, report: Report) -> Condition | None:
    """The typed tree, or None where something was reported. Raises `ConditionError` where it can't be read."""
    reader = _Parser(tokens, scope, report)
    condition = reader.condition(0)
    reader.expect_end()
    return None if reader.checker.reported else condition


class _Parser:
    def __init__(self, tokens: list[Token], scope: Scope, report: Report) -> None:
        self.tokens = tokens
        self.position = 0
        self.scope = scope
        self.checker = Checker(report)

    @property
    def now(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.now
        if token.kind is not Kind.END:
            self.position += 1
        return token

    def at_word(self, word: str) -> bool:
        return self.now.kind is Kind.WORD and self.now.text == word

    def at_sign(self, sign: str) -> bool:
        return self.now.kind is Kind.SIGN and self.now.text == sign

    def need_sign(self, sign: str) -> None:
        if not self.at_sign(sign):
            hint = {"[": "Write the list as [A, B].", "]": "Write commas between the values."}.get(sign, "Close it.")
            raise ConditionError(self.now.at, f"expected '{sign}', found {_shown(self.now)}", hint)
        self.take()

    def expect_end(self) -> None:
        if self.now.kind is not Kind.END:
            raise self.unexpected()

    def unexpected(self) -> ConditionError:
        token = self.now
        hint = ""
        if token.kind is Kind.WORD:
            hint = "Put text in quotes."
            if len(token.text) < 5:
                hint = suggest(token.text, ("and", "or", "in", "is"))
            hint = _MEANT.get(token.text.lower(), hint)
        elif token.text in _OPS:
            hint = "Write a < b and b < c."
        elif token.text in (")", "]"):
            hint = "Remove it, or open it before."
        return ConditionError(token.at, f"unexpected {_shown(token)}", hint)

    def condition(self, depth: int) -> Condition:
        at = self.now.at
        if depth > _DEEPEST:
            raise ConditionError(at, "nested too deeply", "Split the rule.")
        parts = [self.part(depth)]
        joined = ""
        while self.at_word("and") or self.at_word("or"):
            word = self.take()
            if joined and word.text != joined:
                raise ConditionError(word.at, "'and' beside 'or' can be read in two ways", "Add parentheses.")
            joined = word.text
            parts.append(self.part(depth))
        if len(parts) == 1:
            return parts[0]
        return AllOf(tuple(parts), at) if joined == "and" else AnyOf(tuple(parts), at)

    def part(self, depth: int) -> Condition:
        at = self.now.at
        if self.at_word("not"):
            self.take()
            if depth > _DEEPEST:
                raise ConditionError(at, "nested too deeply", "Split the rule.")
            return Not(self.part(depth + 1), at)
        if self.at_sign("("):
            self.take()
            inner = self.condition(depth + 1)
            self.need_sign(")")
            return inner
        left = self.sum()
        if self.now.kind is Kind.SIGN and self.now.text in _OPS:
            op = self.take()
            return self.checker.compare(_OPS[op.text], left, self.sum(), op.at)
        if self.at_word("in"):
            self.take()
            return self.within(left, at)
        if self.at_word("not"):
            self.take()
            if not self.at_word("in"):
                raise ConditionError(
                    self.now.at, f"expected 'in', found {_shown(self.now)}", "Write not before the comparison."
                )
            self.take()
            return Not(self.within(left, at), at)
        if self.at_word("is"):
            self.take()
            word = self.take()
            if word.kind is not Kind.WORD or word.text not in ("known", "unknown"):
                missing = word.text.lower() in _NOTHING or word.text == "not"
                hint = "Write is known or is unknown." if missing else "Compare with ==."
                raise ConditionError(word.at, f"expected 'known' or 'unknown', found {_shown(word)}", hint)
            ref = self.checker.fact(left, "is known")
            return Known(ref, word.text == "known", at) if ref else plain(at)
        if not (self.now.kind is Kind.END or self.at_word("and") or self.at_word("or") or self.at_sign(")")):
            raise self.unexpected()
        return self.checker.holds(left, at)

    def within(self, left: Loose, at: At) -> Condition:
        self.need_sign("[")
        options = [self.sum()]
        while self.at_sign(","):
            self.take()
            options.append(self.sum())
        self.need_sign("]")
        ref = self.checker.fact(left, "in")
        if ref is None:
            return plain(at)
        typed = tuple(found for option in options if (found := self.checker.option(ref, option)) is not None)
        return Within(ref, typed, at)

    def sum(self) -> Loose:
        at = self.now.at
        terms = [self.operand()]
        while self.at_sign("+"):
            self.take()
            terms.append(self.operand())
        return terms[0] if len(terms) == 1 else self.checker.plus(terms, at)

    def operand(self) -> Loose:
        token = self.take()
        match token.kind:
            case Kind.NUMBER:
                return self.number(token)
            case Kind.QUOTED:
                return Word(token.text, token.at, quoted=True)
            case Kind.LIMIT:
                return self.limit(token)
            case Kind.WORD if token.text not in _KEYWORDS:
                return self.word(token)
            case _:
                hint = _MISSES.get(token.text, "Write what it is compared with.")
                raise ConditionError(token.at, f"expected a fact or a value, found {_shown(token)}", hint)

    def number(self, token: Token) -> Loose:
        if self.now.kind is Kind.WORD and self.now.text not in _KEYWORDS:
            currency = self.take()
            try:
                return Const(priced(token.text, currency.text), FactType.MONEY, token.at)
            except Unfit as unfit:
                hint = unfit.hint
                if currency.text.lower().removesuffix("s") in _UNITS:
                    hint = f"Write {token.text} alone; the fact says which unit it is in."
                raise ConditionError(token.at, unfit.message, hint) from unfit
        if "." in token.text:
            return Const(Decimal(token.text), FactType.DECIMAL, token.at)
        return Const(int(token.text), FactType.INTEGER, token.at)

    def limit(self, token: Token) -> Loose:
        name = token.text[1:]
        found = self.scope.limits.get(name)
        if found is None and name in self.scope.broken:
            self.checker.reported = True
            return Unknown(token.at)
        if found is None:
            hint = suggest(name, self.scope.limits)
            self.checker.complain(token.at, f"unknown limit '{token.text}'", hint or "Add it under limits.")
            return Unknown(token.at)
        return LimitRef(found.name, found.type, found.number, found.amounts, token.at)

    def word(self, token: Token) -> Loose:
        if token.text in ("true", "false"):
            return Const(token.text == "true", FactType.BOOLEAN, token.at)
        term = self.scope.terms.get(token.text)
        if term is not None:
            return Ref(term.path, term.type, term.choices, token.at)
        if "." not in token.text:
            if token.text.lower() in _NOTHING:
                raise ConditionError(token.at, f"'{token.text}' is no value", "Write fact is unknown; quote text.")
            return Word(token.text, token.at, meant=lambda: near(token.text, self.scope.terms))
        if token.text in self.scope.broken:
            self.checker.reported = True
        else:
            self.checker.complain(token.at, f"unknown fact '{token.text}'", suggest(token.text, self.scope.terms))
        return Unknown(token.at)


def _shown(token: Token) -> str:
    return token.text if token.kind is Kind.END else f"'{token.text}'"
