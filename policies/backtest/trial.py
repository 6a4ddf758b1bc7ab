"""Tries a book on recorded decisions.

found = backtest(decisions(session, "returns"), new, earlier=[book_in_force])

Each decision is judged as of its own moment; the dates on which `new` is in force don't count. It is a first
answer and no simulation: had another verdict been given, what came later in a case, and the counts that it
adds to, would have been other than they are on record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import chain

from policies.backtest.figures import figures
from policies.backtest.outcome import MONTH_DAYS, SHORTEST_DAYS, Backtest, LeftOut
from policies.backtest.records import Recorded, Recount
from policies.backtest.replay import Replay, Unreplayable
from policies.backtest.resampling import summed
from policies.backtest.tally import Changed, Key, Tally
from policies.book import Book

MOST_SHOWN = 10
_SEED = 20_261_201


def backtest(
    records: Iterable[Recorded],
    new: Book,
    *,
    earlier: Iterable[Book] = (),
    recount: Recount | None = None,
    seed: int = _SEED,
    step: Callable[[], object] = lambda: None,
) -> Backtest:
    """`earlier` are books that may have decided, found by their digests; `step` is called after each record.

    Without the book that decided, a fact that is not on record may have been missing or never asked for, and
    a count may have been another: such decisions are left out, unless their verdict is the same either way.
    """
    replay, tally = Replay(new, earlier, recount), Tally(new)
    books: Counter[str] = Counter()
    lost: Counter[tuple[str, str, str]] = Counter()
    first = last = None
    decisions = reproduced = compared = 0
    for record in records:
        decisions += 1
        first, last = first or record.at, record.at
        book = record.body["book"]
        books[f"{book['policy']} {book['version']} ({book['digest'][:12]})"] += 1
        found = replay.of(record)
        if isinstance(found, Unreplayable):
            lost[record.tool, found.why.value, found.what] += 1
            tally.lost(record)
        else:
            tally.add(record, found)
            if found.reproduced is not None:
                compared += 1
                reproduced += found.reproduced
        step()
    length = last - first if first and last else timedelta(0)
    scale = timedelta(days=MONTH_DAYS) / length if length >= timedelta(days=SHORTEST_DAYS) else 1.0
    cases = tally.settle()
    return Backtest(
        book=new.ref,
        books_then=dict(books.most_common()),
        since=first,
        until=last,
        cases=len(cases),
        decisions=decisions,
        replayed=decisions - lost.total(),
        reproduced=reproduced,
        compared=compared,
        matrix={tool: dict(found) for tool, found in sorted(tally.matrix.items())},
        other_reviewers=tally.other_reviewers,
        changed_cases=len({each.case_id for each in tally.changed}),
        figures=figures(cases, scale=scale, seed=seed),
        answers=_answers(cases),
        largest=_largest(tally.changed),
        left_out=[LeftOut(*reason, many) for reason, many in lost.most_common()],
        per="a month of such traffic (30 days)" if scale != 1.0 else f"{len(cases)} such cases",
        scale=scale,
    )


def _answers(cases: Iterable[Mapping[Key, float]]) -> dict[tuple[str, str], tuple[int, int]]:
    sums = summed(cases)
    found = {
        (key[1], key[2]): (round(sums["automatic cases", key[1], key[2]]), round(minor))
        for key, minor in sums.items()
        if key[0] == "automatic"
    }
    return dict(sorted(found.items(), key=lambda item: (item[0][0], -item[1][1])))


def _largest(changed: list[Changed]) -> list[Changed]:
    """The largest of each currency in turn; no amount is converted. Those without money come last."""
    by_currency: dict[str, list[Changed]] = {}
    for each in changed:
        by_currency.setdefault(each.spent.currency if each.spent else "", []).append(each)
    for found in by_currency.values():
        found.sort(key=lambda each: (-(each.spent.amount_minor if each.spent else 0), each.case_id))
    ordered = sorted((name for name in by_currency if name), key=lambda name: (-len(by_currency[name]), name))
    rounds = (found for row in _rows([by_currency[name] for name in ordered]) for found in row)
    return list(chain(rounds, by_currency.get("", [])))[:MOST_SHOWN]


def _rows(columns: list[list[Changed]]) -> Iterator[list[Changed]]:
    for place in range(max(map(len, columns), default=0)):
        yield [column[place] for column in columns if place < len(column)]
