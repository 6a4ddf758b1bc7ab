"""Decides on one action by one book. Pure: no clock, no store, no network.

Whatever is missing, stale, of another type than declared or not comparable denies, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from core.actions import ProposedAction
from core.money import Money
from core.verdicts import Allow, Deny, Fact, FactType, Review, ReviewerSet, Verdict
from policies.book import Book
from policies.clauses import Rule
from policies.program import Decision, Program
from policies.reference import why_open

_EXACT: Mapping[FactType, type] = {
    FactType.MONEY: Money,
    FactType.INTEGER: int,
    FactType.BOOLEAN: bool,
    FactType.TEXT: str,
    FactType.TIME: datetime,
}
"""A value of just this class is of that type; any other is looked at closely."""


def judge(book: Book, action: ProposedAction, facts: Mapping[str, Fact], now: datetime) -> Verdict:
    """The verdict of one book on one action."""
    program = book.programs.get(action.tool)
    if not book.in_force.covers(now.date()):
        return Deny(
            reason=f"The policy {book.name} {book.version} is in force {book.in_force}, not now.", book=book.ref
        )
    if program is None:
        return Deny(reason=f"No rule of the policy speaks of {action.tool}.", book=book.ref)
    spec = book.vocabulary.specs[action.tool]
    if action.schema_version != spec.version:
        return Deny(reason=f"It was proposed for another version of {action.tool}.", book=book.ref)
    try:
        typed = spec.args.model_validate(action.args)
    except ValidationError as error:
        path = ".".join(str(part) for part in error.errors()[0]["loc"])
        return Deny(reason=f"The arguments do not fit {action.tool}: {path or 'they'} can't be read.", book=book.ref)
    reading = Reading(program, now, book.fresh_s)
    reading.take_args(typed)
    reading.take_facts(facts)
    return _verdict(book, program.decide(reading.env), reading)


class Reading:
    """What a decision knows: a value or None for every path that the rules read, and why it is None."""

    def __init__(self, program: Program, now: datetime, fresh_s: int) -> None:
        self.program = program
        self.env: dict[str, Any] = dict(program.blank)
        self.facts: dict[str, Fact] = {}
        self.faults: dict[str, str] = {}
        self._now = now
        self._oldest = now - timedelta(seconds=fresh_s)

    def take_args(self, typed: Any) -> None:
        for term in self.program.args:
            value = term.read(typed) if term.read else None
            if value is not None and value.__class__ is not _EXACT.get(term.type) and not term.accepts(value):
                self.faults[term.path], value = f"{term.path} is not {term.type.value}", None
            self.facts[term.path] = Fact(value=value, source="args", at=self._now)
            self.env[term.path] = value

    def take_facts(self, facts: Mapping[str, Fact]) -> None:
        env, mine, oldest = self.env, self.facts, self._oldest
        for term in self.program.facts:
            path = term.path
            fact = facts.get(path)
            if fact is None:
                continue
            mine[path] = fact
            value, at = fact.value, fact.at
            if value is None:
                continue
            if at.tzinfo is None or at < oldest:
                self.faults[path] = f"{path} is stale (of {at:%Y-%m-%d %H:%M})"
            elif (term.least is None and value.__class__ is _EXACT.get(term.type)) or term.accepts(value):
                env[path] = value
            else:
                self.faults[path] = f"{path} is not {term.type.value}"

    def why(self, rule: Rule) -> str:
        """Why a rule can't be judged."""
        reasons = why_open(rule.conditions[self.program.tool], self.env)
        told = [self.faults.get(reason.removesuffix(" is unknown"), reason) for reason in reasons]
        return f"Rule {rule.id} can't be judged: {', '.join(told)}."


def _verdict(book: Book, decision: Decision, reading: Reading) -> Verdict:
    matches = tuple([rule.match for rule in decision.matched])
    reason = " ".join(dict.fromkeys([rule.reason for rule in decision.deciding]))
    common: dict[str, Any] = {"matches": matches, "book": book.ref, "facts": reading.facts}
    if decision.verdict == "allow":
        return Allow(reason=reason, **common)
    if decision.verdict == "review":
        return Review(reason=reason, reviewers=_union(decision.deciding), **common)
    if not reason:
        why = [reading.why(rule) for rule in decision.open]
        reason = " ".join(why) or f"No rule of the policy allows this {reading.program.tool}."
    return Deny(reason=reason, **common)


def _union(rules: Sequence[Rule]) -> tuple[ReviewerSet, ...]:
    """Every group that any of the rules asks for, each once."""
    return tuple({group.group: group for rule in rules for group in rule.reviewers}.values())
