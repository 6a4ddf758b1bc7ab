"""A storm with its table: `python -m tests.storms --cases 200 --strikes 10 --database both`.

Exit 0 if nothing was lost, done twice or found; with --ledger-off, if duplicates were found, as they must be.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.servers import fresh_database
from tests.support.storm import Outcome, Storm, Stuck
from tests.support.storm_business import Business, Due, Returns, Till

_COLUMNS = (
    "database",
    "cases",
    "kills",
    "cut off",
    "missed",
    "lost",
    "duplicated",
    "reconciled",
    "findings",
    "minutes",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storms", description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--strikes", type=int, default=10, metavar="N", help="How often a process is killed.")
    parser.add_argument("--workers", type=int, default=2, help="On PostgreSQL; on SQLite it is one process.")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--business", choices=("till", "returns"), default="till", help="returns: the real commands.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--late", type=float, default=0.15, metavar="S", help="How late the provider's answers come.")
    parser.add_argument("--minutes", type=float, default=10, help="Each storm has to be over by then.")
    parser.add_argument("--ledger-off", action="store_true", help="Without the effects ledger: must be found out.")
    given = parser.parse_args()

    business: Business = Till() if given.business == "till" else Returns(given.seed)
    due: Due | None = None
    if business.due(given.cases) is None and not given.ledger_off:
        print("first the same without a storm, which tells what has to come of it", file=sys.stderr)
        due = Storm(given.cases, 0, business=business, patience_s=given.minutes * 60, tell=_tell).run().due
    rows, well = [], True
    for database in ("sqlite", "postgresql") if given.database == "both" else (given.database,):
        with _database(database) as server:
            storm = Storm(
                given.cases,
                given.strikes,
                seed=given.seed,
                server=server,
                workers=given.workers,
                business=business,
                due=due,
                ledger_on=not given.ledger_off,
                late_s=given.late,
                patience_s=given.minutes * 60,
                tell=_tell,
            )
            try:
                outcome = storm.run()
            except Stuck as stuck:
                print(f"\n{database}: {stuck}", file=sys.stderr)
                return 1
        _complain(outcome)
        rows.append(_row(database, outcome))
        well = well and (outcome.verdict.duplicated > 0 if given.ledger_off else _shown(outcome, given.strikes))
    _table(rows)
    lost, twice = (sum(int(row[_COLUMNS.index(name)]) for row in rows) for name in ("lost", "duplicated"))
    if given.ledger_off:
        print(
            f"without the effects ledger {twice} duplicated: {'found out, as it must be' if well else 'NOT FOUND OUT'}"
        )
    else:
        print(f"{lost} lost, {twice} duplicated, checker {'clean' if well else 'NOT CLEAN'}")
    return 0 if well else 1


def _shown(outcome: Outcome, strikes: int) -> bool:
    """All is well, and the kills fell into work: otherwise it would show nothing."""
    return outcome.well and len(outcome.cut_off) == strikes and (not strikes or sum(outcome.cut_off) >= strikes / 2)


@contextmanager
def _database(name: str) -> Iterator[str]:
    if name == "sqlite":
        yield ""
        return
    with fresh_database() as server:
        yield server


def _complain(outcome: Outcome) -> None:
    found = [*outcome.verdict.findings, *outcome.verdict.broken, *outcome.verdict.unlike, *outcome.refused]
    for one in [*found[:10], *outcome.failed[:3]]:
        print(one, file=sys.stderr)
    print(f"\neffects by worker: {len(outcome.by_worker)} workers; at the end: {outcome.statuses}", file=sys.stderr)


def _row(database: str, outcome: Outcome) -> list[str]:
    verdict = outcome.verdict
    found = len(verdict.findings) + len(verdict.broken) + len(verdict.unlike) + len(outcome.refused)
    missed = sum(not cut for cut in outcome.cut_off)
    figures = [outcome.cases, len(outcome.cut_off), sum(outcome.cut_off), missed, verdict.lost, verdict.duplicated]
    return [database, *map(str, figures), str(outcome.reconciled), str(found), f"{outcome.seconds / 60:.1f}"]


def _table(rows: list[list[str]]) -> None:
    widths = [max(len(row[n]) for row in [list(_COLUMNS), *rows]) for n in range(len(_COLUMNS))]
    for row in [list(_COLUMNS), ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("| " + " | ".join(cells) + " |")


def _tell(line: str) -> None:
    print(line, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
