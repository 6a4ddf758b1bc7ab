"""What two versions of a book differ in, apart from what their rules say of each action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.actions import JSON
from core.ports import Count
from core.verdicts import ReviewerSet
from policies.book import Book
from policies.clauses import InForce, Never
from policies.conditions import Condition, LimitRef, asks_whether_known, paths
from policies.proofs.domain import Domain
from policies.proofs.encode import Encoding
from policies.proofs.logic import Logic, Undecided, alike, every, no, some
from policies.proofs.shape import shape
from policies.proofs.strictness import Direction
from policies.vocabulary import Origin


@dataclass(frozen=True)
class Change:
    what: str
    direction: Direction | None
    """None where it counts by what the rules make of it, and is told under the tools."""
    tools: tuple[str, ...] = ()
    """The tools for which it leaves the comparison of the rules without a proof."""

    def __str__(self) -> str:
        return f"{self.what} ({self.direction.value})" if self.direction else self.what

    def as_json(self) -> dict[str, JSON]:
        return {"what": self.what, "direction": self.direction.value if self.direction else None}


def changes(old: Book, new: Book) -> list[Change]:
    return [
        *_names(old, new),
        *_in_force(old.in_force, new.in_force),
        *_approvers(set(old.approved_by), set(new.approved_by)),
        *_freshness(old, new),
        *_values("limit", {n: _limit(v) for n, v in old.limits.items()}, {n: _limit(v) for n, v in new.limits.items()}),
        *_values("reviewers", _groups(old), _groups(new)),
        *_counts(old, new),
        *_vocabulary(old, new),
        *_nevers(old, new),
    ]


def _names(old: Book, new: Book) -> Iterator[Change]:
    if (old.name, old.vocabulary.kind) != (new.name, new.vocabulary.kind):
        said = f"another policy: {old.name} for {old.vocabulary.kind}, {new.name} for {new.vocabulary.kind}"
        yield Change(said, Direction.UNPROVED)


def _in_force(old: InForce, new: InForce) -> Iterator[Change]:
    """Every version has dates of its own. They say when its rules hold, and nothing of how strict these are."""
    if old != new:
        yield Change(f"in force {new}, was {old}", None)


def _approvers(old: set[str], new: set[str]) -> Iterator[Change]:
    if old != new:
        said = f"approved_by {_listed(new)}, was {_listed(old)}"
        yield Change(said, Direction.TIGHTER if old <= new else Direction.LOOSER)


def _freshness(old: Book, new: Book) -> Iterator[Change]:
    if old.fresh_s == new.fresh_s:
        return
    said = f"facts_fresh_for {duration(new.fresh_s)}, was {duration(old.fresh_s)}"
    if new.fresh_s > old.fresh_s:
        yield Change(said, Direction.LOOSER)
    elif asked := _asked_of_records(new):
        yield Change(f"{said}; rules ask whether {asked} is known, and more will be stale", Direction.UNPROVED)
    else:
        yield Change(said, Direction.TIGHTER)


def _asked_of_records(book: Book) -> str:
    """Facts that can become stale, and of which a rule says what holds when they are missing."""
    asked = {
        path
        for rule in book.rules
        for tool, tree in rule.conditions.items()
        for path in asks_whether_known(tree)
        if not rule.monitor and book.vocabulary.tools[tool][path].origin is Origin.FACT
    }
    return ", ".join(sorted(asked))


def _values(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None:
            yield Change(f"{kind} {name} is new: {after}", None)
        elif after is None:
            yield Change(f"{kind} {name} is gone: {before}", None)
        elif before != after:
            yield Change(f"{kind} {name}: {after}, was {before}", None)


def _limit(limit: LimitRef) -> str:
    return ", ".join(str(amount) for amount in limit.amounts.values()) or str(limit.number)


def _groups(book: Book) -> dict[str, str]:
    return {name: group_in_words(group) for name, group in book.reviewers.items()}


def group_in_words(group: ReviewerSet) -> str:
    late = f"escalate to {group.late.group}" if group.late else "deny"
    return f"{group.people} {group.role} within {duration(group.within_s)}, if late {late}"


def _counts(old: Book, new: Book) -> Iterator[Change]:
    """Under another definition the same path is another figure, and nothing is known of how the two compare."""
    for name in sorted(old.counts.keys() & new.counts.keys()):
        if old.counts[name] != new.counts[name]:
            readers = {tool for book in (old, new) for tool, program in book.programs.items() if name in program.blank}
            said = f"count {name}: {_count(new.counts[name])}, was {_count(old.counts[name])}"
            yield Change(said, Direction.UNPROVED if readers else None, tuple(sorted(readers)))
    yield from _values(
        "count",
        {name: _count(count) for name, count in old.counts.items() if name not in new.counts},
        {name: _count(count) for name, count in new.counts.items() if name not in old.counts},
    )


def _count(count: Count) -> str:
    what = f"{count.measure} of {', '.join(count.tools)}"
    return f"{what} per {count.per} in {duration(count.window_s)}, {' and '.join(sorted(count.include))}"


def _vocabulary(old: Book, new: Book) -> Iterator[Change]:
    before, after = old.vocabulary, new.vocabulary
    for tool in sorted(before.tools.keys() | after.tools.keys()):
        if tool not in before.tools:
            yield Change(f"tool {tool} is new", None)
        elif tool not in after.tools:
            yield Change(f"tool {tool} is gone", None)
        else:
            other = sorted(path for path in _read(old, new, tool) if _term(old, tool, path) != _term(new, tool, path))
            version = before.specs[tool].version != after.specs[tool].version
            if other or version:
                what = f"the meaning of {_listed(other)}" if other else "the version of its arguments"
                yield Change(f"tool {tool}: {what} changed", Direction.UNPROVED, (tool,))


def _read(old: Book, new: Book, tool: str) -> set[str]:
    """Paths that both versions know and any of them reads, counts aside: those have a line of their own."""
    read = {*old.program(tool).blank, *new.program(tool).blank} - old.counts.keys() - new.counts.keys()
    return {path for path in read if path in old.vocabulary.tools[tool] and path in new.vocabulary.tools[tool]}


def _term(book: Book, tool: str, path: str) -> Any:
    term = book.vocabulary.tools[tool][path]
    return replace(term, doc="", read=None)


def _nevers(old: Book, new: Book) -> Iterator[Change]:
    """A promise counts by its tools and its condition, not by its words. Who drops one may break it with the next
    change, and nothing will tell."""
    words = {never.why for never in new.never}
    for never in old.never:
        lost = [tool for tool in never.conditions if not _promised(never, tool, old, new)]
        if lost:
            said = "promises less for" if never.why in words else "no longer promises for"
            yield Change(f"it {said} {_listed(lost)}: {never.why}", Direction.LOOSER)
        elif never.why not in words:
            yield Change(f"it promises in other words: {never.why}", None)


def _promised(never: Never, tool: str, old: Book, new: Book) -> bool:
    """The new version promises it, too, or more: under a lower limit, `args.amount > $cap` is about more."""
    condition = never.conditions[tool]
    found = [other.conditions[tool] for other in new.never if tool in other.conditions]
    if not found or any(_other_figure(old, new, tool, path) for path in paths(condition)):
        return False
    return shape(condition) in map(shape, found) or _covered(condition, found, tool, [old, new])


def _other_figure(old: Book, new: Book, tool: str, path: str) -> bool:
    terms = new.vocabulary.tools.get(tool, {})
    other_count = old.counts.get(path) != new.counts.get(path)
    return path not in terms or other_count or _term(old, tool, path) != _term(new, tool, path)


def _covered(condition: Condition, promised: list[Condition], tool: str, books: list[Book]) -> bool:
    """Wherever the condition holds, so does one of those promised. Where z3 gives up it counts as uncovered."""
    logic, read = Logic(), [condition, *promised]
    encoding = Encoding(logic, Domain.of(tool, frozenset[str]().union(*map(paths, read)), books), read)
    uncovered = logic.flag("uncovered")
    asking = encoding.unknowns.asking
    about, covering = encoding.told(condition).true, some(encoding.told(each).true for each in promised)
    asking.add(alike(uncovered, every((about, no(covering)))))
    try:
        return asking.possible([uncovered]) is None
    except Undecided:
        return False


def duration(seconds: int) -> str:
    """As a policy file has it."""
    units = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
    unit, long = next(each for each in units if seconds % each[1] == 0)
    return f"{seconds // long} {unit}{'s' if seconds != long else ''}"


def _listed(words: Any) -> str:
    return ", ".join(sorted(words)) or "nobody"
