"""What a storm works on: requests, the people who decide, and what must have happened at the provider in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from core.clock import SystemClock
from graphs.catalog import kinds
from graphs.kind import Outside, TaskKind
from tests.support.till import pay, write
from tests.support.till_kind import KIND
from tools.contract import Toolbelt
from tools.fulfillment.http import HttpShop
from tools.returns.simulated.world import generate
from tools.vision.ports import NoScorer

Due = dict[str, tuple[str, Counter[str]]]
"""The oracle: for each request's key, how its case ends, and what the provider's log has of it."""
_REFUSED = "130.00"


class Business(Protocol):
    kind: str
    commands: bool
    """Whether its processes are the real commands."""
    people: Mapping[str, set[str]]
    submitter: str
    decided: bool
    """Whether people decide what it asks; if not, only what the house itself asks."""

    def requests(self, count: int) -> Sequence[tuple[str, dict[str, Any]]]: ...

    def prepare(self, folder: Path, count: int) -> list[str]:
        """Writes what the provider begins with; returns the options that `countersign shop` takes."""
        ...

    def choice(self, item: Mapping[str, Any]) -> str:
        """What people decide of an approval."""
        ...

    def due(self, count: int) -> Due | None:
        """What must come of the requests; None where only a quiet run of the same can tell."""
        ...

    def tools(self, shop: HttpShop) -> Toolbelt: ...


def _belt(found: Sequence[TaskKind], shop: HttpShop) -> Toolbelt:
    outside = Outside(shop, NoScorer(), SystemClock(), Path())
    return Toolbelt.joined([Toolbelt(kind.tools(outside)) for kind in found])


@dataclass
class Till:
    """Two segments, an approval and two effects for most; some are refused, some ask three people, and the second
    effect of some is one that its provider can't be asked about, which people have to find out after a crash; what they
    find not to have happened is proposed again."""

    kind = "till"
    commands = False
    submitter = "ops"
    decided = True
    people: Mapping[str, set[str]] = field(
        default_factory=lambda: {
            "ops": {"operator"},
            "ann": {"clerk"},
            "cat": {"boss"},
            "dan": {"boss"},
            "hal": {"operator"},
        }
    )

    def requests(self, count: int) -> Sequence[tuple[str, dict[str, Any]]]:
        return [(f"r{n}", {"customer": f"cus_{n}", "script": self._script(n), "insists": True}) for n in range(count)]

    def _script(self, n: int) -> list[list[dict[str, Any]]]:
        return [[pay(_amount(n), f"acc_{n}")], [write(_second(n))]]

    def prepare(self, folder: Path, count: int) -> list[str]:
        return []

    def choice(self, item: Mapping[str, Any]) -> str:
        return "reject" if item["tool"] == "gift.pay" and _REFUSED in item["described"] else "approve"

    def due(self, count: int) -> Due:
        return {
            f"r{n}": ("closed", Counter([_second(n)] if _amount(n) == _REFUSED else ["gift.pay", _second(n)]))
            for n in range(count)
        }

    def tools(self, shop: HttpShop) -> Toolbelt:
        return _belt([KIND], shop)


class Unanswered(Till):
    """Nobody decides: each question's time runs out, which is taken for a no."""

    decided = False

    def due(self, count: int) -> Due:
        return {f"r{n}": ("closed", Counter([_second(n)])) for n in range(count)}


def _amount(n: int) -> str:
    return "300.00" if n % 20 == 7 else _REFUSED if n % 10 == 4 else "100.00"


def _second(n: int) -> str:
    return "parcel.send" if n % 20 == 11 else "letter.send" if n % 4 == 1 else "note.write"


@dataclass
class Returns:
    """The returns of a generated world, by the real commands. Reviewers approve what waits."""

    seed: int
    kind = "returns"
    commands = True
    decided = True
    submitter = "storm"
    people: Mapping[str, set[str]] = field(
        default_factory=lambda: {
            "storm": {"service"},
            "rita": {"returns_reviewer"},
            "sam": {"returns_reviewer"},
            "fin1": {"finance_controller"},
            "fin2": {"finance_controller"},
            "ops": {"operator"},
        }
    )

    def _world(self, count: int) -> Any:
        return generate(self.seed, max(1000, 5 * count), datetime.now(UTC))

    def requests(self, count: int) -> Sequence[tuple[str, dict[str, Any]]]:
        return [(each.key, each.model_dump(mode="json")) for each in self._world(count).submissions(count)]

    def prepare(self, folder: Path, count: int) -> list[str]:
        world = folder / "world.json"
        self._world(count).save(world)
        return ["--world", str(world), "--dialect", "returns", "--faults"]

    def choice(self, item: Mapping[str, Any]) -> str:
        return "approve"

    def due(self, count: int) -> Due | None:
        return None

    def tools(self, shop: HttpShop) -> Toolbelt:
        return _belt(list(kinds().values()), shop)
