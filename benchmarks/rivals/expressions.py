"""CEL, by its Rust binding (`common-expression-language`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import cel

from benchmarks.rivals.language import Inexpressible, Language
from core.verdicts import FactType
from policies.clauses import Rule
from policies.conditions import Condition


class Cel(Language):
    """Facts are the fields of one map, so that one may be missing: reading it is an error then.

    CEL's `&&` and `||` pass over an error that does not matter, exactly as Kleene's logic passes over what is unknown.
    """

    def read(self, name: str) -> str:
        return f"f.{name}"

    def among(self, item: str, options: str) -> str:
        return f"({item} in [{options}])"

    def is_known(self, name: str) -> str:
        return f"has(f.{name})"

    def compiled(self, condition: Condition) -> cel.Program:
        """Raises `Inexpressible`."""
        return cel.compile(self.condition(condition))

    def answer(self, program: cel.Program, facts: Mapping[str, Any]) -> bool | None:
        """True, False, or None where it is an error for a missing fact. `facts` are what `facts` gave."""
        try:
            answer = program.execute({"f": facts})
        except KeyError:
            return None
        if not isinstance(answer, bool):
            raise TypeError(f"CEL answered {answer!r}")
        return answer


class FlatCel(Cel):
    """Each fact is a variable: a third faster, and none may be missing."""

    def read(self, name: str) -> str:
        return name

    def is_known(self, name: str) -> str:
        raise Inexpressible("a variable is never missing")


class CelRules:
    """The rules of one tool, each compiled once. Every fact has to be known."""

    def __init__(self, tests: Iterable[tuple[Condition, Rule]], kinds: Mapping[str, FactType], currency: str) -> None:
        self._language, self._kinds = FlatCel(currency), kinds
        self._rules = [(cel.compile(self._language.condition(condition)), rule) for condition, rule in tests]

    def __call__(self, env: Mapping[str, Any]) -> tuple[list[Rule], list[Rule]]:
        return self.answer(self.prepared(env))

    def prepared(self, env: Mapping[str, Any]) -> cel.Context:
        return cel.Context(variables=self._language.facts(env, self._kinds))

    def answer(self, context: cel.Context) -> tuple[list[Rule], list[Rule]]:
        """One list of all rules in one call was no faster up to some 100 rules, and 5% faster then."""
        return [rule for program, rule in self._rules if program.execute(context)], []
