"""Cases in plain lines. What comes from outside is made harmless: it can't steer the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from core.money import Money
from core.wire import (
    ActionView,
    ApprovalSummary,
    CaseDetail,
    CaseSummary,
    CheckpointDetail,
    Checkpoints,
    CheckpointView,
    CostView,
    TraceEntry,
)

_MARKS = {"done": "x", "dropped": "-"}
_TOLD = ("outcome", "verdict", "tool", "title", "described", "by", "choice", "reason", "problem", "text", "summary")
"""Members of a trace entry that say something to people, in this order."""
_LONG = 160


def clean(text: str) -> str:
    """Control and direction marks become `�`."""
    return "".join(c if c == "\n" or c.isprintable() else "�" for c in text)


def _brief(text: str) -> str:
    text = " ".join(clean(text).split())
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def stands(case: CaseSummary) -> str:
    """`closed: refunded`, `waiting for desk`, `failed: …`."""
    if case.waiting_for:
        why = f": {_brief(case.problem)}" if case.status == "failed" else ""
        return f"{case.status}{why}, for {' and '.join(case.waiting_for)}"
    return ": ".join(each for each in (case.status, case.outcome.replace("_", " ") or _brief(case.problem)) if each)


def row(case: CaseSummary) -> str:
    copied = f"  [simulated, a copy of {case.forked_from}]" if case.simulated else ""
    return f"{case.id}  {_when(case.opened_at)}  {case.kind}  {clean(case.subject)}  {stands(case)}{copied}"


def steps(found: Checkpoints) -> Iterator[str]:
    if found.cut_at is not None:
        yield f"Earlier steps were pruned at {_when(found.cut_at)}."
    if not found.items:
        yield "No step of it is kept."
    yield from (_step(each) for each in found.items)


def _step(each: CheckpointView) -> str:
    about = ", ".join(each.next) or "the end"
    calls = ", ".join(call.tool for call in each.calls)
    asks = f"  {each.asks} asked" if each.asks else ""
    known = f"{each.messages} messages{f'  {_brief(calls)}' if calls else ''}{asks}"
    return f"{each.id}  {each.step:>3}  {each.at.astimezone():%Y-%m-%d %H:%M:%S}  {about:<10}{known}"


def step(found: CheckpointDetail) -> Iterator[str]:
    each = found.checkpoint
    yield _step(each)
    if each.plan:
        yield from ("", "Plan")
        yield from (f"  [{_MARKS.get(part.status, ' ')}] {_brief(part.title)}" for part in each.plan)
    if each.calls:
        yield from ("", "Calls of this turn")
        yield from (f"  {call.tool}: {_brief(json.dumps(call.args))}" for call in each.calls)
    yield from ("", "Said so far")
    for said in found.said:
        asked = "; ".join(f"{call['tool']} {json.dumps(call['args'])}" for call in said.calls)
        yield f"  {said.by:<7}{_brief(' '.join(part for part in (said.text, asked) if part))}"
    if found.handing_over:
        yield from ("", f"It goes to people: {_brief(found.handing_over)}")


def detail(found: CaseDetail) -> Iterator[str]:
    case = found.case
    yield row(case)
    if found.summary:
        yield f"  {_brief(found.summary)}"
    if found.plan:
        yield from ("", "Plan")
        yield from (f"  [{_MARKS.get(step.status, ' ')}] {_brief(step.title)}" for step in found.plan)
    if found.actions:
        yield from ("", "Actions")
        for action in found.actions:
            yield from _action(action)
    if found.approvals:
        yield from ("", "Approvals")
        yield from (_approval(each) for each in found.approvals)
    if found.costs:
        yield from ("", "Costs")
        yield from _costs(found.costs)


def _costs(costs: list[CostView]) -> Iterator[str]:
    for currency in sorted({cost.amount.currency for cost in costs}):
        here = [cost for cost in costs if cost.amount.currency == currency]
        for component in sorted({cost.component for cost in here}):
            parts = [cost for cost in here if cost.component == component]
            many, unit = sum(cost.quantity for cost in parts), parts[0].unit
            amount = Money.total((cost.amount for cost in parts), currency)
            yield f"  {component:<12}{amount!s:>14}{f'  {many:,} {unit}s' if unit else ''}"
        yield f"  {'together':<12}{Money.total((cost.amount for cost in here), currency)!s:>14}"


def _action(action: ActionView) -> Iterator[str]:
    rules = ", ".join(rule.rule for rule in action.rules if not rule.monitor)
    yield f"  {action.tool}: {_brief(action.described)}"
    yield f"      {action.verdict}{f' by {rules}' if rules else ''}{f', then {action.run}' if action.run else ''}"


def _approval(row: ApprovalSummary) -> str:
    until = f", due {_when(row.due_at)}" if row.status == "open" else ""
    return f"  {row.id}  {row.status}  {' and '.join(row.groups)}{until}  {_brief(row.described)}"


def entry(told: TraceEntry) -> str:
    words = [str(told.body[name]) for name in _TOLD if isinstance(told.body.get(name), str) and told.body[name]]
    return f"{told.at.astimezone():%H:%M:%S}  {told.type:<18}{_brief(' · '.join(words))}".rstrip()


def _when(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"
