"""Asks another book about a recorded decision: the same arguments, the same facts, at the same moment.

What the house itself said, whatever the book says, is kept: a proposal that its own records refused stays
refused, and a payment that waits because people refused the like of it in its case waits for the same people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import ValidationError

from core.actions import JSON
from core.money import Money
from core.ports import Count
from core.verdicts import ReviewerSet
from policies.backtest.bounds import Bounded
from policies.backtest.facts import Rebuilt, as_plain
from policies.backtest.records import Recorded, Recount
from policies.book import Book
from policies.clauses import Decides, Rule
from policies.program import Program
from policies.vocabulary import Origin

HOUSE = "the house"
"""Stands among the rules where the house itself decided."""


class Why(StrEnum):
    """Why a decision can't be replayed."""

    FACT = "a fact that was not recorded"
    COUNT = "a count that was defined otherwise"
    SCHEMA = "arguments of another version"
    KIND = "another kind of work"


class Unreplayable(NamedTuple):
    why: Why
    what: str


class Replayed(NamedTuple):
    verdict: Decides
    reviewers: tuple[ReviewerSet, ...]
    rules: tuple[str, ...]
    """Those that made the verdict."""
    spent: Money | None
    reproduced: bool | None
    """Whether the book that decided then decides the same again; None where that book is not at hand."""


@dataclass(frozen=True)
class _Plan:
    """How to rebuild, for one tool and one earlier book, what the new book wants to know."""

    program: Program
    rebuilt: Rebuilt
    asked: frozenset[str]
    """Facts that the earlier book asked for: one that is not in the record was missing then."""
    renamed: Mapping[str, str]
    """Counts of the same definition under another name, by the new name."""
    recounted: tuple[Count, ...]
    uncounted: frozenset[str]
    earlier: tuple[Program, Rebuilt | None] | None
    """The earlier book's rules, and how to rebuild what they read; None for the latter where it is the same."""


class Replay:
    """Replays decisions under one book. `recount` tells counts anew, from the runs of then."""

    def __init__(self, new: Book, earlier: Iterable[Book] = (), recount: Recount | None = None) -> None:
        self._new = new
        self._earlier = {book.digest: book for book in earlier}
        self._recount = recount
        self._plan = lru_cache(maxsize=None)(self._made_plan)
        self._bounded = lru_cache(maxsize=None)(lambda tool, untold: Bounded(new.programs[tool], untold))

    def of(self, record: Recorded) -> Replayed | Unreplayable:
        vocabulary = self._new.vocabulary
        spec = vocabulary.specs.get(record.tool)
        if record.kind != vocabulary.kind or spec is None:
            return Unreplayable(Why.KIND, f"{record.tool} of {record.kind}")
        if record.tool not in self._new.programs:
            return Replayed("deny", (), (), None, None)
        if record.schema_version != spec.version:
            return Unreplayable(Why.SCHEMA, f"{record.tool} of version {record.schema_version}, not {spec.version}")
        try:
            typed = spec.args.model_validate(record.args)
        except ValidationError:
            return Replayed("deny", (), (), None, None)
        spent = spec.spends(typed)
        facts: Mapping[str, Mapping[str, JSON]] = record.body.get("facts") or {}
        plan = self._plan(record.tool, str(record.body["book"]["digest"]))
        unread = not facts and not record.body.get("matches")
        if unread and self._would_have_read(plan, record):
            return Replayed("deny", (), (HOUSE,), spent, None)
        env, silent = plan.rebuilt.env(typed, facts, record.at)
        asked = frozenset[str]() if unread else plan.asked
        untold = [path for path in silent if path not in asked]
        untold += plan.uncounted
        for name, before in plan.renamed.items():
            env[name] = as_plain(_value(facts, before))
        for count in plan.recounted:
            if self._recount:
                env[count.name] = as_plain(self._recount(count, record))
        found = self._decided(plan.program, env, frozenset(untold))
        if found is None:
            return self._untold(plan, untold)
        verdict, deciding = found
        reviewers, rules = _union(deciding), tuple(rule.id for rule in deciding)
        if verdict == "allow" and (held := _held_by_house(record)):
            verdict, reviewers, rules = "review", held, (HOUSE,)
        return Replayed(verdict, reviewers, rules, spent, self._reproduced(plan, typed, facts, record, env))

    def _decided(
        self, program: Program, env: Mapping[str, Any], untold: frozenset[str]
    ) -> tuple[Decides, list[Rule]] | None:
        if untold:
            found: tuple[Decides, list[Rule]] | None = self._bounded(program.tool, untold).verdict(env)
            return found
        decision = program.decide(env)
        return decision.verdict, decision.deciding

    def _untold(self, plan: _Plan, untold: Iterable[str]) -> Unreplayable:
        facts = sorted(path for path in untold if path not in plan.uncounted)
        if facts:
            return Unreplayable(Why.FACT, ", ".join(facts))
        return Unreplayable(Why.COUNT, ", ".join(sorted(plan.uncounted)))

    def _reproduced(
        self,
        plan: _Plan,
        typed: Any,
        facts: Mapping[str, Mapping[str, JSON]],
        record: Recorded,
        env: Mapping[str, Any],
    ) -> bool | None:
        """The test of the rebuilding: the same book on what was rebuilt says what it said then."""
        if plan.earlier is None:
            return None
        program, rebuilt = plan.earlier
        known = env if rebuilt is None else rebuilt.env(typed, facts, record.at)[0]
        verdict: str = program.decide(known).verdict
        if verdict == "allow" and _held_by_house(record):
            verdict = "review"
        return verdict == record.verdict

    def _would_have_read(self, plan: _Plan, record: Recorded) -> bool:
        """A refusal without any fact, where the book would have looked: the house's own records refused."""
        book = self._earlier.get(str(record.body["book"]["digest"]))
        if book is None or plan.earlier is None or not book.in_force.covers(record.at.date()):
            return False
        program = plan.earlier[0]
        spec = book.vocabulary.specs[record.tool]
        return bool(program.args) and record.schema_version == spec.version

    def _made_plan(self, tool: str, digest: str) -> _Plan:
        new, old = self._new, self._earlier.get(digest)
        program = new.programs[tool]
        old_program = old.programs.get(tool) if old else None
        asked = frozenset(term.path for term in old_program.facts) if old_program else frozenset[str]()
        renamed: dict[str, str] = {}
        other: list[Count] = []
        for term in program.facts:
            if term.origin is not Origin.COUNT:
                continue
            count = new.counts[term.path]
            before = _same_count(count, old.counts.values(), asked) if old else ""
            if before and before != count.name:
                renamed[count.name] = before
            elif not before:
                other.append(count)
        # What a run is counted by is kept with the run only where policy counted by it then.
        recounted = [count for count in other if self._recount and not count.fact]
        apart = frozenset(renamed) | {count.name for count in other}
        alike = old is not None and old.fresh_s == new.fresh_s and not apart and _reads(old_program) == _reads(program)
        return _Plan(
            program=program,
            rebuilt=Rebuilt(program, new.fresh_s, apart=apart),
            asked=asked,
            renamed=renamed,
            recounted=tuple(recounted),
            uncounted=frozenset(count.name for count in other if count not in recounted),
            earlier=(old_program, None if alike else Rebuilt(old_program, old.fresh_s))
            if old and old_program
            else None,
        )


def _reads(program: Program | None) -> set[tuple[str, str, tuple[str, ...]]]:
    return (
        {(term.path, term.type.value, term.choices) for term in (*program.args, *program.facts)} if program else set()
    )


def _same_count(count: Count, known: Iterable[Count], asked: frozenset[str]) -> str:
    """The name of a count of the same definition that was recorded; its own name first."""
    same = [each.name for each in known if each.name in asked and replace(each, name=count.name) == count]
    return count.name if count.name in same else same[0] if same else ""


def _value(facts: Mapping[str, Mapping[str, JSON]], path: str) -> Any:
    value = facts[path]["value"] if path in facts else None
    return Money.model_validate(value) if isinstance(value, dict) else value


def _held_by_house(record: Recorded) -> tuple[ReviewerSet, ...]:
    """Whom the house asked where no rule did: people refused the like of it in the same case."""
    body = record.body
    if record.verdict != "review":
        return ()
    if any(match["decides"] == "review" and not match["monitor"] for match in body["matches"]):
        return ()
    return tuple(ReviewerSet.model_validate(each) for each in body["reviewers"])


def _union(rules: Iterable[Rule]) -> tuple[ReviewerSet, ...]:
    return tuple({group.group: group for rule in rules for group in rule.reviewers}.values())
