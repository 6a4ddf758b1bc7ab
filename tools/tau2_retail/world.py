"""The benchmark's world file, and how two states of it are compared in the form of its gold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InvalidInput, SetupError
from tools.tau2_retail.shop import DIALECT

World = dict[str, dict[str, dict[str, Any]]]
"""Collection to id to record, as in `db.json`."""

_UNSET = dict.fromkeys(
    (
        "cancel_reason",
        "exchange_items",
        "exchange_new_items",
        "exchange_payment_method_id",
        "exchange_price_difference",
        "return_items",
        "return_payment_method_id",
    )
)
"""Fields of an order that the gold always has."""


def load_db(path: Path) -> World:
    """Raises `SetupError` where it can't be read, `InvalidInput` where it is no retail world."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise SetupError(f"The world {path} can't be read: {error.strerror}.", hint="Correct the path.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is no JSON: {error}.", hint="It should be the db.json of tau2 retail.") from error
    world: World = {}
    for collection, id_field in DIALECT.collections.items():
        found = content.get(collection) if isinstance(content, dict) else None
        if not isinstance(found, dict):
            raise InvalidInput(f"{path} has no {collection} by their ids.", hint="It should be a tau2 retail db.json.")
        for record_id, record in found.items():
            if not isinstance(record, dict) or record.get(id_field) != record_id:
                raise InvalidInput(f"{path}: {collection} '{record_id[:60]}' does not carry its own {id_field}.")
        world[collection] = found
    return world


def records_of(world: World) -> dict[str, list[dict[str, Any]]]:
    """In the form that `EmbeddedShop.load` takes."""
    return {collection: list(found.values()) for collection, found in world.items()}


def delta(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> World:
    """The records of `after` that differ, in the gold's form; equal worlds give `{}`."""
    changed: World = {}
    for collection, records in after.items():
        old = before.get(collection, {})
        differing = {
            record_id: _whole(collection, record)
            for record_id, record in sorted(records.items())
            if record_id not in old or _whole(collection, old[record_id]) != _whole(collection, record)
        }
        if differing:
            changed[collection] = differing
    return changed


def _whole(collection: str, record: Mapping[str, Any]) -> dict[str, Any]:
    return (_UNSET if collection == "orders" else {}) | dict(record)
