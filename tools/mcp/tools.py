"""An outside MCP tool as a tool of a kind: typed, named `SERVER.tool`, judged like any other.

MCP has no idempotency key and no look-up. So a call whose answer is lost is never made again by itself: nobody knows
whether it happened, and people look there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel, ConfigDict

from core.actions import JSON, Effect, ToolSpec
from core.errors import CountersignError, InvalidInput, OutcomeUnknown, ProviderRefused, ProviderUnavailable
from core.mcp_settings import OutsideServerSettings, OutsideToolSettings
from core.ports import CallContext
from tools.contract import Tool
from tools.mcp import session
from tools.mcp.pins import Declared
from tools.mcp.schema import args_model, sent

MOST_KEPT = 64_000
"""Characters of a result that are kept and shown to a model."""
_DEEPEST = 20
_SAFE = 2**53
_STAYS = "It is another party's tool: nothing here takes it back."


class OutsideResult(BaseModel):
    """What an outside server answered: data, whatever it says."""

    model_config = ConfigDict(extra="forbid")

    text: str = ""
    data: dict[str, JSON] | None = None
    left_out: str = ""
    """What of the answer is not here, and why."""


def tool_of(
    name: str, server: OutsideServerSettings, declared: Declared, wanted: OutsideToolSettings, *, acts: bool
) -> Tool[Any]:
    """`acts` says whether this process speaks to the server. Raises `InvalidInput` for a schema that can't be held."""
    full = f"{name}.{declared.name}"
    model = args_model(full.replace(".", "_").replace("-", "_"), declared.input)
    effect = Effect(wanted.effect)
    spec: ToolSpec[Any] = ToolSpec(
        full,
        effect,
        model,
        OutsideResult,
        lambda args: _described(full, args),
        summary=wanted.summary or f"The tool {declared.name} of {name}.",
        egress=frozenset({wanted.reaches}),
        data=wanted.data,
        version=int(declared.digest[:7], 16),  # what another declaration would do is another action
        keyed=False,
        lookup=False,
        stays=_STAYS if effect is Effect.REVERSIBLE else "",
    )

    async def run(args: Any, _context: CallContext) -> BaseModel:
        answered = await session.call(server, declared, sent(args), wanted.timeout_s)
        return _result(full, effect, wanted, answered)

    async def nobody(_args: Any, _context: CallContext) -> BaseModel:
        raise ProviderUnavailable(f"This process does not speak to {name}.", hint="The executor does.")

    return Tool(spec, run if acts else nobody)


def _described(tool: str, args: BaseModel) -> str:
    given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sent(args).items())
    line = f"Have an outside server do {tool}({given})"
    return line if len(line) <= 300 else f"{line[:299]}…"


def _result(tool: str, effect: Effect, wanted: OutsideToolSettings, answered: session.Answered) -> OutsideResult:
    if answered.changed:
        raise ProviderRefused(
            f"{tool} is not the tool any more that was accepted: its server declares another one.",
            reason="declaration_changed",
            hint=f"Look at it and accept it anew: countersign mcp accept {tool.partition('.')[0]}",
        )
    if answered.refused:
        raise ProviderRefused(f"{tool} refused the call: {_clean(answered.refused)}.", reason="not_begun")
    if answered.result is None:
        if effect is Effect.READ:
            raise ProviderUnavailable(f"The answer of {tool} was lost: {_clean(answered.lost)}.")
        raise _unknown(tool, f"the answer was lost: {answered.lost}")
    told = _told(answered.result)
    if not answered.result.is_error:
        if effect is Effect.READ and told.left_out.startswith("all"):
            raise ProviderRefused(f"The answer of {tool} is too large.", reason="too_large", hint="Ask for less.")
        return told
    if effect is Effect.READ or wanted.refuses_cleanly:
        raise ProviderRefused(f"{tool} says: {told.text[:500] or 'it failed'}", reason="refused")
    raise _unknown(tool, f"it answered with an error: {told.text[:300]}")


def _unknown(tool: str, why: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"Whether {tool} happened is not known: {_clean(why)}.", hint="A person has to look there.")


def _told(result: CallToolResult) -> OutsideResult:
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    others = len(result.content) - len(texts)
    left_out = f"{others} parts that are no text" if others else ""
    data = _plain(result.structured_content, 0) if isinstance(result.structured_content, dict) else None
    text = _clean("\n".join(texts))
    if data is not None and len(json.dumps(data)) > MOST_KEPT:
        data, left_out = None, "all that was structured: it is too large"
    if data is not None:
        text = text if len(text) <= 1000 else ""  # the same once more, for clients that know no structure
    if len(text) > MOST_KEPT:
        text, left_out = text[:1000], "all but the beginning: it is too large"
    return OutsideResult(text=text, data=data, left_out=left_out)


def _plain(value: JSON, depth: int) -> Any:
    """As records can hold it everywhere: no fractions but as text, no numbers that readers differ in, clean text."""
    if depth > _DEEPEST:
        return "…"
    match value:
        case dict():
            return {_clean(str(name))[:200]: _plain(each, depth + 1) for name, each in value.items()}
        case list():
            return [_plain(each, depth + 1) for each in value]
        case str():
            return _clean(value)
        case bool() | None:
            return value
        case int() if abs(value) < _SAFE:
            return value
        case _:
            return str(value)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def outside_tools(
    servers: Mapping[str, OutsideServerSettings],
    accepted: Mapping[str, Mapping[str, Declared]],
    *,
    acts: bool,
) -> tuple[dict[str, list[Tool[Any]]], list[str]]:
    """Each kind's outside tools, and what keeps others away, for operators to read."""
    found: dict[str, list[Tool[Any]]] = {}
    alarms: list[str] = []
    for name, server in servers.items():
        for each, wanted in server.tools.items():
            declared = accepted.get(name, {}).get(each)
            if declared is None:
                alarms.append(f"MCP: {name}.{each} was not accepted, so no agent has it: countersign mcp accept {name}")
                continue
            try:
                tool = tool_of(name, server, declared, wanted, acts=acts)
            except InvalidInput as unfit:
                alarms.append(f"MCP: {name}.{each} can't be used: {unfit.detail}")
                continue
            for kind in server.kinds:
                found.setdefault(kind, []).append(tool)
    return found, alarms


def problems(name: str, server: OutsideServerSettings, declared: Mapping[str, Declared]) -> list[str]:
    """Why tools that the settings name could not be used as they are declared."""
    found = []
    for each, wanted in server.tools.items():
        if each not in declared:
            found.append(f"{name}.{each}: the server has no such tool")
            continue
        try:
            tool_of(name, server, declared[each], wanted, acts=False)
        except CountersignError as unfit:
            found.append(f"{name}.{each}: {unfit.detail}")
    return found
