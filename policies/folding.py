"""Takes out of a condition what never changes for a tool: its effect, its egress, its kind.

So a rule for all tools costs only those tools for which it can hold.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.verdicts import FactType, FactValue
from policies.conditions import AllOf, AnyOf, Condition, Const, Holds, Not, Ref, leaves
from policies.problems import At
from policies.reference import evaluate
from policies.vocabulary import Terms


def constants(terms: Terms) -> dict[str, FactValue]:
    return {path: term.constant for path, term in terms.items() if term.constant is not None}


def folded(condition: Condition, fixed: Mapping[str, FactValue]) -> Condition:
    """The same condition with fewer parts; `true` or `false` by itself where nothing is left to ask."""
    match condition:
        case Not(part, at):
            inner = folded(part, fixed)
            known = settled(inner)
            return Not(inner, at) if known is None else _answer(not known, at)
        case AllOf(parts, at) | AnyOf(parts, at):
            every = isinstance(condition, AllOf)
            inner_parts = [folded(part, fixed) for part in parts]
            if any(settled(part) is (not every) for part in inner_parts):
                return _answer(not every, at)
            left = tuple(part for part in inner_parts if settled(part) is None)
            if len(left) < 2:
                return left[0] if left else _answer(every, at)
            return AllOf(left, at) if every else AnyOf(left, at)
        case _:
            asked = [leaf.path for leaf in leaves(condition) if isinstance(leaf, Ref)]
            if asked and all(path in fixed for path in asked):
                return _answer(bool(evaluate(condition, fixed)), condition.at)
            return condition


def settled(condition: Condition) -> bool | None:
    """What a condition that asks nothing always says; None for one that asks something."""
    match condition:
        case Holds(Const(value)):
            return bool(value)
        case _:
            return None


def _answer(value: bool, at: At) -> Condition:
    return Holds(Const(value, FactType.BOOLEAN, at), at)
