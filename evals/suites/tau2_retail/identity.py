"""Who the user of a task is, as the channel would have authenticated them.

33 of the benchmark's tasks never look the user up before their first change, so the case has to bring
the user along. It is told by the scenario, not by the gold: if it were the owner of whatever the gold
changes, the rule that a user's orders are their own could never be broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from evals.suites.tau2_retail.files import Task
from tools.tau2_retail.lookups import fold
from tools.tau2_retail.world import World


class ToldBy(StrEnum):
    SCENARIO = "the scenario"
    LOOKUP = "the first look-up that finds somebody"
    RECORD = "the owner of the first record that is named"
    NOBODY = "nobody"


def user_of(task: Task, world: World) -> tuple[str | None, ToldBy]:
    """The user's id. The two weaker ways are for files whose scenario names nobody."""
    ways: tuple[tuple[ToldBy, Callable[[Task, World], str | None]], ...] = (
        (ToldBy.SCENARIO, _by_scenario),
        (ToldBy.LOOKUP, _by_lookup),
        (ToldBy.RECORD, _by_record),
    )
    for told_by, tell in ways:
        if user_id := tell(task, world):
            return user_id, told_by
    return None, ToldBy.NOBODY


def _by_scenario(task: Task, world: World) -> str | None:
    """By id, by email address, or by name and zip code; None where that fits nobody, or several."""
    told = fold(task.who)
    return _only(
        user_id
        for user_id, user in world["users"].items()
        if fold(user_id) in told or fold(user["email"]) in told or all(fold(part) in told for part in _name_zip(user))
    )


def _by_lookup(task: Task, world: World) -> str | None:
    for action in task.actions:
        match action.name, action.arguments:
            case "find_user_id_by_email", {"email": str(email)}:
                found = _only(u for u, user in world["users"].items() if fold(user["email"]) == fold(email))
            case "find_user_id_by_name_zip", {"first_name": str(), "last_name": str(), "zip": str()}:
                asked = [fold(action.arguments[name]) for name in ("first_name", "last_name", "zip")]
                found = _only(u for u, user in world["users"].items() if [*map(fold, _name_zip(user))] == asked)
            case _:
                continue
        if found:
            return found
    return None


def _by_record(task: Task, world: World) -> str | None:
    for action in task.actions:
        order = world["orders"].get(str(action.arguments.get("order_id")))
        user_id = order["user_id"] if order else action.arguments.get("user_id")
        if user_id in world["users"]:
            return str(user_id)
    return None


def _name_zip(user: Mapping[str, Any]) -> tuple[str, str, str]:
    return user["name"]["first_name"], user["name"]["last_name"], user["address"]["zip"]


def _only(found: Iterable[str]) -> str | None:
    candidates = list(found)
    return candidates[0] if len(candidates) == 1 else None
