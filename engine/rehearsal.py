"""Tools as a copy of a case has them: reads run, effects are only rehearsed.

It stands between the executor and every tool, and knows a copy by the row of its case. So no way through the executor,
a look-up of a lost call included, leads from a copy to a provider. What a call gives is what the original got for the
same call; or else a result made up from the tool's schema.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from core.actions import JSON, Effect, ToolSpec
from core.errors import ProviderRefused
from core.ids import digest
from core.money import Money
from core.ports import CallContext, Tools
from core.states import RunStatus
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM, RunRow

SIMULATED = "simulated"
"""Stands for every text that a provider would have made up."""

_MOST_KNOWN = 10_000
_DEEPEST = 50
"""Copies of copies, and models within models, that are looked through."""


class Rehearsal:
    """Implements `core.ports.Tools` for the executor."""

    def __init__(self, database: Database, tools: Tools) -> None:
        self._database = database
        self._tools = tools
        self._known: dict[str, bool] = {}
        """Whether a case is a copy: that never changes."""

    def specs(self) -> Mapping[str, ToolSpec[Any]]:
        return self._tools.specs()

    async def call(self, tool: str, args: Mapping[str, JSON], context: CallContext) -> dict[str, JSON]:
        spec = self.specs().get(tool)
        if spec is None or spec.effect is Effect.READ or not await self._is_copy(context.case_id):
            return await self._tools.call(tool, args, context)
        return await self._rehearse(spec, args, context.case_id)

    async def lookup(self, tool: str, key: str) -> dict[str, JSON] | None:
        case_id = key.partition(":")[0]
        if not await self._is_copy(case_id):
            return await self._tools.lookup(tool, key)
        return None  # no provider has heard of it

    async def _is_copy(self, case_id: str) -> bool:
        if case_id not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[case_id] = await self._database.read(SYSTEM, lambda ledger: ledger.cases.get(case_id).simulated)
        return self._known[case_id]

    async def _rehearse(self, spec: ToolSpec[Any], args: Mapping[str, JSON], case_id: str) -> dict[str, JSON]:
        """Raises `ProviderRefused` where the original was refused."""
        run = await self._database.read(SYSTEM, lambda ledger: _earlier(ledger, case_id, spec.name, digest(dict(args))))
        if run is not None and run.status == RunStatus.FAILED:
            raise ProviderRefused(run.reason, reason=str(run.result.get("code", "")))
        return dict(run.result) if run is not None else made_up(spec, args)


def _earlier(ledger: Ledger, case_id: str, tool: str, args_digest: str) -> RunRow | None:
    """The same call in what the case is a copy of, if it came to an end there."""
    for _ in range(_DEEPEST):
        origin = ledger.cases.get(case_id).forked_from
        if origin is None:
            return None
        for run in reversed(ledger.effects.runs(origin)):
            told = run.status == RunStatus.FAILED or (run.status == RunStatus.DONE and run.result)
            if told and run.tool == tool and run.args_digest == args_digest:
                return run
        case_id = origin
    return None


def made_up(spec: ToolSpec[Any], args: Mapping[str, JSON]) -> dict[str, JSON]:
    """A result as the tool's schema wants it: from the arguments where names agree, with the word `simulated`."""
    fields = _of_model(spec.result, dict(args), 0)
    try:
        return spec.result.model_validate(fields).model_dump(mode="json")
    except ValidationError:
        return {SIMULATED: True}


def _of_model(model: type[BaseModel], given: Mapping[str, Any], depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, each in model.model_fields.items():
        if name in given:
            made[name] = given[name]
        elif each.is_required():
            made[name] = _value(each.annotation, depth)
    return made if made or model.model_config.get("extra") != "allow" else {SIMULATED: True}


def _value(kind: Any, depth: int) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return inner[0]
    if origin in (Union, types.UnionType):
        return None if type(None) in inner else _value(inner[0], depth)
    if hasattr(kind, "__metadata__"):
        return _value(inner[0], depth)
    outer = origin or kind
    if not isinstance(outer, type) or depth > _DEEPEST:
        return SIMULATED
    if issubclass(outer, Money):
        return Money(amount_minor=0, currency="USD")
    if issubclass(outer, BaseModel):
        return _of_model(outer, {}, depth + 1)
    if issubclass(outer, Enum):
        return next(iter(outer))
    for sort, value in _PLAIN.items():
        if issubclass(outer, sort):
            return value
    return SIMULATED


_PLAIN: dict[type, Any] = {
    bool: False,
    int: 0,
    float: 0.0,
    str: SIMULATED,
    datetime: "2000-01-01T00:00:00Z",
    date: "2000-01-01",
    list: [],
    tuple: [],
    set: [],
    frozenset: [],
    dict: {},
    Mapping: {},
}
