"""The concurrency table: `python -m tests.concurrency --trials 1000 --database sqlite`.

Exit 0 if every trial of every row was right.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.concurrency.bench import bench
from tests.concurrency.killed import KILLED, killed
from tests.concurrency.table import ROWS, Result, play, printed
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database

_FEW = 25


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.concurrency", description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="Of the rows that say one payment.")
    parser.add_argument("--at-once", type=int, default=8, help="Threads that are at it at the same time.")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    given = parser.parse_args()
    with _database(given.database) as server:
        results = asyncio.run(_played(given, server))
    for _ in range(given.kills):
        results[-1].wrong += [wrong] if (wrong := killed()) else []
        results[-1].trials += 1
    print(f"{given.database}\n{printed(results)}")
    return 1 if any(each.wrong for each in results) else 0


async def _played(given: argparse.Namespace, server: str) -> list[Result]:
    results = []
    with quick_folder() as folder:
        async with bench(folder, server) as found:
            for row in ROWS:
                trials = given.trials if row.of_all else min(given.trials, _FEW)
                results.append(await play(found, row, trials, given.at_once))
                told = f"{trials} in {results[-1].seconds:.0f} s, wrong: {len(results[-1].wrong)}"
                print(f"{row.name}: {told}", file=sys.stderr)
    return [*results, Result(KILLED, 0)]


@contextmanager
def _database(name: str) -> Iterator[str]:
    if name == "sqlite":
        yield ""
        return
    with fresh_database() as url:
        yield url


if __name__ == "__main__":
    sys.exit(main())
