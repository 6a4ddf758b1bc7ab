"""The oracle's own arithmetic: time that never stands still, digests, verdicts by the naive interpreter, and seats."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import permutations
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import rfc8785

from core.clock import FakeClock
from core.money import Money
from core.verdicts import ReviewerSet
from policies.book import Book, load_book
from policies.reference import evaluate
from policies.vocabulary import Vocabulary
from tests.support.rows import Row
from tests.support.till_kind import FACTS, KIND

T = TypeVar("T")


class Ticking(FakeClock):
    """Each look at it is a microsecond later, so that no two transactions bear the same time."""

    def now(self) -> datetime:
        self.advance(timedelta(microseconds=1))
        return super().now()


class Timeline(Generic[T]):
    """What held, from when."""

    def __init__(self) -> None:
        self._since: list[datetime] = []
        self._values: list[T] = []

    def tell(self, since: datetime, value: T) -> None:
        self._since.append(since)
        self._values.append(value)

    def at(self, moment: datetime) -> T:
        return self._values[bisect_right(self._since, moment) - 1]

    def between(self, start: datetime, end: datetime) -> list[T]:
        """What held at the start, and what came after it."""
        return self._values[max(bisect_right(self._since, start) - 1, 0) : bisect_right(self._since, end)]


def digest(value: Any) -> str:
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def action_id(row: Row) -> str:
    named = {name: row[name] for name in ("tool", "schema_version", "args", "workspace", "proposer", "step_key")}
    return digest(named | {"case": row["case_id"]})


@cache
def read_book(text: str) -> Book:
    tools = {tool.spec.name: tool.spec for tool in KIND.tools(SimpleNamespace(shop=None))}  # type: ignore[arg-type]
    return load_book(("till.yaml", text), Vocabulary.of("till", tools, FACTS))


def value_of(stored: Any) -> Any:
    return Money.model_validate(stored) if isinstance(stored, dict) else stored


def environment(action: Row, decision: Row, paid: int) -> dict[str, Any]:
    env = {f"args.{name}": value_of(value) for name, value in action["args"].items()}
    env |= {
        path: value_of(decision["facts"].get(path, {}).get("value")) for path in ("account.exists", "account.balance")
    }
    if "args.amount" in env:
        env["customer.paid"] = Money(amount_minor=paid, currency=env["args.amount"].currency)
    return env


def judged(book: Book, action: Row, env: Mapping[str, Any]) -> tuple[str, Sequence[Any], set[str]]:
    """The verdict, who is asked, and the rules that ask."""
    told = [
        (rule, evaluate(rule.conditions[action["tool"]], env))
        for rule in book.rules
        if action["tool"] in rule.conditions
    ]
    told = [(rule, answer) for rule, answer in told if not rule.monitor and answer is not False]
    if any(answer is None or rule.decides == "deny" for rule, answer in told):
        return "deny", (), set()
    asking = [rule for rule, _ in told if rule.decides == "review"]
    groups = {group.group: group for rule in asking for group in rule.reviewers}
    if groups:
        return "review", tuple(groups.values()), {rule.id for rule in asking}
    return ("allow" if told else "deny"), (), set()


Seat = tuple[str, datetime]
"""A role, and until when somebody could take it."""


def dues(review: Row) -> dict[tuple[str, str], datetime]:
    """Until when each group that is asked has time, by its name and role."""
    groups = [(ReviewerSet.model_validate(each), each.get("since")) for each in review["reviewers"]]
    return {
        (each.group, each.role): (datetime.fromisoformat(since) if since else review["opened_at"])
        + timedelta(seconds=each.within_s)
        for each, since in groups
    }


def seats(asked: Sequence[ReviewerSet], review: Row, *, each_in_its_time: bool) -> list[Seat]:
    """One for each of the people that policy asks for, or for each of those who took over from late ones.

    A seat is to be taken in the time of its group, or, if that is not looked at, in that of the whole review.
    """
    groups = [ReviewerSet.model_validate(each) for each in review["reviewers"]]
    until = dues(review) if each_in_its_time else {}
    found: list[Seat] = []
    for each in asked:
        late = {(other.group, other.role) for other in groups if each.group in other.stands_for[:1]}
        sits = next((other for other in each.successors if (other.group, other.role) in late), each)
        found += [(sits.role, until.get((sits.group, sits.role), review["due_at"]))] * sits.people
    return found


def seated(needed: Sequence[Seat], voters: Mapping[str, tuple[frozenset[str], datetime]]) -> bool:
    """Whether some order of distinct people fills every seat in time: tried, not computed."""
    return any(
        all(role in voters[name][0] and voters[name][1] <= due for (role, due), name in zip(needed, order, strict=True))
        for order in permutations(voters, len(needed))
    )
