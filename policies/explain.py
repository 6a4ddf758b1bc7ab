"""Why a book decides as it does: every rule of a tool, held against the facts of one action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.actions import JSON
from core.verdicts import FactValue
from policies.book import Book
from policies.clauses import Rule
from policies.examples import describe
from policies.reference import evaluate, why_open


@dataclass(frozen=True)
class RuleExplained:
    rule: Rule
    answer: bool | None
    why_open: list[str]

    @property
    def said(self) -> str:
        if self.answer is None:
            return f"can't be judged: {', '.join(self.why_open)}"
        return "matches" if self.answer else "does not match"


@dataclass(frozen=True)
class Explanation:
    book: Book
    tool: str
    said: str
    """The decision, as an example would expect it."""
    verdict: str
    rules: list[RuleExplained]
    facts: Mapping[str, FactValue]
    """What the rules read; None for what is unknown."""

    def as_json(self) -> dict[str, JSON]:
        return {
            "policy": self.book.ref.model_dump(),
            "tool": self.tool,
            "verdict": self.verdict,
            "decision": self.said,
            "rules": [
                {
                    "rule": one.rule.id,
                    "decides": one.rule.decision,
                    "matches": one.answer,
                    "why_open": one.why_open,
                    "monitor": one.rule.monitor,
                    "reason": one.rule.reason,
                    "cite": one.rule.cite,
                }
                for one in self.rules
            ],
            "facts": {path: None if value is None else shown(value) for path, value in self.facts.items()},
        }

    def as_text(self) -> str:
        name = f"{self.book.name} {self.book.version}"
        lines = [f"{self.tool} under {name} ({self.book.digest[:12]}): {self.said}", "", "rules"]
        for one in sorted(self.rules, key=lambda one: one.answer is False):
            monitored = ", only logged" if one.rule.monitor else ""
            lines.append(f"  {one.rule.id:8} {one.rule.decision}{monitored}: {one.said}")
            if one.answer:
                lines.append(f"           {one.rule.reason} ({one.rule.cite})")
        lines += ["", "facts"]
        lines += [f"  {path} = {'unknown' if v is None else shown(v)}" for path, v in sorted(self.facts.items())]
        return "\n".join(lines)


def shown(value: FactValue) -> str:
    """As it is written in a policy file."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def explain(book: Book, tool: str, facts: Mapping[str, FactValue]) -> Explanation:
    """What the book says of a call of `tool` when these facts and arguments hold."""
    program = book.program(tool)
    env = {**program.blank, **{path: value for path, value in facts.items() if path in program.blank}}
    decision = program.decide(env)
    rules = []
    for _, rule in program.tests:
        condition = rule.conditions[tool]
        rules.append(RuleExplained(rule, evaluate(condition, env), why_open(condition, env)))
    reasons = {reason for one in rules for reason in one.why_open}
    return Explanation(book, tool, describe(decision, reasons), decision.verdict, rules, env)
