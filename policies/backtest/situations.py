"""Recorded decisions as situations that a book's coverage can be told by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from policies.backtest.facts import Rebuilt
from policies.backtest.records import Recorded
from policies.book import Book
from policies.coverage import Situation


def situations(records: Iterable[Recorded], book: Book) -> Iterator[Situation]:
    """Without the paths that nobody asked for then. What can't be read any more is left out."""
    rebuilt = {tool: Rebuilt(program, book.fresh_s) for tool, program in book.programs.items()}
    for record in records:
        spec = book.vocabulary.specs.get(record.tool)
        if record.tool not in rebuilt or spec is None or record.schema_version != spec.version:
            continue
        try:
            typed = spec.args.model_validate(record.args)
        except ValidationError:
            continue
        env, silent = rebuilt[record.tool].env(typed, record.body.get("facts") or {}, record.at)
        if record.body["book"]["digest"] != book.digest:
            for path in silent:
                del env[path]
        yield record.tool, env
