"""Faults that a provider really has, switched on for tests, storms and demonstrations.

A plan is scripted (by operation, in order) or random by seed. Random ones depend on the seed, the key
and the attempt only, so a storm repeats exactly however its calls interleave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from random import Random
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field


class Fault(StrEnum):
    TIMEOUT_BEFORE = "timeout_before"  # the request is lost: nothing happens, and the caller can't tell
    TIMEOUT_AFTER = "timeout_after"  # the answer is lost: it happened, and the caller can't tell
    ERROR = "error"  # a 500: nothing happened, and the caller knows
    SLOW = "slow"
    LATE = "late"  # it happened at once, and the answer comes late
    DUPLICATE_CALLBACK = "duplicate_callback"


class PlannedFault(BaseModel):
    """Strikes the next `times` calls of one operation or query; `find` is the look-up by key, `*` any call."""

    model_config = ConfigDict(extra="forbid")

    operation: str
    fault: Fault
    times: int = Field(default=1, ge=1)
    seconds: float = Field(default=0.05, ge=0, le=60)
    """How slow a slow one is, and how late a late answer."""


class FaultPlan(BaseModel):
    model_config = ConfigDict(extra="forbid")

    script: list[PlannedFault] = []
    seed: int = 0
    rates: dict[Fault, Annotated[float, Field(ge=0, le=1)]] = {}
    """Share of calls struck, 0 to 1; together at most 1."""
    seconds: float = Field(default=0.05, ge=0, le=60)


class Faults:
    def __init__(self, plan: FaultPlan) -> None:
        self._script = [planned.model_copy() for planned in plan.script]
        self._plan = plan
        self._attempts: Counter[str] = Counter()

    @classmethod
    def script(cls, planned: Iterable[PlannedFault | tuple[str, Fault]]) -> Self:
        """`Faults.script([("orders.ship", Fault.TIMEOUT_AFTER)])`: each strikes once, in this order."""
        steps = [p if isinstance(p, PlannedFault) else PlannedFault(operation=p[0], fault=p[1]) for p in planned]
        return cls(FaultPlan(script=steps))

    @classmethod
    def random(cls, seed: int, rates: Mapping[Fault, float]) -> Self:
        """`Faults.random(7, {Fault.TIMEOUT_AFTER: 0.05, Fault.ERROR: 0.1})`."""
        return cls(FaultPlan(seed=seed, rates=dict(rates)))

    def on_call(self, operation: str, key: str) -> PlannedFault | None:
        return self._next(operation, key, callback=False)

    def copies(self, operation: str, key: str) -> int:
        """How often the callback of this write is delivered."""
        return 2 if self._next(operation, key, callback=True) else 1

    def _next(self, operation: str, key: str, *, callback: bool) -> PlannedFault | None:
        for planned in self._script:
            fits = planned.operation in (operation, "*")
            if fits and planned.times and (planned.fault is Fault.DUPLICATE_CALLBACK) == callback:
                planned.times -= 1
                return planned
        rates = {f: r for f, r in self._plan.rates.items() if (f is Fault.DUPLICATE_CALLBACK) == callback}
        if not rates:
            return None
        name = f"{self._plan.seed}:{operation}:{key}:{callback}"
        self._attempts[name] += 1
        drawn = Random(f"{name}:{self._attempts[name]}").random()
        for fault, rate in sorted(rates.items()):
            drawn -= rate
            if drawn < 0:
                return PlannedFault(operation=operation, fault=fault, seconds=self._plan.seconds)
        return None
