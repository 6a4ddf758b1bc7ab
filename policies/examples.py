"""Examples: what a book's authors expect of it, held against the book at every load."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from core.verdicts import FactValue, ReviewerSet
from policies.clauses import Decides, Example, Expected, Rule
from policies.document import Node, Scalar
from policies.problems import suggest
from policies.program import Decision, Program
from policies.reading import Fields
from policies.reference import why_open
from policies.values import Unfit, value_of
from policies.vocabulary import Term, Vocabulary

Facts = dict[str, FactValue]

_VERDICTS: dict[str, Decides] = {"allow": "allow", "review": "review", "deny": "deny"}


@dataclass(frozen=True)
class ExampleReader:
    """Reads the examples of a book whose rules and reviewers are known."""

    book: Fields
    vocabulary: Vocabulary
    rules: Set[str]
    groups: Mapping[str, ReviewerSet]
    broken: Set[str] = frozenset()
    """Counts and groups whose own definition was reported: naming them says nothing more."""

    def read(self) -> tuple[dict[str, Facts], tuple[Example, ...]]:
        """Typical facts for each tool, and the cases."""
        examples = self.book.table_of("examples")
        if examples is None:
            return {}, ()
        examples.only(("typical", "cases"), required=("cases",))
        typical = self._typical(examples)
        found = []
        for number, node in enumerate(examples.list_of("cases"), 1):
            case = self.book.as_table(node, f"example {number}")
            example = self._example(case, number, typical) if case else None
            if example:
                found.append(example)
        return typical, tuple(found)

    def _typical(self, examples: Fields) -> dict[str, Facts]:
        """A path can have another type for another tool, so the values are read for each."""
        found: dict[str, Facts] = {tool: {} for tool in self.vocabulary.tools}
        typical = examples.table_of("typical", "examples, typical")
        if typical is None:
            return found
        for key, node in typical:
            speaking = [tool for tool, terms in self.vocabulary.tools.items() if key.text in terms]
            for tool in speaking:
                found[tool][key.text] = _fact(typical, key, node, self.vocabulary.tools[tool][key.text])
            if not speaking and key.text not in self.broken:
                typical.say(key.at, f"unknown fact '{key.text}'", suggest(key.text, self._all_terms()))
        return found

    def _example(self, case: Fields, number: int, typical: Mapping[str, Facts]) -> Example | None:
        case.only(case.table.entries, required=("tool", "expect"))
        tool, expect = case.scalar("tool"), case.scalar("expect")
        known = self.vocabulary.tools.get(tool.text) if tool else None
        if tool and known is None:
            case.say(tool.at, f"unknown tool '{tool.text}'", suggest(tool.text, self.vocabulary.tools))
        terms = known if known is not None else self._all_terms()
        facts = dict(typical[tool.text]) if tool and known is not None else {}
        for key, node in case:
            if key.text in terms and known is not None:
                facts[key.text] = _fact(case, key, node, terms[key.text])
            elif key.text not in terms and key.text not in ("tool", "expect", "why", *self.broken):
                case.say(key.at, f"unknown fact '{key.text}'", suggest(key.text, terms))
        expected = self._expected(case, expect) if expect else None
        if tool is None or known is None or expect is None or expected is None:
            return None
        return Example(number, tool.text, facts, expected, " ".join(expect.text.split()), case.table.at)

    def _all_terms(self) -> Mapping[str, Term]:
        """What any tool knows; their types can differ."""
        return {path: term for terms in self.vocabulary.tools.values() for path, term in terms.items()}

    def _expected(self, case: Fields, expect: Scalar) -> Expected | None:
        first, *rest = " ".join(expect.text.split()).split(" by ")
        if first not in _VERDICTS:
            case.say(expect.at, f"'{first[:40]}' is no verdict", suggest(first, _VERDICTS))
            return None
        groups, rules, unknown, no_rule = set(), set(), set(), False
        for part in rest:
            if part == "no rule":
                no_rule = True
                continue
            missing = part.startswith("unknown ")
            for name in re.split(r" ?, ?| and ", part.removeprefix("unknown ")):
                if missing:
                    unknown.add(name)
                elif first == "review" and name in self.groups:
                    groups.add(name)
                elif name in self.rules:
                    rules.add(name)
                elif first == "review" and name in self.broken:
                    return None
                else:
                    options = [*self.rules, *(self.groups if first == "review" else ())]
                    case.say(expect.at, f"'{name}' is no rule and no group of reviewers", suggest(name, options))
                    return None
        return Expected(_VERDICTS[first], frozenset(groups) or None, frozenset(rules), frozenset(unknown), no_rule)


def _fact(case: Fields, key: Scalar, node: Node, term: Term) -> FactValue:
    """The value; None for `unknown`, and where something was reported."""
    scalar = case.as_scalar(node, f"'{key.text}'")
    if scalar is None or (scalar.text == "unknown" and scalar.text not in term.choices):
        return None
    try:
        return value_of(scalar.text, term)
    except Unfit as unfit:
        case.say(scalar.at, unfit.message, unfit.hint)
        return None


@dataclass(frozen=True)
class Result:
    """How an example came out; `wrong` is empty where it holds."""

    example: Example
    decision: Decision
    said: str
    wrong: str


def try_example(example: Example, program: Program) -> Result:
    env = {**program.blank, **{path: value for path, value in example.facts.items() if path in program.blank}}
    decision = program.decide(env)
    reasons = {reason for rule in decision.open for reason in why_open(rule.conditions[program.tool], env)}
    said = describe(decision, reasons)
    return Result(example, decision, said, _difference(example.expected, decision, reasons, said))


def describe(decision: Decision, reasons: Iterable[str]) -> str:
    """A decision in the words that an example would use for it."""
    rules = " and ".join(rule.id for rule in decision.deciding)
    if decision.verdict == "review":
        groups = dict.fromkeys(group.group for rule in decision.deciding for group in rule.reviewers)
        return f"review by {' and '.join(groups)} by {rules}"
    if rules:
        return f"{decision.verdict} by {rules}"
    if decision.open:
        broken = " and ".join(rule.id for rule in decision.open)
        return f"deny, because {broken} can't be judged: {', '.join(sorted(reasons))}"
    return "deny by no rule"


def _difference(expected: Expected, decision: Decision, reasons: set[str], said: str) -> str:
    deciding: list[Rule] = decision.deciding
    groups = {group.group for rule in deciding for group in rule.reviewers}
    unjudged = decision.verdict == "deny" and not deciding and bool(decision.open)
    right = (
        expected.verdict == decision.verdict
        and (expected.groups is None or expected.groups == groups)
        and expected.rules <= {rule.id for rule in deciding}
        and {f"{path} is unknown" for path in expected.unknown} <= reasons
        and (not unjudged or bool(expected.unknown))  # a forgotten fact is no deliberate deny
        and (not expected.no_rule or not (deciding or decision.open))
    )
    return "" if right else f"the book says: {said}"
