"""The tools of kinds as MCP tools: a call is a proposal of the caller's in one of their cases, never the effect."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from agents.wire import encode
from core.actions import Effect, Egress, ToolSpec
from core.people import Person
from engine.handed import UNSETTLED, Handed
from serving.house import House
from serving.mcp.offer import Asked, CaseId, Key, Offer, Offers, Told, Wait, until

_READS = "Judged by policy, and logged."
_PROPOSES = "A proposal in the case, judged by policy; `status` says what came of it."


def offers(house: House) -> Offers:
    """By name. A tool of several kinds is offered once: the case says which kind it is."""
    specs = house.tools.specs()
    found: Offers = {}
    for kind in house.kinds.values():
        for name in sorted(house.tools_of[kind.name]):
            found.setdefault(encode(name), _offer(specs[name], _needs(house, name)))
    return found


def _needs(house: House, tool: str) -> Any:
    needed = {kind.opened_with for kind in house.kinds.values() if tool in house.tools_of[kind.name]}
    return needed.pop() if len(needed) == 1 else None


def _offer(spec: ToolSpec[Any], needs: Any) -> Offer[Any]:
    reads = spec.effect is Effect.READ

    async def read(house: House, person: Person, asked: Any, _told: Told) -> BaseModel:
        return await house.by_hand.propose(person, asked.case_id, spec.name, asked.args.model_dump(mode="json"))

    async def propose(house: House, person: Person, asked: Any, told: Told) -> BaseModel:
        args = asked.args.model_dump(mode="json")
        handed = await house.by_hand.propose(person, asked.case_id, spec.name, args, asked.key)

        async def look() -> Handed:
            return await house.by_hand.standing(person, asked.case_id, handed.action)

        what = f"{spec.name} is {handed.status}"
        return await until(house, look, lambda now: now.status not in UNSETTLED, asked.wait_s, told, what)

    return Offer(
        encode(spec.name),
        spec.name,
        f"{spec.summary or spec.name} {_READS if reads else _PROPOSES}",
        _args(spec, reads),
        Handed,
        spec.effect,
        needs,
        read if reads else propose,
        open_world=bool(spec.egress - {Egress.NOTHING}),
    )


def _args(spec: ToolSpec[Any], reads: bool) -> type[BaseModel]:
    fields: dict[str, Any] = {"case_id": (CaseId, ...), "args": (spec.args, ...)}
    if not reads:
        key = Annotated[Key, Field(description="Names the proposal, where the same call is meant twice.")]
        fields |= {"key": (key, ""), "wait_s": (Wait, 0)}
    return create_model(f"In_{encode(spec.name)}", __base__=Asked, **fields)
