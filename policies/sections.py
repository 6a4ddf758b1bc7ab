"""The head of a book: dates, limits, counts and reviewer groups."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from core.money import Money
from core.people import ROLES, Permission
from core.ports import Count
from core.verdicts import FactType, ReviewerSet
from policies.clauses import InForce
from policies.conditions import LimitRef
from policies.document import Items, Node, Scalar
from policies.problems import At, suggest
from policies.reading import Fields
from policies.values import Unfit, day, money, number, seconds, whole
from policies.vocabulary import Origin, Term, Vocabulary

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_PATH = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+")
_INCLUDE = ("done", "in_flight")
_PER = ("customer", "agent", "case")
_CHAIN = 3
"""Groups that follow one another when they are late. The database's own guard looks as far (`ledger/guards.py`)."""


@dataclass
class Names:
    """What the head of a book defines, and the names whose definition is wrong."""

    limits: dict[str, LimitRef] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)
    reviewers: dict[str, ReviewerSet] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    places: dict[str, At] = field(default_factory=dict)

    def define(self, kind: dict[str, T], key: Scalar, found: T | None) -> None:
        self.places[key.text] = key.at
        if found is None:
            self.broken.add(key.text)
        else:
            kind[key.text] = found


def read_in_force(book: Fields) -> InForce | None:
    dates = book.table_of("in_force")
    if dates is None:
        return None
    dates.only(("from", "to"), required=("from",))
    since, until = dates.read("from", day), dates.read("to", day)
    if since and until and until < since:
        dates.say(dates.table.entries["to"].value.at, f"'to' ({until}) is before 'from' ({since})", "Swap them.")
    return InForce(since, until, dates.table.at) if since else None


def read_limits(book: Fields, names: Names) -> None:
    for key, node in book.table_of("limits") or ():
        found = _limit(Fields(book.table, book.problems, f"limit '{key.text}'"), key, node)
        names.define(names.limits, key, found)


def _limit(limit: Fields, key: Scalar, node: Node) -> LimitRef | None:
    if not _NAME.fullmatch(key.text):
        limit.say(key.at, "a limit's name has small letters, digits and _ only", "Rename it.")
        return None
    scalars = limit.as_scalars(node, "a limit")
    values = [limit.convert(scalar, _amount) for scalar in scalars]
    if not values or None in values:
        return None
    if not isinstance(node, Items) and not isinstance(values[0], Money):
        kind = FactType.INTEGER if isinstance(values[0], int) else FactType.DECIMAL
        return LimitRef(key.text, kind, values[0], {}, key.at)
    amounts: dict[str, Money] = {}
    for scalar, value in zip(scalars, values, strict=True):
        if not isinstance(value, Money):
            limit.say(scalar.at, f"'{scalar.text}' is no amount of money", "A list gives one amount for each currency.")
            return None
        if value.currency in amounts:
            limit.say(scalar.at, f"two amounts in {value.currency}", "Give one for each currency.")
            return None
        amounts[value.currency] = value
    return LimitRef(key.text, FactType.MONEY, None, amounts, key.at)


def _amount(text: str) -> Money | int | Decimal:
    if " " in text:
        return money(text)
    try:
        return number(text) if "." in text else whole(text)
    except Unfit as unfit:
        raise Unfit(f"'{text[:40]}' is neither money nor a number", "Write it like 150 USD or 3.") from unfit


def read_reviewers(book: Fields, names: Names) -> None:
    takes_over: dict[str, _TakesOver] = {}
    for key, node in book.table_of("reviewers") or ():
        group = book.as_table(node, f"reviewers '{key.text}'")
        found = _reviewers(group, key) if group else None
        names.define(names.reviewers, key, found)
        late = group.scalar("if_late") if group and found else None
        if group and late and (to := group.convert(late, _if_late)):
            takes_over[key.text] = _TakesOver(group, late, to)
    _escalate(takes_over, names)


def _reviewers(group: Fields, key: Scalar) -> ReviewerSet | None:
    group.only(("role", "people", "within", "if_late"), required=("role", "within"))
    if not _NAME.fullmatch(key.text) or key.text == "and":
        group.say(key.at, "a group's name has small letters, digits and _ only", "Rename it.")
        return None
    role = group.scalar("role")
    people = group.read("people", whole) if group.entry("people") else 1
    within = group.read("within", seconds)
    if role and (not _NAME.fullmatch(role.text) or Permission.DECIDE not in ROLES.get(role.text, {Permission.DECIDE})):
        group.say(role.at, f"the role '{role.text}' can't decide reviews", "Name a role of reviewers.")
        return None
    if people is not None and not 1 <= people <= 20:
        group.say(group.table.entries["people"].value.at, f"{people} people", "Ask for 1 to 20.")
        return None
    if role is None or people is None or within is None:
        return None
    return ReviewerSet(group=key.text, role=role.text, people=people, within_s=within)


def _if_late(text: str) -> str:
    """The group that takes over; empty where late is no."""
    if text == "deny":
        return ""
    word, _, to = text.partition(" to ")
    if word.strip() == "escalate" and to.strip():
        return to.strip()
    if text.split()[0] == "escalate":
        raise Unfit("'escalate' does not say to whom", "Write if_late: escalate to GROUP, a group under reviewers.")
    raise Unfit(f"'{text[:40]}' is nothing that can be done when it is late", "Write deny, or escalate to GROUP.")


@dataclass(frozen=True)
class _TakesOver:
    """A group's `if_late: escalate to GROUP`, and where it stands."""

    group: Fields
    at: Scalar
    to: str


def _escalate(takes_over: dict[str, _TakesOver], names: Names) -> None:
    """Puts into each group who takes over from it. A group whose chain is wrong is as good as not defined."""
    alone, wrong = dict(names.reviewers), set()
    for name, step in takes_over.items():
        chain = [name]
        while chain[-1] in takes_over and (following := takes_over[chain[-1]].to) not in chain:
            chain.append(following)
        if told := _unfit_chain(chain, takes_over, alone, names):
            step.group.say(step.at.at, *told)
        if told or any(each not in alone for each in chain):
            wrong.add(name)
            continue
        late = None
        for each in reversed(chain):
            late = ReviewerSet.model_validate(alone[each].model_dump() | {"late": late})
            names.reviewers[each] = late
    for name in wrong:
        names.broken.add(name)
        names.reviewers.pop(name, None)


def _unfit_chain(
    chain: list[str], takes_over: dict[str, _TakesOver], alone: dict[str, ReviewerSet], names: Names
) -> tuple[str, str] | None:
    """What is wrong with the step from the first group of a chain to the second, and what to do."""
    name, to = chain[0], takes_over[chain[0]].to
    if to not in alone:
        return None if to in names.broken else (f"unknown reviewers '{to[:40]}'", suggest(to, alone))
    last = chain[-1]
    if last in takes_over and takes_over[last].to == name:
        circle = ", then ".join([*chain, name])
        return f"it escalates in a circle: {circle}", "Let the last of them deny."
    if len(chain) > _CHAIN:
        return f"more than {_CHAIN} groups after one another: {', '.join(chain)}", "Escalate to one of the last ones."
    asked, following = alone[name].people, alone[to].people
    if following < asked:
        return f"{to} asks for {following} where {name} asks for {asked}", "Escalate to as many people, or more."
    return None


def read_counts(book: Fields, vocabulary: Vocabulary, names: Names) -> Vocabulary:
    """The vocabulary with the book's counts in it."""
    taken = {path for terms in vocabulary.tools.values() for path in terms}
    for key, node in book.table_of("counts") or ():
        count = book.as_table(node, f"count '{key.text}'")
        found = _count(count, key, vocabulary, taken) if count else None
        names.define(names.counts, key, found)
    return vocabulary.with_terms(
        {tool: list(_count_terms(names.counts.values(), terms)) for tool, terms in vocabulary.tools.items()}
    )


def _count_terms(counts: Iterable[Count], terms: Any) -> Iterable[Term]:
    """The counts that can be told of an action with these arguments."""
    for count in counts:
        if count.per not in _PER and count.per not in terms:
            continue
        if count.measure == "count":
            yield Term(count.name, FactType.INTEGER, Origin.COUNT, "A count over our own records.")
        elif count.path in terms:  # its currency is the action's
            yield Term(count.name, FactType.MONEY, Origin.COUNT, "A sum over our own records.")


def _count(count: Fields, key: Scalar, vocabulary: Vocabulary, taken: set[str]) -> Count | None:
    count.only(("count", "sum", "per", "window", "include"), required=("per", "window", "include"))
    if not _PATH.fullmatch(key.text) or key.text.startswith(("args.", "tool.")):
        count.say(key.at, "a count's name is dotted, in small letters", "Write it like customer.refunds_30d.")
        return None
    if key.text in taken:
        count.say(key.at, "this is a fact already", "Give the count another name.")
        return None
    if (count.entry("count") is None) == (count.entry("sum") is None):
        count.say(key.at, "either 'count' or 'sum' is needed", "Write count: tool, or sum: tool.amount.")
        return None
    measure = "count" if count.entry("count") else "sum"
    tools, paths = _counted(count, measure, vocabulary)
    per, window = _per(count, tools, vocabulary), count.read("window", seconds)
    scalars = count.scalars("include")
    include = [count.convert(scalar, _included) for scalar in scalars]
    if len(paths) > 1:
        count.say(key.at, f"the sum is over different arguments: {', '.join(sorted(paths))}", "Make two counts.")
    if not tools or len(paths) > 1 or per is None or window is None or not include or None in include:
        return None
    states = frozenset(state for state in include if state)
    return Count(key.text, measure, tuple(tools), next(iter(paths), ""), per, window, states)


def _counted(count: Fields, measure: str, vocabulary: Vocabulary) -> tuple[list[str], set[str]]:
    """The tools that are counted, and the path that is summed. Nothing where something was reported."""
    sums = {
        f"{tool}.{path.removeprefix('args.')}": (tool, path)
        for tool, terms in vocabulary.tools.items()
        for path, term in terms.items()
        if term.origin is Origin.ARGS and term.type is FactType.MONEY
    }
    tools: list[str] = []
    paths: set[str] = set()
    for scalar in count.scalars(measure):
        if measure == "sum" and scalar.text in sums:
            tool, path = sums[scalar.text]
            tools.append(tool)
            paths.add(path)
        elif measure == "sum":
            count.say(scalar.at, f"'{scalar.text}' is no argument with money", suggest(scalar.text, sums))
            return [], set()
        elif scalar.text in vocabulary.tools:
            tools.append(scalar.text)
        else:
            count.say(scalar.at, f"unknown tool '{scalar.text}'", suggest(scalar.text, vocabulary.tools))
            return [], set()
    return tools, paths


def _per(count: Fields, tools: list[str], vocabulary: Vocabulary) -> str | None:
    scalar = count.scalar("per")
    if scalar is None or scalar.text in _PER:
        return scalar.text if scalar else None
    told = [{path for path, term in vocabulary.tools[tool].items() if _names(term)} for tool in tools]
    if tools and all(scalar.text in paths for paths in told):
        return scalar.text
    count.say(
        scalar.at,
        f"'{scalar.text}' is nothing to count by",
        suggest(scalar.text, [*_PER, *(set.intersection(*told) if told else ())]),
    )
    return None


def _names(term: Term) -> bool:
    """Whether a path can name what is counted by: an argument, or a word from a system of record, such as a card."""
    return term.origin is Origin.ARGS or (term.origin is Origin.FACT and term.type in (FactType.TEXT, FactType.CHOICE))


def _included(text: str) -> str:
    if text not in _INCLUDE:
        raise Unfit(f"'{text[:40]}' is no state of an action", suggest(text, _INCLUDE))
    return text
