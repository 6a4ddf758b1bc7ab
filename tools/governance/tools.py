"""The governing tools. Each is a thin door to the house's office, which keeps the records."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from core.actions import JSON, Effect, ToolSpec
from core.data import DataClass
from core.ports import CallContext, Office
from tools.contract import Tool
from tools.governance.args import Ask, Asked, Check, Checked, Grant, Granted, Publish, Published, RollBack

_OURS = frozenset({DataClass.INTERNAL})

CHECK = ToolSpec(
    "policy.check",
    Effect.READ,
    Check,
    Checked,
    lambda args: f"Check {args.change.kind} {args.change.version}",
    summary="Says whether a policy can come into force, and what becomes different.",
    data=_OURS,
)
PUBLISH = ToolSpec(
    "policy.publish",
    Effect.IRREVERSIBLE,
    Publish,
    Published,
    lambda args: f"Publish policy {args.kind} {args.version}",
    summary="Brings a signed policy into force.",
    data=_OURS,
)
ROLL_BACK = ToolSpec(
    "policy.roll_back",
    Effect.IRREVERSIBLE,
    RollBack,
    Published,
    lambda args: f"Roll policy {args.kind} back to {args.version}",
    summary="Brings an earlier version into force again.",
    data=_OURS,
)
GRANT = ToolSpec(
    "people.grant",
    Effect.IRREVERSIBLE,
    Grant,
    Granted,
    lambda args: f"Make {args.person} {', '.join(args.roles) or 'nobody: no roles at all'}",
    summary="Gives a person these roles and no others.",
    data=_OURS | {DataClass.PERSONAL},
)
ASK = ToolSpec(
    "governance.ask",
    Effect.REVERSIBLE,
    Ask,
    Asked,
    lambda args: args.question,
    summary="Puts the case before people, with a question.",
    data=_OURS | {DataClass.FREE_TEXT},
    stays="A question changes nothing outside.",
)


def governing_tools(office: Office) -> list[Tool[Any]]:
    async def check(args: Check, context: CallContext) -> BaseModel:
        found = await office.examine(args.change.model_dump(mode="json"))
        return Checked(problems=found["problems"], direction=found["direction"], summary=found["summary"])

    async def publish(args: Publish | RollBack, context: CallContext) -> BaseModel:
        return Published.model_validate(await office.publish(args.model_dump(mode="json"), context))

    async def grant(args: Grant, context: CallContext) -> BaseModel:
        return Granted.model_validate(await office.grant(args.person, args.roles, context))

    async def ask(args: Ask, context: CallContext) -> BaseModel:
        return Asked(question=args.question)

    async def asked(key: str) -> dict[str, JSON] | None:
        return None

    async def find(key: str) -> dict[str, JSON] | None:
        return await office.find(key)

    return [
        Tool(CHECK, check),
        Tool(PUBLISH, publish, find),
        Tool(ROLL_BACK, publish, find),
        Tool(GRANT, grant, find),
        Tool(ASK, ask, asked),
    ]
