"""The rules of one tool as one Python function: the back end that decides.

Each rule is asked two questions. Is its condition certainly false? Most are, and an `and` ends at its first such part.
If not, is it certainly true? What is neither can't be told (Kleene's logic: `false and missing` is false).

A missing fact is `MISSING` here, and so is an amount in another currency than the one it is compared in. No comparison
with it holds, neither `<=` nor `>`. So `a <= 5` is certainly true where `a <= 5`, and certainly false where `a > 5`.

The function is built as a syntax tree, never as text. Its names are numbered, and values stand in the tree or in the
function's namespace: nothing that is written in a policy file is ever read as Python.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Any, TypeVar, assert_never

from core.money import Money
from core.verdicts import FactType
from policies.clauses import Rule
from policies.conditions import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Const,
    Holds,
    Known,
    LimitRef,
    Not,
    Op,
    Operand,
    Plus,
    Ref,
    Within,
    leaves,
)

Run = Callable[[Mapping[str, Any]], tuple[list[Rule], list[Rule]]]
"""Takes a value or None for every path that is read. Gives the rules that match, and the enforced ones that can't be
told, both in the order in which they were given."""


def compiled(rules: Iterable[tuple[Condition, Rule]]) -> Run:
    writer = _Writer()
    return writer.function([writer.rule(condition, rule) for condition, rule in rules])


class _Missing:
    """Equal to nothing, less than nothing, and a sum with it is missing too."""

    def _never(self, _other: object) -> bool:
        return False

    def _stays(self, _other: object) -> _Missing:
        return self

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _never
    __add__ = __radd__ = _stays
    __hash__ = object.__hash__


_MISSING = _Missing()
_LONG = 20
"""Terms of a sum that Python may nest: it compiles no tree as deep as the longest condition is long."""


def _added(*terms: Any) -> Any:
    return reduce(operator.add, terms)


_COMPARISONS: dict[Op, tuple[ast.cmpop, ast.cmpop]] = {
    Op.EQ: (ast.Eq(), ast.NotEq()),
    Op.NE: (ast.NotEq(), ast.Eq()),
    Op.LT: (ast.Lt(), ast.GtE()),
    Op.LE: (ast.LtE(), ast.Gt()),
    Op.GT: (ast.Gt(), ast.LtE()),
    Op.GE: (ast.GtE(), ast.Lt()),
}
"""Each operator as it stands, and its opposite."""

_IS, _IS_NOT, _IN, _NOT_IN, _AND, _OR = ast.Is(), ast.IsNot(), ast.In(), ast.NotIn(), ast.And(), ast.Or()
_ADD, _LOAD, _STORE = ast.Add(), ast.Load(), ast.Store()

_T = TypeVar("_T", bound=ast.AST)


def _placed(kind: type[_T]) -> type[_T]:
    """Python asks every node for its line. There is none, and to walk a tree and give it one takes as long as to
    compile it."""
    return type(kind.__name__, (kind,), {"lineno": 1, "col_offset": 0})


class _Node:
    """The kinds of syntax that are used here."""

    Assign = _placed(ast.Assign)
    Attribute = _placed(ast.Attribute)
    BinOp = _placed(ast.BinOp)
    BoolOp = _placed(ast.BoolOp)
    Call = _placed(ast.Call)
    Compare = _placed(ast.Compare)
    Constant = _placed(ast.Constant)
    Expr = _placed(ast.Expr)
    FunctionDef = _placed(ast.FunctionDef)
    If = _placed(ast.If)
    IfExp = _placed(ast.IfExp)
    List = _placed(ast.List)
    Name = _placed(ast.Name)
    Return = _placed(ast.Return)
    Subscript = _placed(ast.Subscript)
    Tuple = _placed(ast.Tuple)
    UnaryOp = _placed(ast.UnaryOp)
    Arg = _placed(ast.arg)


@dataclass
class _Amounts:
    """What is read in the currency of one fact: other facts, and fixed amounts by currency."""

    others: dict[str, str] = field(default_factory=dict)
    """Path to the local name of its amount, missing where its currency is another."""
    fixed: list[Mapping[str, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Of the fixed ones."""


class _Writer:
    """Collects what the rules read while it writes them; the reads come before them, each once."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"missing": _MISSING, "added": _added, "__builtins__": {}}
        self.locals: dict[str, str] = {}
        """Path to the local name of its value; of an amount of money, its minor units."""
        self.amounts: dict[str, _Amounts] = {}
        """By the path whose currency counts. Every amount of money that is read is here."""
        self._count = 0

    # What is asked

    def rule(self, condition: Condition, rule: Rule) -> ast.stmt:
        """If it is not certainly false: it matches if certainly true, and else can't be told."""
        true, false = self.certainly(condition)
        found = self.constant(rule)
        neither = [] if rule.monitor else [_append("open", found)]
        answer: ast.stmt = _Node.If(true, [_append("matched", found)], neither)
        return _Node.If(_Node.UnaryOp(ast.Not(), false), [answer], [])

    def certainly(self, condition: Condition) -> tuple[ast.expr, ast.expr]:
        """Two expressions: one holds where the condition is certainly true, one where it is certainly false."""
        match condition:
            case AllOf(parts):
                true, false = zip(*map(self.certainly, sorted(parts, key=_cost)), strict=True)
                return _joined(_AND, true), _joined(_OR, false)
            case AnyOf(parts):
                true, false = zip(*map(self.certainly, sorted(parts, key=_cost)), strict=True)
                return _joined(_OR, true), _joined(_AND, false)
            case Not(part):
                yes, no = self.certainly(part)
                return no, yes
            case Compare(op, left, right):
                lead = _lead(condition)
                a, b = self.operand(left, lead), self.operand(right, lead)
                holds, fails = _COMPARISONS[op]
                return _compare(a, holds, b), _compare(a, fails, b)
            case Within(item, options) if item.type is FactType.MONEY:
                each = tuple(Compare(Op.EQ, item, option, item.at) for option in options)
                return self.certainly(AnyOf(each, item.at))
            case Within(item, options):
                value, values = self.value(item.path), self.constant(frozenset(option.value for option in options))
                known = _compare(value, _IS_NOT, _name("missing"))
                return _compare(value, _IN, values), _joined(_AND, (known, _compare(value, _NOT_IN, values)))
            case Known(item, known):
                value = self.amount(item.path, item.path) if item.type is FactType.MONEY else self.value(item.path)
                told, untold = _compare(value, _IS_NOT, _name("missing")), _compare(value, _IS, _name("missing"))
                return (told, untold) if known else (untold, told)
            case Holds(item):
                value = self.value(item.path) if isinstance(item, Ref) else self.constant(item.value)
                return _compare(value, _IS, _Node.Constant(True)), _compare(value, _IS, _Node.Constant(False))
            case _:
                assert_never(condition)

    # What it is asked of

    def operand(self, operand: Operand, lead: str) -> ast.expr:
        """`lead` is the path in whose currency money is compared; empty for anything else."""
        match operand:
            case Ref(path):
                return self.amount(path, lead) if lead else self.value(path)
            case LimitRef(_, _, number, amounts):
                return self.fixed(amounts, lead) if lead else self.constant(number)
            case Const(value):
                return self.fixed({value.currency: value}, lead) if isinstance(value, Money) else self.constant(value)
            case Plus(terms, kind):
                parts = [self.operand(term, lead) for term in terms]
                if kind is FactType.DECIMAL:  # rounded as Python's sum() rounds, which begins with 0
                    parts.insert(0, _Node.Constant(0))
                if len(parts) > _LONG:
                    return _Node.Call(_name("added"), parts, [])
                return reduce(lambda total, part: _Node.BinOp(total, _ADD, part), parts)
            case _:
                assert_never(operand)

    def value(self, path: str) -> ast.expr:
        return _name(self.locals.setdefault(path, f"v{len(self.locals)}"))

    def amount(self, path: str, lead: str) -> ast.expr:
        """The minor units of a fact, missing where it is in another currency than the leading one."""
        for each in (lead, path):
            self.amounts.setdefault(each, _Amounts())
            self.value(each)
        if path == lead:
            return self.value(path)
        others = self.amounts[lead].others
        return _name(others.setdefault(path, self.fresh("a")))

    def fixed(self, amounts: Mapping[str, Money], lead: str) -> ast.expr:
        """The minor units of what is fixed, in the currency of the leading fact."""
        minor = {currency: amount.amount_minor for currency, amount in amounts.items()}
        self.amount(lead, lead)
        found = self.amounts[lead]
        if minor not in found.fixed:
            found.fixed.append(minor)
            found.names.append(self.fresh("f"))
        return _name(found.names[found.fixed.index(minor)])

    def constant(self, value: Any) -> ast.expr:
        if value is None or type(value) in (bool, int, str):
            return _Node.Constant(value)
        name = self.fresh("k")
        self.namespace[name] = value
        return _name(name)

    def fresh(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"

    # The function

    def function(self, rules: list[ast.stmt]) -> Run:
        reads = [statement for path in self.locals for statement in self.read(path)]
        in_currency = [statement for path in self.amounts for statement in self.in_currency_of(path)]
        answer = _Node.Tuple([_name("matched"), _name("open")], _LOAD)
        lists: list[ast.stmt] = [_assign(name, _Node.List([], _LOAD)) for name in ("matched", "open")]
        body = [*reads, *in_currency, *lists, *rules, _Node.Return(answer)]
        arguments = ast.arguments([], [_Node.Arg("env")], None, [], [], None, [])
        module = ast.Module([_Node.FunctionDef("run", arguments, body, [])], [])
        exec(compile(module, "<policy>", "exec"), self.namespace)
        run: Run = self.namespace["run"]
        return run

    def read(self, path: str) -> list[ast.stmt]:
        """`v = env[path]`, or missing for None. Money is taken apart into minor units and currency."""
        value = self.locals[path]
        missing: list[ast.stmt] = [_assign(value, _name("missing"))]
        known: list[ast.stmt] = []
        if path in self.amounts:
            missing.append(_assign(_currency(value), _Node.Constant(None)))
            known = [
                _assign(_currency(value), _Node.Attribute(_name(value), "currency", _LOAD)),
                _assign(value, _Node.Attribute(_name(value), "amount_minor", _LOAD)),
            ]
        get = _Node.Subscript(_name("env"), _Node.Constant(path), _LOAD)
        return [_assign(value, get), _Node.If(_compare(_name(value), _IS, _Node.Constant(None)), missing, known)]

    def in_currency_of(self, lead: str) -> list[ast.stmt]:
        amounts, currency = self.amounts[lead], _currency(self.locals[lead])
        found: list[ast.stmt] = []
        for path, name in amounts.others.items():
            value = self.locals[path]
            same = _compare(_name(_currency(value)), ast.Eq(), _name(currency))
            found.append(_assign(name, _Node.IfExp(same, _name(value), _name("missing"))))
        if amounts.fixed:
            table = {
                currency: tuple(minor.get(currency, _MISSING) for minor in amounts.fixed)
                for currency in sorted({currency for minor in amounts.fixed for currency in minor})
            }
            none = self.constant((_MISSING,) * len(amounts.fixed))
            get = _Node.Call(_Node.Attribute(self.constant(table), "get", _LOAD), [_name(currency), none], [])
            names = _Node.Tuple([_Node.Name(name, _STORE) for name in amounts.names], _STORE)
            found.append(_Node.Assign([names], get))
        return found


def _cost(condition: Condition) -> int:
    """Cheap tests go first. Their order changes no answer: a missing fact in one never hides what another settles."""
    match condition:
        case Within() | Holds() | Known():
            return 0
        case Compare(op):
            return 2 - (op is Op.EQ)
        case Not(part):
            return _cost(part)
        case AllOf(parts) | AnyOf(parts):
            return 2 + sum(map(_cost, parts))
        case _:
            assert_never(condition)


def _lead(compare: Compare) -> str:
    """The first fact that is money: amounts are compared in its currency."""
    if compare.left.type is not FactType.MONEY:
        return ""
    return next(leaf.path for leaf in leaves(compare) if isinstance(leaf, Ref))


@lru_cache(maxsize=10_000)
def _name(name: str) -> ast.expr:
    """One node for every place where it stands: a large book has tens of thousands."""
    return _Node.Name(name, _LOAD)


def _currency(value: str) -> str:
    return f"{value}c"


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return _Node.Assign([_Node.Name(name, _STORE)], value)


def _append(name: str, value: ast.expr) -> ast.stmt:
    return _Node.Expr(_Node.Call(_Node.Attribute(_name(name), "append", _LOAD), [value], []))


def _joined(word: ast.boolop, parts: Sequence[ast.expr]) -> ast.expr:
    return _Node.BoolOp(word, list(parts)) if len(parts) > 1 else parts[0]


def _compare(left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.expr:
    return _Node.Compare(left, [op], [right])
