"""What is not wrong in a book, but likely not meant. A book with such remarks still loads."""

from __future__ import annotations

from collections.abc import Iterator

from policies.book import Book
from policies.clauses import Never, Rule
from policies.conditions import AllOf, AnyOf, Compare, Condition, LimitRef, Not, Ref, asks_whether_known, leaves, paths
from policies.problems import At, Problem


def remarks(book: Book) -> list[Problem]:
    """In the order of the file."""
    found = [*_unused(book), *_currencies(book), *_unguarded(book), *_fixed(book)]
    return sorted(Problem(book.file, at.line, at.column, message, hint) for at, message, hint in found)


def _unused(book: Book) -> Iterator[tuple[At, str, str]]:
    clauses: list[Rule | Never] = [*book.rules, *book.never]
    trees = [tree for clause in clauses for tree in clause.conditions.values()]
    limits = {leaf.name for tree in trees for leaf in leaves(tree) if isinstance(leaf, LimitRef)}
    read = {path for tree in trees for path in paths(tree)}
    asked = [group for rule in book.rules for group in rule.reviewers]
    groups = {each.group for group in asked for each in (group, *group.successors)}
    for kind, defined, used in (
        ("limit", book.limits, limits),
        ("count", book.counts, read),
        ("reviewers", book.reviewers, groups),
    ):
        for name in defined:
            if name not in used:
                yield book.places[name], f"no rule uses the {kind} '{name}'", "Remove it, or use it."


def _currencies(book: Book) -> Iterator[tuple[At, str, str]]:
    """An amount in a currency that a limit lacks can't be judged, and is denied."""
    everywhere = {currency for limit in book.limits.values() for currency in limit.amounts}
    for name, limit in book.limits.items():
        missing = sorted(everywhere - set(limit.amounts))
        if limit.amounts and missing:
            told = ", ".join(missing)
            yield limit.at, f"the limit '{name}' has no amount in {told}", "Other limits have; add one."


def _unguarded(book: Book) -> Iterator[tuple[At, str, str]]:
    """One rule says what holds when a fact is missing, but another needs it, so that its absence denies anyway."""
    for tool in book.programs:
        rules = [rule for rule in book.rules if tool in rule.conditions and not rule.monitor]
        expected: dict[str, Rule] = {}
        for rule in rules:
            for path in asks_whether_known(rule.conditions[tool]):
                expected.setdefault(path, rule)
        for rule in rules:
            tree = rule.conditions[tool]
            for path in sorted(paths(tree) & set(expected) - asks_whether_known(tree)):
                yield (
                    rule.at,
                    f"rule '{rule.id}', tool '{tool}': needs {path}, which rule '{expected[path].id}' takes as missing",
                    f"Without it this rule denies first; add `{path} is known and …`.",
                )


def _fixed(book: Book) -> Iterator[tuple[At, str, str]]:
    clauses: list[Rule | Never] = [*book.rules, *book.never]
    trees = [tree for clause in clauses for tree in clause.conditions.values()]
    for at, path in sorted({place for tree in trees for place in _with_itself(tree)}):
        yield at, f"both sides are {path}, so this never changes", "Compare it with something else."


def _with_itself(condition: Condition) -> Iterator[tuple[At, str]]:
    match condition:
        case Compare(_, Ref(left), Ref(right), at) if left == right:
            yield at, left
        case Not(part):
            yield from _with_itself(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _with_itself(part)
        case _:
            pass
