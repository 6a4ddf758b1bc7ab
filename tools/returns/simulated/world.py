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

from pydantic import AwareDatetime, BaseModel, ValidationError

from core.errors import InvalidInput, SetupError
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
from tools.returns.simulated.assortment import stock_shelves
from tools.returns.simulated.mailbox import Mailbox
from tools.returns.simulated.submissions import Submission, Truth
from tools.returns.simulated.trade import trade

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
        """One JSON object, a record to a line. Raises `SetupError`; a file is never left half written."""
        if path.exists() and not force:
            raise SetupError(f"{path} exists already.", hint="Choose another file, or overwrite it with --force.")
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("w", encoding="utf-8") as file:
                    file.writelines(self._text())
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise SetupError(
                f"{path} can't be written: {error.strerror}.", hint="Choose a folder that you may write to."
            ) from error

    def _text(self) -> Iterator[str]:
        head = _Head(format=FORMAT, version=VERSION, seed=self.seed, now=self.now)
        yield head.model_dump_json()[:-1]
        for collection, found in self.records.items():
            lines = (json.dumps(body, separators=(",", ":"), ensure_ascii=False) for body in found)
            yield f',\n"{collection}":[\n' + ",\n".join(lines) + "\n]"
        yield "}\n"


class _Head(BaseModel):
    format: str
    version: int
    seed: int
    now: AwareDatetime


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
        "messages": [],
    }
    return World(seed, now, {name: [body.model_dump(mode="json") for body in bodies] for name, bodies in found.items()})


def load_world(path: Path) -> World:
    """Raises `SetupError` where the file can't be read, `InvalidInput` naming the record where it is no world."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise SetupError(
            f"The world {path} can't be read: {error.strerror}.", hint="Make one: countersign world generate."
        ) from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"it is no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _broken(path, f"it does not say that its format is {FORMAT}")
    if content.get("version") != VERSION:
        raise InvalidInput(
            f"{path} is a world of version {content.get('version')}; this is made for version {VERSION}.",
            hint="Generate it again: countersign world generate.",
        )
    try:
        head = _Head.model_validate(content)
    except ValidationError as error:
        raise _broken(path, _first(error)) from error
    return World(head.seed, head.now, {name: _checked(path, content, name) for name in COLLECTIONS})


def _checked(path: Path, content: Mapping[str, Any], collection: str) -> list[dict[str, Any]]:
    bodies = content.get(collection)
    if not isinstance(bodies, list):
        raise _broken(path, f"it has no list of {collection}")
    for place, body in enumerate(bodies, 1):
        try:
            COLLECTIONS[collection].model_validate(body)
        except ValidationError as error:
            raise _broken(path, f"{collection}, record {place}: {_first(error)}") from error
    return bodies


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


def _broken(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} is no whole world: {why}.", hint="Generate it again: countersign world generate.")
