"""A backtest in lines, for a terminal. The same words stand on the committee's page."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from textwrap import wrap

from core.money import Money, exponent
from policies.backtest.figures import Figure
from policies.backtest.outcome import Backtest
from policies.backtest.tally import Changed

_WIDTH = 100
_FEW = 10
"""Changed cases below which the intervals come out too narrow."""
VERDICTS = ("allow", "review", "deny")
METHOD = (
    "Each decision was judged again as of its own moment, on the facts that it had. The dates on which the new "
    "policy is in force do not count here."
)
LIMITS = (
    "What would have followed is not simulated: with another verdict a case goes on otherwise, and counts of what "
    "was done come out otherwise. What people changed an action to is not judged again; it was theirs.",
    "Intervals are of 95%, by cases: what as much other traffic of this kind could come to, were it like this one. "
    "Where fewer than ten cases change they are too narrow. They say nothing of how traffic changes.",
    "Deadlines are held against how long people took. Who was late is taken to be late again, also with more time.",
    "People's answers were given under the policy of then, by people who knew that somebody decides.",
)
INTERVALS = (
    "Bayesian bootstrap (Rubin 1981) with cases as the sampled unit and with a limit for unseen large cases "
    "(after Fay and Feuer 1997)."
)


def amount(minor: float, currency: str) -> str:
    return f"{Decimal(round(minor)).scaleb(-exponent(currency)):,.{exponent(currency)}f}"


def shown(value: float, unit: str, *, signed: bool = False) -> str:
    sign = "+" if signed and value > 0 else ""
    match unit:
        case "share":
            return f"{sign}{100 * value:.1f}{' points' if signed else '%'}"
        case "hours":
            return f"{sign}{value:,.1f} h"
        case "reviews":
            return f"{sign}{value:,.1f}" if value % 1 and abs(value) < 1_000 else f"{sign}{value:,.0f}"
        case currency:
            return f"{sign}{amount(value, currency)} {currency}"


def between(figure: Figure) -> str:
    low, high = figure.interval
    signed = figure.then is not None
    return f"{shown(low, figure.unit, signed=signed)} to {shown(high, figure.unit, signed=signed)}"


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def replayable(found: Backtest) -> str:
    part = share(found.replayed, found.decisions)
    said = f"{found.replayed:,} of {found.decisions:,} decisions could be replayed ({part})"
    if found.left_out:
        said += ", and the figures are of those"
    if not found.compared:
        return f"{said}. The book that decided is not at hand: give it with --old."
    if found.reproduced == found.compared:
        return f"{said}; asked again, the book of then gave the same verdict in all {found.compared:,} that it took."
    wrong = found.compared - found.reproduced
    return f"{said}. In {wrong:,} of {found.compared:,} the book of then now says something else: don't rely on this."


def not_judged(found: Backtest) -> str:
    """The headline where decisions were left out: a change may be among them. Empty where all were judged."""
    many = found.unjudged
    return f"{many:,} decision{'s' if many != 1 else ''} could not be judged" if many else ""


def nothing_changed(found: Backtest) -> str:
    """What no change at all allows to say: the exact upper limit of a Poisson number of which none was seen.

    Nothing of the kind where decisions were left out: those are the very ones that the new policy asks more of.
    """
    if found.unjudged:
        return f"No verdict changes in the {found.replayed:,} that were judged; the others are not known."
    return f"No verdict changes. In {found.cases:,} other cases of this kind, up to 3.7 still could (95%)."


def as_text(found: Backtest) -> str:
    return "\n".join(_lines(found))


def _lines(found: Backtest) -> Iterator[str]:
    book = found.book
    span = f", {found.since:%Y-%m-%d} to {found.until:%Y-%m-%d}" if found.since and found.until else ""
    about = f"{found.decisions:,} decisions of {found.cases:,} cases{span}"
    yield f"{book.policy} {book.version} ({book.digest[:12]}) on {about}"
    yield f"  {replayable(found)}"
    if not found.decisions:
        return
    yield ""
    if found.unjudged:
        yield f"{not_judged(found)}: see below why."
    if not found.changed:
        yield nothing_changed(found)
    else:
        yield f"Verdicts: {found.changed:,} of {found.replayed:,} change"
        yield from _matrix(found)
    yield ""
    yield f"For {found.per}"
    for each in found.figures:
        yield from _figure(each)
    yield from _answers(found)
    yield from _largest(found)
    yield from _left_out(found)
    yield ""
    yield from wrap(METHOD, _WIDTH)
    yield from wrap(LIMITS[0], _WIDTH)
    if 0 < found.changed_cases < _FEW:
        yield from wrap(LIMITS[1], _WIDTH)


def _matrix(found: Backtest) -> Iterator[str]:
    for tool, cells in found.matrix.items():
        for (then, now), many in sorted(cells.items()):
            if then != now:
                yield f"  {tool:<24}{then} -> {now:<8}{many:>8,}"
    if found.other_reviewers:
        yield f"  {'other reviewers':<24}{'':<16}{found.other_reviewers:>8,}"


def _figure(figure: Figure) -> Iterator[str]:
    about = f"  ({figure.about})" if figure.about else ""
    if figure.then is None or figure.now is None:
        yield f"  {figure.name:<32}{shown(figure.change, figure.unit):>16}   95%: {between(figure)}{about}"
        return
    change = shown(figure.change, figure.unit, signed=True)
    both = f"{shown(figure.then, figure.unit)} -> {shown(figure.now, figure.unit)}"
    yield f"  {figure.name:<32}{change:>16}   95%: {between(figure)}  {both}{about}"


def _answers(found: Backtest) -> Iterator[str]:
    if not found.answers:
        return
    yield ""
    yield "What people had said of what would now go out by itself (as recorded)"
    for (currency, answer), (many, minor) in found.answers.items():
        yield f"  {answer:<32}{amount(minor, currency):>12} {currency}   {many:,} action{'s' if many != 1 else ''}"


def _largest(found: Backtest) -> Iterator[str]:
    if not found.largest:
        return
    yield ""
    yield "The largest that change"
    for each in found.largest:
        yield f"  {each.case_id:<32}{spent(each):>16}   {each.tool}: {each.then} -> {each.now}{rules(each)}"


def spent(each: Changed) -> str:
    return str(each.spent) if isinstance(each.spent, Money) else ""


def rules(each: Changed) -> str:
    said = f" by {', '.join(each.rules_now)}" if each.rules_now else " by no rule"
    return f"{said}; people had said: {each.answer}" if each.answer else said


def _left_out(found: Backtest) -> Iterator[str]:
    if not found.left_out:
        return
    yield ""
    yield "Not replayed, and why"
    for each in found.left_out:
        yield f"  {each.tool:<24}{each.many:>8,}   {each.why}: {each.what}"
