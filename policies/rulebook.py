"""The body of a book: its rules, and what it never allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from core.verdicts import FactType, ReviewerSet
from policies.clauses import Decides, Never, Rule
from policies.conditions import AllOf, Condition, Const, Holds, Not
from policies.document import Items, Node, Scalar
from policies.folding import constants, folded, settled
from policies.lexer import ConditionError, tokens
from policies.parser import Scope, parse
from policies.problems import At, Problems, near, suggest
from policies.reading import Fields
from policies.sections import Names
from policies.vocabulary import ALL, Vocabulary

MAX_RULES = 5_000
_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,39}")
_Mistake = tuple[At, str, str]
_OF_ALL = "A rule for all tools may ask only what every tool knows."
_RULE_KEYS = ("id", "mode", "tools", "decide", "when", "unless", "reason", "cite")


@dataclass
class Body:
    """Reads the clauses of one book against what its head defines."""

    book: Fields
    vocabulary: Vocabulary
    names: Names
    ids: set[str] = field(default_factory=set)
    """Of every rule that is there, wrong ones included."""

    @property
    def problems(self) -> Problems:
        return self.book.problems

    def rules(self) -> tuple[Rule, ...]:
        nodes = self.book.list_of("rules")
        if len(nodes) > MAX_RULES:
            self.problems.add(nodes[MAX_RULES].at, f"more than {MAX_RULES:,} rules", "Split the policy.")
            return ()
        entry = self.book.entry("rules")
        if entry and isinstance(entry.value, Items) and not nodes:
            self.book.say(entry.value.at, "'rules' is empty", "A policy without rules denies everything.")
        seen: dict[str, At] = {}
        found = []
        for number, node in enumerate(nodes, 1):
            rule = self._rule(node, number, seen)
            if rule:
                found.append(rule)
        return tuple(found)

    def _rule(self, node: Node, number: int, seen: dict[str, At]) -> Rule | None:
        rule = self.book.as_table(node, f"rule {number}")
        if rule is None:
            return None
        name = rule.scalar("id")
        if name:
            rule.where = f"rule '{name.text}'"
            if not _ID.fullmatch(name.text):
                rule.say(name.at, "an id begins with a letter and has letters, digits, '.', '_' and '-' only")
            elif name.text in seen:
                rule.say(name.at, f"the id was given in line {seen[name.text].line} already", "Choose another.")
            else:
                seen[name.text] = name.at
            self.ids.add(name.text)
        rule.only(_RULE_KEYS, required=("id", "tools", "decide", "reason", "cite"))
        mode = rule.scalar("mode")
        if mode and mode.text not in ("enforce", "monitor"):
            rule.say(mode.at, f"unknown mode '{mode.text}'", suggest(mode.text, ("enforce", "monitor")))
        decides = self._decides(rule)
        conditions = self._conditions(rule, "when")
        reason, cite = rule.text("reason"), rule.text("cite")
        if name is None or decides is None or not conditions:
            return None
        monitor = mode is not None and mode.text == "monitor"
        return Rule(name.text, decides[0], decides[1], conditions, reason, cite, monitor, name.at)

    def _decides(self, rule: Fields) -> tuple[Decides, tuple[ReviewerSet, ...]] | None:
        scalar = rule.scalar("decide")
        if scalar is None:
            return None
        if scalar.text == "allow":
            return "allow", ()
        if scalar.text == "deny":
            return "deny", ()
        if not scalar.text.startswith("review by "):
            hint = suggest(scalar.text.split()[0], ("allow", "deny", "review by GROUP"))
            rule.say(scalar.at, f"'{scalar.text[:40]}' is no decision", hint)
            return None
        groups = self._groups(rule, scalar, scalar.text.removeprefix("review by "))
        return ("review", groups) if groups else None

    def _groups(self, clause: Fields, scalar: Scalar, text: str) -> tuple[ReviewerSet, ...]:
        found: dict[str, ReviewerSet] = {}
        for name in (part.strip() for part in re.split(r",| and ", text)):
            if name in self.names.reviewers:
                found[name] = self.names.reviewers[name]
            elif name not in self.names.broken:
                hint = suggest(name, self.names.reviewers) or "Add it under reviewers."
                clause.say(scalar.at, f"unknown reviewers '{name}'", hint)
        return tuple(found.values())

    def never(self) -> tuple[Never, ...]:
        found = []
        for number, node in enumerate(self.book.list_of("never"), 1):
            clause = self.book.as_table(node, f"never {number}")
            if clause is None:
                continue
            clause.only(("tools", "allow_when", "why"), required=("tools", "allow_when", "why"))
            conditions = self._conditions(clause, "allow_when") if clause.entry("allow_when") else {}
            if conditions:
                found.append(Never(conditions, clause.text("why"), clause.table.at))
        return tuple(found)

    def _tools(self, clause: Fields) -> tuple[list[str], bool]:
        """The tools that are named, and whether all of the kind's are meant."""
        found: list[str] = []
        meant: list[str] = []
        scalars = clause.scalars("tools")
        if len(scalars) == 1 and scalars[0].text == ALL:
            return self.vocabulary.own, True
        for scalar in scalars:
            if scalar.text not in self.vocabulary.tools:
                clause.say(scalar.at, f"unknown tool '{scalar.text}'", suggest(scalar.text, self.vocabulary.tools))
                meant.append(near(scalar.text, self.vocabulary.tools))
            elif scalar.text in found:
                clause.say(scalar.at, f"the tool '{scalar.text}' is there twice", "Name it once.")
            else:
                found.append(scalar.text)
        # What is likely meant, so that the rest of the rule is checked as well; the book is refused anyway.
        return list(dict.fromkeys([*found, *filter(None, meant)])), False

    def _conditions(self, clause: Fields, key: str) -> dict[str, Condition]:
        """A tree for each tool; none where anything was reported."""
        before = len(self.problems.found)
        tools, every = self._tools(clause)
        when, unless = clause.scalars(key), clause.scalar("unless") if key == "when" else None
        parts = [(scalar, False) for scalar in when] + ([(unless, True)] if unless else [])
        trees: dict[str, list[Condition]] = {tool: [] for tool in tools}
        for scalar, negated in parts:
            for tool, condition in self._parsed(clause, scalar, tools, every):
                trees[tool].append(Not(condition, scalar.at) if negated else condition)
        if len(self.problems.found) > before or any(len(found) < len(parts) for found in trees.values()):
            return {}
        whole = {tool: _joined(found, clause.table.at) for tool, found in trees.items()}
        return self._possible(clause, key, whole)

    def _possible(self, clause: Fields, key: str, trees: dict[str, Condition]) -> dict[str, Condition]:
        """Without what never changes, and without the tools for which it can never hold."""
        tools = self.vocabulary.tools
        trees = {tool: folded(tree, constants(tools[tool])) for tool, tree in trees.items()}
        left = {tool: tree for tool, tree in trees.items() if settled(tree) is not False}
        if trees and not left:
            clause.say(clause.table.at, f"'{key}' holds for none of its tools, ever", "Remove it, or name other tools.")
        return left

    def _parsed(self, clause: Fields, scalar: Scalar, tools: list[str], every: bool) -> Iterator[tuple[str, Condition]]:
        """The condition for each tool; the same mistake is reported once, with all the tools it concerns.

        Where no tool could be read, what is wrong for every tool of the kind is reported all the same.
        """
        found: dict[_Mistake, list[str]] = {}
        asked = tools or self.vocabulary.own
        try:
            read = tokens(scalar)
            for tool in asked:
                scope = Scope(self.vocabulary.tools[tool], self.names.limits, frozenset(self.names.broken))

                def report(at: At, message: str, hint: str, tool: str = tool) -> None:
                    found.setdefault((at, message, hint), []).append(tool)

                condition = parse(read, scope, report)
                if condition and tools:
                    yield tool, condition
        except ConditionError as error:
            clause.say(error.at, error.message, error.hint)
        if every or not tools:
            found = _of_all(found, len(asked))
        if not tools:
            for (at, message, hint), concerned in found.items():
                if len(concerned) == len(asked):
                    clause.say(at, message, hint)
            return
        for (at, message, hint), concerned in found.items():
            named = ", ".join(f"'{tool}'" for tool in concerned)
            plural = "s" if len(concerned) > 1 else ""
            self.problems.add(at, f"{clause.where}, tool{plural} {named}: {message}", hint)


def _of_all(found: Mapping[_Mistake, list[str]], tools: int) -> dict[_Mistake, list[str]]:
    """Each mistake once, with all the tools it concerns. Where some tools are right, it is no slip of the pen."""
    concerned: dict[tuple[At, str], list[str]] = {}
    hints: dict[tuple[At, str], str] = {}
    for (at, message, hint), of in found.items():
        concerned.setdefault((at, message), []).extend(of)
        hints.setdefault((at, message), hint)
    return {(*key, hints[key] if len(of) == tools else _OF_ALL): of for key, of in concerned.items()}


def _joined(parts: list[Condition], at: At) -> Condition:
    if not parts:
        return Holds(Const(True, FactType.BOOLEAN, at), at)
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts), at)
