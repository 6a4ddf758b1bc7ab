"""Proofs of books of 10, 100 and 1,000 rules over eight tools, beside what 2,000 random requests would show.

Each book has a mistake planted: a rule that never matches. In its next version one threshold is a cent higher.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from benchmarks.measure import Cost, Figure, Lap, Report, middle
from benchmarks.rivals import desk
from policies.book import Book, read_book
from policies.judge import Reading
from policies.proofs.diff import compare
from policies.proofs.findings import Finding, Kind
from policies.proofs.logic import Logic
from policies.proofs.prove import prove
from policies.proofs.strictness import Direction
from policies.proofs.tool import ToolProof
from policies.reference import evaluate

T = TypeVar("T")

_SIZES = (10, 100, 1_000)
_POINTS = 2_000
_AIMS = {10: None, 100: 1.0, 1_000: None}
_DEAD, _TOOL = "X-DEAD", "refund"
_CENT = "140.00 USD"
_PLANTED = f"""\
- {{id: {_DEAD}, tools: [{_TOOL}], decide: deny, when: args.amount > 9 USD and args.amount < 8 USD, reason: x, cite: x}}
- {{id: X-CENT, tools: [{_TOOL}], decide: deny, when: order.days == 23 and args.amount > {_CENT}, reason: x, cite: x}}
never:
- {{tools: [{_TOOL}], allow_when: args.amount > $cap, why: Two people for large sums.}}
"""


def _book(rules: int, threshold: str = _CENT) -> Book:
    text = desk.written(rules - 2) + _PLANTED.replace(_CENT, threshold)
    book = read_book((f"{rules}.yaml", text), desk.vocabulary())
    assert len(book.programs) == len(desk.TOOLS)  # compiled before anything is measured
    return book


class _Points:
    """Random requests, asked of the reference."""

    def __init__(self, book: Book) -> None:
        self._envs: list[tuple[str, dict[str, Any]]] = []
        for request in desk.requests(_POINTS):
            tool = request.action.tool
            reading = Reading(book.programs[tool], desk.NOW, book.fresh_s)
            reading.take_args(book.vocabulary.specs[tool].args.model_validate(request.action.args))
            reading.take_facts(request.facts)
            self._envs.append((tool, reading.env))

    def unmatched(self, book: Book) -> set[str]:
        """Rules that no request matched."""
        matched = {rule.id for tool, env in self._envs for rule in book.programs[tool].naive(env, evaluate).matched}
        return {rule.id for rule in book.rules} - matched

    def differing(self, old: Book, new: Book) -> int:
        """Requests with another verdict."""
        return sum(
            old.programs[tool].naive(env, evaluate).verdict != new.programs[tool].naive(env, evaluate).verdict
            for tool, env in self._envs
        )

    def breaking(self, book: Book) -> int:
        """Requests that a promise forbids and the book allows."""
        (never,) = book.never
        return sum(
            evaluate(never.conditions[tool], env) is True
            and book.programs[tool].naive(env, evaluate).verdict == "allow"
            for tool, env in self._envs
            if tool in never.conditions
        )


class _Round:
    """One size: what was planted, the costs so far, and what the requests showed."""

    def __init__(self, rules: int) -> None:
        self.rules = rules
        self.old, self.new = _book(rules), _book(rules, "140.01 USD")
        self._points = _Points(self.old)
        self._costs: dict[str, list[Cost]] = defaultdict(list)
        self._unmatched: set[str] = set()
        self._other = 0

    def take(self) -> None:
        """Each proof beside the requests that ask the same, in turns."""
        found = self._timed("proof", lambda: prove(self.old))
        self._unmatched = self._timed("matching", lambda: self._points.unmatched(self.old))
        proof = ToolProof(self.old, _TOOL, Logic())
        proof.possible([])  # the encoding is made once for all that is asked of a tool
        broken = self._timed("promise", lambda: proof.broken(self.old.never[0]))
        self._timed("breaking", lambda: self._points.breaking(self.old))
        difference = self._timed("difference", lambda: compare(self.old, self.new))
        self._other = self._timed("differing", lambda: self._points.differing(self.old, self.new))
        _held(found, broken is None, difference.direction)

    def _timed(self, name: str, call: Callable[[], T]) -> T:
        lap = Lap()
        result = call()
        self._costs[name].append(lap.cost(1))
        return result

    def figures(self) -> list[Figure]:
        size, aim = f"{self.rules:,} rules", _AIMS[self.rules]
        return [
            self._figure(f"{size}: dead, covered, gaps, promises", "proof", "which match", "matching", aim),
            self._figure(f"{size}: one promise", "promise", "is it broken", "breaking", 0.04),
            self._figure(f"{size}: two versions", "difference", "other verdicts", "differing", aim),
        ]

    def _figure(self, name: str, ours: str, asks: str, floor: str, most_s: float | None) -> Figure:
        aim = f"at most {most_s * 1000:,.0f} ms" if most_s else ""
        beside = f"{_POINTS:,} random requests: {asks}"
        return Figure(name, middle(self._costs[ours]), beside, middle(self._costs[floor]), aim=aim, most_s=most_s)

    @property
    def note(self) -> str:
        return (
            f"{self.rules:,} rules: one never matches, one threshold is a cent higher in the next version; proved. "
            f"{_POINTS:,} requests leave {len(self._unmatched)} rules unmatched and show {self._other} other verdicts."
        )


async def measured(quick: bool) -> Report:
    report = Report()
    for rules in _SIZES[:2] if quick else _SIZES:
        one = _Round(rules)
        for _ in range(1 if quick or rules > 100 else 5):
            one.take()
        report.figures += one.figures()
        report.notes.append(one.note)
    return report


def _held(found: list[Finding], kept: bool, direction: Direction) -> None:
    dead = [finding.rule for finding in found if finding.kind is Kind.DEAD]
    if dead != [_DEAD] or not kept or direction is not Direction.LOOSER:
        raise AssertionError(f"not what was planted: dead {dead}, promise kept {kept}, {direction}")
