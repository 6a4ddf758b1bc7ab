"""What carries actions out: the tools, the gate before them, and an executor, here or in a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from core.errors import SetupError
from core.ports import FactSource
from core.settings import Settings
from engine.by_hand import Bounds
from engine.executing import Executing
from engine.executor import Executor
from engine.gate import Gate
from engine.journal import Journal
from engine.rehearsal import Rehearsal
from engine.remote_executor import ExecutorLine, RemoteExecutor, RemoteFacts
from engine.stream import Stream
from graphs.kind import Outside, TaskKind
from ledger.database import Database
from policies.shelf import BookJudge
from tools.contract import Toolbelt
from tools.mcp.accepted import accepted_tools, belts_with
from tools.permits import permit

log = logging.getLogger("countersign.mcp")


@dataclass(frozen=True)
class Effects:
    belts: Mapping[str, Toolbelt]
    """Each kind's own tools."""
    tools: Toolbelt
    gate: Gate
    executor: Executing


def line_to_executor(settings: Settings, *, shared: bool) -> ExecutorLine | None:
    """The connection to the executor's process, if there is to be one. Raises `SetupError`."""
    wanted = settings.executor
    if not wanted.url:
        return None
    if not shared:
        raise SetupError(
            "An executor of its own needs records that it can share.",
            hint="Name a PostgreSQL server in COUNTERSIGN_DATABASE__URL, or unset COUNTERSIGN_EXECUTOR__URL.",
        )
    if settings.shop.token.get_secret_value():
        raise SetupError(
            "A process that has an executor act for it holds no credentials of the shop.",
            hint="Give COUNTERSIGN_SHOP__TOKEN to 'countersign executor' alone, and unset it here.",
        )
    return ExecutorLine(wanted.url, wanted.token.get_secret_value(), wanted.timeout_s)


def tools_of(
    kinds: Mapping[str, TaskKind], outside: Outside, settings: Settings, *, acts: bool
) -> tuple[dict[str, Toolbelt], Toolbelt]:
    """Each kind's tools, those of accepted MCP servers among them, and all of them with the house's own.

    `acts` says whether tools run in this process. Raises `SetupError`.
    """
    foreign, alarms = accepted_tools(settings.mcp, settings.data, kinds, acts=acts)
    for alarm in alarms:
        log.warning("%s", alarm)
    mine = belts_with({name: list(kind.tools(outside)) for name, kind in kinds.items()}, foreign)
    belts = {name: Toolbelt(tools) for name, tools in mine.items()}
    return belts, Toolbelt.joined([*belts.values(), Toolbelt([permit()])])


def bounds(kinds: Mapping[str, TaskKind], belts: Mapping[str, Toolbelt]) -> dict[str, Bounds]:
    """What may be proposed by hand in a case of each kind, and by whom."""
    return {
        name: Bounds(
            frozenset(belts[name].specs()),
            frozenset(part for part, each in kind.payload.items() if each.vouched),
            kind.opened_with,
        )
        for name, kind in kinds.items()
    }


def effects_here(
    settings: Settings,
    database: Database,
    kinds: Mapping[str, TaskKind],
    outside: Outside,
    judge: BookJudge,
    journal: Journal,
    stream: Stream,
    *,
    worker: str,
    ledger_on: bool = True,
) -> tuple[Effects, Executor]:
    """The executor is in this process, and what it reaches too."""
    belts, tools = tools_of(kinds, outside, settings, acts=True)
    facts = {name: kind.facts(outside) for name, kind in kinds.items()}
    gate = Gate(database, tools, judge, facts, journal, stream)
    lease = timedelta(seconds=settings.engine.lease_s)
    rehearsed = Rehearsal(database, tools)
    executor = Executor(database, rehearsed, gate, stream, worker=worker, lease=lease, ledger_on=ledger_on)
    return Effects(belts, tools, gate, executor), executor


def effects_elsewhere(
    line: ExecutorLine,
    settings: Settings,
    database: Database,
    kinds: Mapping[str, TaskKind],
    outside: Outside,
    judge: BookJudge,
    journal: Journal,
    stream: Stream,
) -> Effects:
    """Tools are only looked at here; facts and effects are asked for."""
    belts, tools = tools_of(kinds, outside, settings, acts=False)
    facts: dict[str, FactSource] = dict.fromkeys(kinds, RemoteFacts(line))
    gate = Gate(database, tools, judge, facts, journal, stream)
    return Effects(belts, tools, gate, RemoteExecutor(line, gate.labels.remembered))
