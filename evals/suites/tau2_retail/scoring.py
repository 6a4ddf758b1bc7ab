"""What a task left in the world against what it should have left, record by record."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from evals.suites.tau2_retail.files import GoldAction
from tools.tau2_retail.world import World

_ITEMS = "modify_pending_order_items"


class Difference(BaseModel):
    """One value that differs."""

    record: str
    path: str
    here: Any
    gold: Any

    def __str__(self) -> str:
        return f"{self.record} {self.path}: {_short(self.here)} here, {_short(self.gold)} in the gold"


def differences(here: World, gold: World) -> list[Difference]:
    found = []
    for collection in sorted({*here, *gold}):
        ours, theirs = here.get(collection, {}), gold.get(collection, {})
        for record_id in sorted({*ours, *theirs}):
            record = f"{collection} {record_id}"
            if record_id not in theirs or record_id not in ours:
                here_too, there_too = ("changed" if record_id in each else "unchanged" for each in (ours, theirs))
                found.append(Difference(record=record, path="as a whole", here=here_too, gold=there_too))
                continue
            for path, mine, wanted in _walk("", ours[record_id], theirs[record_id]):
                found.append(Difference(record=record, path=path, here=mine, gold=wanted))
    return found


def _walk(path: str, here: Any, gold: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(here, dict) and isinstance(gold, dict) and here.keys() == gold.keys():
        for name in sorted(here):
            yield from _walk(f"{path}.{name}".lstrip("."), here[name], gold[name])
    elif isinstance(here, list) and isinstance(gold, list) and len(here) == len(gold):
        for number, (mine, wanted) in enumerate(zip(here, gold, strict=True)):
            yield from _walk(f"{path}[{number}]", mine, wanted)
    elif here != gold:
        yield path or "as a whole", here, gold


def benchmarks_defect(here: World, gold: World, actions: Sequence[GoldAction], before: World) -> str:
    """Why the gold differs, if it is for the benchmark's own defect and nothing else; empty otherwise.

    Its `modify_pending_order_items` writes the price and options of the last new item into every item
    that it changes. The rule is strict: the records here, with just that done to them, are the gold.
    """
    imitated = copy.deepcopy(here)
    told = []
    for action in actions:
        order_id, new_ids = action.arguments.get("order_id"), action.arguments.get("new_item_ids")
        if action.name != _ITEMS or not isinstance(new_ids, list) or len(new_ids) < 2:
            continue
        order, old = imitated.get("orders", {}).get(str(order_id)), before["orders"].get(str(order_id))
        last = _variant(before, new_ids[-1])
        if order is None or old is None or last is None:
            continue
        for item, was in zip(order["items"], old["items"], strict=False):
            if item["item_id"] != was["item_id"]:
                item |= {"price": last["price"], "options": last["options"]}
        told.append(f"all {len(new_ids)} items of {order_id} the price and options of the last, {new_ids[-1]}")
    if here == gold or imitated != gold:
        return ""
    return f"the benchmark's own defect: its {_ITEMS} gives {'; '.join(told)}. With just that done here too, both agree"


def _variant(world: World, item_id: str) -> Mapping[str, Any] | None:
    for product in world["products"].values():
        if item_id in product["variants"]:
            found: Mapping[str, Any] = product["variants"][item_id]
            return found
    return None


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
