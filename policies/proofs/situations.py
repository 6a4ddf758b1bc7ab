"""A situation that shows something, made simple: as near to the book's typical facts as it can be.

z3 finds some situation, with any value that will do. Here each fact goes back to its typical value, and each
number towards it, as long as the situation still shows what it was found for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from core.actions import JSON
from core.money import Money
from core.verdicts import FactValue
from policies.book import Book
from policies.explain import shown
from policies.proofs.domain import Domain, Env

Shows = Callable[[Env], bool]
Always = Callable[[Env], frozenset[str]]


@dataclass(frozen=True)
class Situation:
    """`facts` are all that were read; `telling` are those that differ from the typical example of the book."""

    tool: str
    facts: Mapping[str, FactValue]
    telling: tuple[str, ...]

    def __str__(self) -> str:
        said = [f"{path} = {_word(self.facts[path])}" for path in self.telling]
        return ", ".join(said) or "the typical facts"

    def as_json(self) -> dict[str, JSON]:
        return {
            "tool": self.tool,
            "facts": {path: None if value is None else shown(value) for path, value in self.facts.items()},
            "telling": list(self.telling),
        }


def _word(value: FactValue) -> str:
    return "unknown" if value is None else shown(value)


def simplest(book: Book, domain: Domain, env: Env, shows: Shows, always: Always) -> Situation:
    """`shows` holds for `env`, and for what is returned. `always` gives paths to tell even where they are typical."""
    typical = book.typical.get(domain.tool, {})
    plain = domain.constants | domain.plain(typical, usual_currency(book, domain.tool))
    for _ in range(3):
        before = env
        for simpler in _steps(domain, plain):
            changed = env | simpler(env)
            if changed != env and domain.allows(changed) and shows(changed):
                env = changed
        env = _nearer(domain, env, plain, shows)
        if env == before:
            break
    return Situation(domain.tool, env, tuple(_telling(domain, env, typical, shows, always(env))))


def _telling(
    domain: Domain, env: Env, typical: Mapping[str, FactValue], shows: Shows, always: frozenset[str]
) -> Iterator[str]:
    """Paths without which the typical facts would not show it."""
    usual = dict(env)
    for path in domain.slots:
        tried = {**usual, path: typical.get(path)}
        if path in always or (env[path] != typical.get(path) and not shows(tried)):
            yield path
        else:
            usual = tried


def usual_currency(book: Book, tool: str) -> str:
    amounts = [value for value in book.typical.get(tool, {}).values() if isinstance(value, Money)]
    amounts += [amount for limit in book.limits.values() for amount in limit.amounts.values()]
    return amounts[0].currency if amounts else "USD"


Step = Callable[[Env], Env]
"""Gives the facts that it would change."""


def _steps(domain: Domain, plain: Env) -> Iterator[Step]:
    paths = list(domain.slots)
    currency = next((value.currency for value in plain.values() if isinstance(value, Money)), "USD")
    yield lambda env: {
        path: Money(amount_minor=value.amount_minor, currency=currency)
        for path, value in env.items()
        if isinstance(value, Money)
    }
    groups = {
        guard: [p for p in paths if guard in domain.slots[p].guards] for p in paths for guard in domain.slots[p].guards
    }
    chunks = [group for group in groups.values() if len(group) > 1]
    size = len(paths)
    while size:
        chunks += [paths[start : start + size] for start in range(0, len(paths), size)]
        size //= 2
    for chunk in chunks:
        yield lambda env, chunk=chunk: {path: plain[path] for path in chunk}  # type: ignore[misc]


def _nearer(domain: Domain, env: Env, plain: Env, shows: Shows) -> Env:
    """Each number as near to its plain value as shows the same, to zero where there is none; the first choice."""
    for path, slot in domain.slots.items():
        if env[path] == plain[path]:
            continue

        def fits(other: FactValue, env: Env = env, path: str = path) -> bool:
            changed = {**env, path: other}
            return domain.allows(changed) and shows(changed)

        env = {**env, path: _nearest(env[path], plain[path], slot.term.choices, fits)}
    return env


def _nearest(
    value: FactValue, goal: FactValue, choices: tuple[str, ...], fits: Callable[[FactValue], bool]
) -> FactValue:
    match value:
        case bool():
            return value
        case int():
            return _between(goal if isinstance(goal, int) else 0, value, fits)
        case Money(amount_minor=minor, currency=currency):
            aim = goal.amount_minor if isinstance(goal, Money) and goal.currency == currency else 0
            nearest = _between(aim, minor, lambda n: fits(Money(amount_minor=n, currency=currency)))
            return Money(amount_minor=nearest, currency=currency)
        case Decimal():
            return _shortest(value, Decimal(goal) if isinstance(goal, int | Decimal) else Decimal(0), fits)
        case str():
            return next(filter(fits, choices), value)
        case _:
            return value


def _shortest(value: Decimal, goal: Decimal, fits: Callable[[FactValue], bool]) -> Decimal:
    """With as few decimal places as show the same."""
    for places in range(7):
        step = Decimal(1).scaleb(-places)
        for rounding in (ROUND_FLOOR, ROUND_CEILING):
            rounded = value.quantize(step, rounding)
            if fits(rounded):
                return _between(int(goal / step), int(rounded / step), lambda n, step=step: fits(n * step)) * step  # type: ignore[misc]
    return value


def _between(wrong: int, right: int, fits: Callable[[int], bool]) -> int:
    """The number nearest to `wrong` that fits, as far as halving finds it."""
    if wrong == right or fits(wrong):
        return wrong
    while abs(right - wrong) > 1:
        middle = (wrong + right) // 2
        if fits(middle):
            right = middle
        else:
            wrong = middle
    return right
