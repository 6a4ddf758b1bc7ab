"""A generated shop: its records as of a moment, and the submissions that its customers make next.

Everything follows from the seed: the same seed, number of orders and moment give the same bytes. The
hidden truth of a submission is computed beside it and is in no file and no record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidInput, SetupError
from tools.returns.assortment import stock_shelves
from tools.returns.mailbox import Mailbox
from tools.returns.models import (
    Customer,
    Exchange,
    Label,
    Message,
    Order,
    Record,
    Refund,
    Return,
    Variant,
)
from tools.returns.submissions import Submission, Truth
from tools.returns.trade import trade

FORMAT = "countersign-world"
VERSION = 1
MOST_ORDERS = 1_000_000

COLLECTIONS: Mapping[str, type[Record]] = {
    "customers": Customer,
    "variants": Variant,
    "orders": Order,
    "returns": Return,
    "refunds": Refund,
    "labels": Label,
    "exchanges": Exchange,
    "store_credits": Refund,
    "messages": Message,
}


@dataclass
class World:
    seed: int
    now: datetime
    records: dict[str, list[dict[str, Any]]]
    """By collection, each record as its pydantic model in JSON mode."""
    truth: dict[str, Truth] = field(default_factory=dict, repr=False)
    """By `Submission.key`, filled by `submissions`. For scorers only; never shown to an agent, never saved."""

    def submissions(self, count: int) -> list[Submission]:
        """The first `count`; a longer list begins with the shorter. Raises `InvalidInput` if orders run out."""
        found = list(Mailbox(self.records, self.seed, self.now).draw(count))
        self.truth = {submission.key: truth for submission, truth in found}
        return [submission for submission, _ in found]

    def save(self, path: Path, *, force: bool = False) -> None:
        """JSON lines: a head, then each record. Raises `SetupError`; a file is never left half written."""
        if path.exists() and not force:
            raise SetupError(f"{path} exists already.", hint="Choose another file, or overwrite it with --force.")
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("w", encoding="utf-8") as file:
                    file.writelines(f"{line}\n" for line in self._lines())
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise SetupError(
                f"{path} can't be written: {error.strerror}.", hint="Choose a folder that you may write to."
            ) from error

    def _lines(self) -> Iterator[str]:
        counts = {collection: len(found) for collection, found in self.records.items()}
        head = _Head(format=FORMAT, version=VERSION, seed=self.seed, now=self.now, counts=counts)
        yield head.model_dump_json()
        for collection, found in self.records.items():
            for body in found:
                yield json.dumps({"in": collection, "record": body}, separators=(",", ":"), ensure_ascii=False)


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: str
    version: int
    seed: int
    now: datetime
    counts: dict[str, int] = Field(default_factory=dict)


def generate(seed: int, orders: int, now: datetime, step: Callable[[], object] = lambda: None) -> World:
    """A shop with so many orders; `step` is called after each. `now` is in UTC, microseconds are dropped."""
    if not 1 <= orders <= MOST_ORDERS:
        raise InvalidInput(f"A world has 1 to {MOST_ORDERS:,} orders, not {orders:,}.", field="orders")
    if now.tzinfo is None:
        raise InvalidInput("The moment needs a time zone.", field="now", hint="Write it like 2026-11-02T09:00Z.")
    now = now.astimezone(UTC).replace(microsecond=0)
    random = Random(f"countersign:world:{seed}")
    shelves = stock_shelves(random)
    past = trade(random, orders, now, shelves, step)
    found: dict[str, list[Any]] = {
        "customers": past.customers,
        "variants": shelves,
        "orders": past.orders,
        "returns": past.returns,
        "refunds": past.refunds,
        "labels": past.labels,
        "exchanges": past.exchanges,
        "store_credits": [],
        "messages": [],
    }
    return World(seed, now, {name: [body.model_dump(mode="json") for body in bodies] for name, bodies in found.items()})


def load_world(path: Path) -> World:
    """Raises `SetupError` where the file can't be read, `InvalidInput` naming the line where it is not a world."""
    try:
        with path.open(encoding="utf-8") as file:
            head = _read_head(path, file.readline())
            records: dict[str, list[dict[str, Any]]] = {collection: [] for collection in COLLECTIONS}
            for number, line in enumerate(file, 2):
                collection, body = _read_record(path, number, line)
                records[collection].append(body)
    except OSError as error:
        raise SetupError(
            f"The world {path} can't be read: {error.strerror}.", hint="Make one: countersign world generate."
        ) from error
    except UnicodeDecodeError as error:
        raise _broken(path, "it is no text") from error
    for collection, bodies in records.items():
        if len(bodies) != head.counts.get(collection, 0):
            raise _broken(path, f"it has {len(bodies)} {collection}, its head says {head.counts.get(collection, 0)}")
    return World(head.seed, head.now, records)


def _read_head(path: Path, line: str) -> _Head:
    try:
        head = json.loads(line)
    except ValueError as error:
        raise _broken(path, "line 1 is no JSON") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise _broken(path, f"line 1 does not say {FORMAT}")
    if head.get("version") != VERSION:
        raise InvalidInput(
            f"{path} is a world of version {head.get('version')}; this is made for version {VERSION}.",
            hint="Generate it again: countersign world generate.",
        )
    try:
        return _Head.model_validate(head)
    except ValidationError as error:
        raise _broken(path, f"line 1: {_first(error)}") from error


def _read_record(path: Path, number: int, line: str) -> tuple[str, dict[str, Any]]:
    try:
        entry = json.loads(line)
        collection, body = entry["in"], entry["record"]
        model = COLLECTIONS[collection]
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(path, f"line {number} is no record of a world") from error
    try:
        model.model_validate(body)
    except ValidationError as error:
        raise _broken(path, f"line {number}, {collection}: {_first(error)}") from error
    return collection, body


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


def _broken(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} is no whole world: {why}.", hint="Generate it again: countersign world generate.")
