"""What a demo tells at its end, in lines. `click.echo` leaves the colours out of a pipe."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import click

from core.money import Money, exponent
from core.states import CaseStatus
from ledger.kpis import Figures
from serving.demo.folder import PEOPLE
from serving.demo.run import Played

PAGE = "report.html"
_BAR = 24
_NAME = 26
_WIDTH = 100


def share(part: int, whole: int) -> str:
    return f"{Decimal(100 * part) / whole:.1f}%" if whole else "-"


def words(outcome: str) -> str:
    return outcome.replace("_", " ") or "unnamed"


def mean(total: Money, cases: int) -> str:
    """With two decimals more than the currency has: a case may cost less than its smallest coin."""
    places = exponent(total.currency) + 2
    return f"{total.major / cases:.{places}f} {total.currency}" if cases else "-"


def span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def cost_rows(found: Figures) -> list[tuple[str, str, str, str]]:
    """Component, mean over closed cases, all closed ones, others so far; at the end the sums, by currency."""
    rows = [(line.component, line.closed, line.unfinished) for line in found.costs]
    for currency in sorted({line.closed.currency for line in found.costs}):
        here = [line for line in found.costs if line.closed.currency == currency]
        closed = Money.total((line.closed for line in here), currency)
        rows.append(("together", closed, Money.total((line.unfinished for line in here), currency)))
    return [(words(name), mean(closed, found.closed), str(closed), str(so_far)) for name, closed, so_far in rows]


def pace(played: Played) -> str:
    if played.resumed:
        return ", begun by an earlier run"
    return f", in {span(played.seconds)}: {played.figures.cases / played.seconds:.1f} a second"


def near(path: Path) -> str:
    """As a person here would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def lines(played: Played, folder: Path, *, standard: bool) -> Iterator[str]:
    """`standard`: the folder is the one that commands take if none is named."""
    found = played.figures
    yield ""
    yield _title(f"{played.kind.title}: {found.cases} cases") + f" of seed {played.bill.seed}{pace(played)}"
    yield from _ends(found)
    yield from _queue(found)
    yield from _troubles(found)
    yield from _costs(found)
    yield from _times(found)
    yield from _checks(played)
    yield from _places(played, folder, standard)


def _title(text: str) -> str:
    return click.style(text, bold=True)


def _count(name: str, count: int, whole: int) -> str:
    return f"{name:<{_NAME}}{count:>6}{share(count, whole):>9}"


def _ends(found: Figures) -> Iterator[str]:
    yield ""
    yield _title(_count("Closed without a person", found.alone, found.cases))
    for outcome, count in found.unattended.items():
        bar = "█" * max(1, round(_BAR * count / max(found.unattended.values())))
        yield _count(f"  {words(outcome)}", count, found.cases) + "  " + click.style(bar, fg="cyan")
    if found.closed > found.alone:
        yield _title(_count("Closed with a person", found.closed - found.alone, found.cases))


def _queue(found: Figures) -> Iterator[str]:
    yield _title(_count("Waiting for people", found.parked, found.cases))
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns) - 12
    for group in found.waiting:
        yield (
            _count(f"  by {group.groups}", group.cases, found.cases)
            + f"  due from {group.due_at.astimezone():%a %H:%M}"
        )
        for why in group.why:
            first, *more = textwrap.wrap(f"{why.rule:<6} {why.reason}", width, subsequent_indent=" " * 7)
            yield click.style(f"    {why.cases:>5}  {first}", dim=True)
            yield from (click.style(f"           {line}", dim=True) for line in more)
    if any(len(group.why) > 1 for group in found.waiting):
        yield click.style("           (a case may be there for several reasons)", dim=True)


def _troubles(found: Figures) -> Iterator[str]:
    yield _title(_count("Failed", found.by_status.get(CaseStatus.FAILED, 0), found.cases))
    left = found.cases - found.closed - found.parked
    if left:
        yield _title(_count("Not settled, or cancelled", left, found.cases))


def _costs(found: Figures) -> Iterator[str]:
    yield ""
    yield _title(f"{'Cost':<{_NAME}}{'a closed case':>15}{'all closed':>15}{'others so far':>15}")
    told = ""
    for name, each, closed, others in cost_rows(found):
        yield f"  {'' if name == told else name:<{_NAME - 2}}{each:>15}{closed:>15}{others:>15}"
        told = name


def _times(found: Figures) -> Iterator[str]:
    yield ""
    yield _title(f"{'Time':<{_NAME}}{'p50':>15}{'p95':>15}{'longest':>15}")
    for name, times in (("from request to begun", found.queued), ("from request to closed", found.cycle)):
        yield f"  {name:<{_NAME - 2}}{span(times.p50):>15}{span(times.p95):>15}{span(times.most):>15}"


def _checks(played: Played) -> Iterator[str]:
    checked = played.checked
    yield ""
    yield _title("Checked")
    yield f"  {checked.runs:,} effects in the ledger, {checked.provider_calls:,} calls in the provider's own log"
    yield f"  {played.chain:,} links of the audit chain hold"
    wrong = played.wrong()
    for each in wrong:
        yield click.style(f"  {each}", fg="red", bold=True)
    if not wrong:
        yield click.style("  nothing lost, nothing twice, nothing without its approval", fg="green")


def _places(played: Played, folder: Path, standard: bool) -> Iterator[str]:
    data = near(folder)
    yield ""
    yield _title("Where it is")
    for name, place in (
        ("report", f"{data}/{PAGE}"),
        ("audit", f"countersign audit verify --data {data}"),
        ("data", data),
        ("tokens of people", f"{data}/{PEOPLE}"),
    ):
        yield f"  {name:<18}{place}"
    yield ""
    yield _title("What to type next")
    option = "" if standard else f" --data {data}"
    opens = "make desk" if standard else f"countersign demo desk{option}"
    yield f"  {opens + '  ':<44}decide what waits"
    for person in played.people[:1]:
        command = f"countersign demo desk{option} --as {person}"
        yield f"  {command}  the same as one of {', '.join(played.people)}"
