"""The demo's report as one HTML page: no script, no file beside it, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from core.states import CaseStatus
from ledger.kpis import Figures
from serving.demo.report import cost_rows, pace, share, span, words
from serving.demo.run import Played

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5d6878; --line: #d9dee6; --ground: #fbfbfa;
  --card: #fff; --one: #2563a8; --two: #c4782a; --bad: #b3362b; --good: #2b7a4b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --dim: #98a3b3; --line: #323b47; --ground: #14181e;
  --card: #1b2129; --one: #6aa5e0; --two: #dd9a55; --bad: #e2766c; --good: #6cbf8d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 40px 0 12px; }
p { margin: 0 0 12px; color: var(--dim); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin-top: 24px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.tile b { display: block; font-size: 28px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--dim); }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .dim { fill: var(--dim); } svg line { stroke: var(--line); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 500; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tr.sum td { font-weight: 600; border-bottom: 0; } td.n, th.n { white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); }
code { font: 13px ui-monospace, monospace; }
"""
_WIDTH, _LABEL, _ROW = 900, 250, 30
_BINS = 24


def page(played: Played) -> str:
    title = f"{played.kind.title}: {played.figures.cases} cases"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            f"<p>A generated world of seed {played.bill.seed}, as of {played.bill.now:%Y-%m-%d}{pace(played)}.</p>",
            *_body(played),
            "</main></body></html>\n",
        ]
    )


def _body(played: Played) -> Iterator[str]:
    found = played.figures
    yield _tiles(found)
    yield "<h2>How the cases ended, or stand</h2>"
    bars = [(words(outcome), many, "--one") for outcome, many in found.outcomes.items()]
    bars += [(f"waiting for {group.groups}", group.cases, "--two") for group in found.waiting]
    bars += [(name, many, "--bad") for name, many in found.by_status.items() if name in _TROUBLE]
    yield _bars(bars, found.cases)
    yield "<h2>What waits for people, and why</h2>"
    yield "<p>A case may be there for several reasons.</p>"
    yield _table(
        ["Reviewers", "Rule", "Why policy asks them", "-Cases"],
        [[group.groups, why.rule, why.reason, str(why.cases)] for group in found.waiting for why in group.why],
    )
    yield from _costs(found)
    yield "<h2>From request to closed</h2>"
    yield f"<p>All {found.cases} requests came in at once: most of the time is spent in the queue.</p>"
    yield _histogram(found.cycle_s)
    yield _table(
        ["", "-p50", "-p95", "-Longest"],
        [
            [name, span(times.p50), span(times.p95), span(times.most)]
            for name, times in (("From request to begun", found.queued), ("From request to closed", found.cycle))
        ],
    )
    yield from _checks(played)


_TROUBLE = (CaseStatus.FAILED, CaseStatus.PAUSED, CaseStatus.CANCELLED)


def _tiles(found: Figures) -> str:
    tiles = [
        (share(found.alone, found.cases), f"closed without a person ({found.alone})"),
        (share(found.parked, found.cases), f"wait for people ({found.parked})"),
        (str(found.by_status.get(CaseStatus.FAILED, 0)), "failed"),
        (span(found.cycle.p50), f"request to closed, p50; p95 {span(found.cycle.p95)}"),
    ]
    inside = "".join(
        f'<div class="tile"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in tiles
    )
    return f'<div class="tiles">{inside}</div>'


def _bars(rows: Sequence[tuple[str, int, str]], whole: int) -> str:
    most = max((many for _, many, _ in rows), default=1)
    room = _WIDTH - _LABEL - 110
    drawn = []
    for place, (name, many, color) in enumerate(rows):
        top, long = place * _ROW, max(2, room * many // most)
        drawn.append(
            f'<text x="{_LABEL - 12}" y="{top + 20}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LABEL}" y="{top + 6}" width="{long}" height="{_ROW - 10}" rx="3" fill="var({color})"/>'
            f'<text x="{_LABEL + long + 8}" y="{top + 20}">{many} '
            f'<tspan class="dim">{share(many, whole)}</tspan></text>'
        )
    return _svg(len(rows) * _ROW + 4, drawn, "Cases by how they ended or where they stand")


def _histogram(seconds: Sequence[float]) -> str:
    """How many cases took how long; `seconds` are sorted."""
    if not seconds:
        return ""
    high, wide = 150, _WIDTH / _BINS
    longest = seconds[-1] or 1.0
    bins = [0] * _BINS
    for each in seconds:
        bins[min(_BINS - 1, int(_BINS * each / longest))] += 1
    most = max(bins)
    drawn = [f'<line x1="0" x2="{_WIDTH}" y1="{high}" y2="{high}"/>']
    for place, many in enumerate(bins):
        tall = high * many / most * 0.86
        if many:
            drawn.append(
                f'<rect x="{place * wide + 2:.1f}" y="{high - tall:.1f}" width="{wide - 4:.1f}" height="{tall:.1f}" '
                f'rx="2" fill="var(--one)"/><text class="dim" x="{(place + 0.5) * wide:.1f}" '
                f'y="{high - tall - 5:.1f}" text-anchor="middle">{many}</text>'
            )
    for part in range(5):
        anchor = ("start", "middle", "middle", "middle", "end")[part]
        drawn.append(
            f'<text class="dim" x="{_WIDTH * part / 4:.0f}" y="{high + 20}" text-anchor="{anchor}">'
            f"{span(longest * part / 4)}</text>"
        )
    return _svg(high + 30, drawn, "Cases by the time from request to closed")


def _costs(found: Figures) -> Iterator[str]:
    yield "<h2>What a case costs</h2>"
    head = ["Component", "-A closed case, in the mean", f"-All {found.closed} closed", "-Others so far"]
    yield _table(head, cost_rows(found), sums="together")


def _checks(played: Played) -> Iterator[str]:
    checked, wrong = played.checked, played.wrong()
    yield "<h2>Checked</h2>"
    yield (
        f"<p>{checked.runs:,} effects in the ledger against {checked.provider_calls:,} calls in the provider's own "
        f"log; {played.chain:,} links of the audit chain.</p>"
    )
    if not wrong:
        yield '<p class="good">Nothing lost, nothing twice, nothing without its approval.</p>'
    yield from (f'<p class="bad">{escape(each)}</p>' for each in wrong)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, sums: str = "") -> str:
    """A heading that begins with `-` is of numbers; rows whose first cell is `sums` are."""
    kinds = [' class="n"' if name.startswith("-") else "" for name in head]
    top = "".join(f"<th{kind}>{escape(name.removeprefix('-'))}</th>" for kind, name in zip(kinds, head, strict=True))
    inside = ""
    for row in rows:
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        inside += f"<tr{' class=sum' if row[0] == sums else ''}>{cells}</tr>"
    return f"<table><thead><tr>{top}</tr></thead><tbody>{inside}</tbody></table>"


def _svg(height: float, drawn: Iterable[str], label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{"".join(drawn)}</svg>'
