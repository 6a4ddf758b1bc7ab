"""What a run of the suite found, for people and for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from core.actions import OutcomeStatus
from core.states import RunStatus
from engine.checker import Report
from evals.run_case import CaseResult, ProposedCall
from evals.suites.tau2_retail.identity import ToldBy
from evals.suites.tau2_retail.scoring import Difference

NAME = "tau2-retail"


class CallError(BaseModel):
    """A call that did not run; `by_design` if the gold has it as well."""

    tool: str
    status: OutcomeStatus
    reason: str
    by_design: bool


class TaskReport(BaseModel):
    id: str
    actions: int
    matches: bool
    differences: list[Difference] = []
    explained: str = ""
    """Why it differs, where that is the benchmark's own defect."""
    errors: list[CallError] = []
    cut_short: str = ""
    """Why not all of its actions were proposed."""
    user_told_by: ToldBy = ToldBy.NOBODY
    case: CaseResult

    @property
    def passed(self) -> bool:
        return (self.matches or bool(self.explained)) and not self.cut_short


class SuiteReport(BaseModel):
    suite: str = NAME
    reviewer: str
    tasks: list[TaskReport]
    books: Report
    seconds: float

    @property
    def passed(self) -> bool:
        return all(task.passed for task in self.tasks) and not self.books.findings

    @property
    def matching(self) -> int:
        return sum(task.matches for task in self.tasks)

    @property
    def writes(self) -> list[ProposedCall]:
        return [call for task in self.tasks for call in task.case.writes]

    def as_json(self) -> dict[str, Any]:
        summary = {"passed": self.passed, "matching": self.matching, "of": len(self.tasks), "writes": len(self.writes)}
        gated = Counter(group for call in self.writes for group in call.asked)
        return {**summary, "gated": dict(gated), **self.model_dump(mode="json")}

    def as_text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        of, actions = len(self.tasks), sum(task.actions for task in self.tasks)
        yield f"{self.suite}, reviewer {self.reviewer}: {of} tasks, {actions} gold actions, {self.seconds:.1f} s."
        yield ""
        if self.reviewer == "reject-all":
            yield f"The world is unchanged in {self.matching} of {of} tasks."
        else:
            yield f"{self.matching} of {of} deltas match the gold."
        for task in self.tasks:
            if not task.matches:
                yield f"  task {task.id} differs: {task.explained or 'nothing explains it'}."
                yield from (f"    {difference}" for difference in task.differences)
        for task in self.tasks:
            if task.cut_short:
                yield f"  task {task.id} did not get to its end: {task.cut_short}."
        yield ""
        yield from self._errors("Errors by design, which the gold has as well", by_design=True)
        yield from self._errors("Other calls that did not run", by_design=False)
        yield ""
        yield from self._gate()
        yield from self._accounts()

    def _errors(self, title: str, *, by_design: bool) -> Iterator[str]:
        found = [(task.id, each) for task in self.tasks for each in task.errors if each.by_design is by_design]
        yield f"{title}: {len(found) or 'none'}."
        yield from (f"  task {task_id}: {each.tool}: {each.status}: {each.reason}" for task_id, each in found)

    def _gate(self) -> Iterator[str]:
        writes = self.writes
        gated = sum(bool(call.asked) for call in writes)
        yield f"Writes: {len(writes)} proposed, {_part(gated, len(writes))} gated by people."
        asked = Counter(group for call in writes for group in call.asked)
        yield from (f"  asked {group}: {_part(count, len(writes))}" for group, count in asked.most_common())
        rules = Counter(rule for call in writes for rule in call.rules)
        yield f"  by rule: {', '.join(f'{rule} {count}' for rule, count in sorted(rules.items())) or 'none'}"
        runs = Counter(call.run for call in writes)
        denied = sum(call.verdict == "deny" for task in self.tasks for call in task.case.calls)
        yield (
            f"  {runs[RunStatus.DONE]} done, {runs[RunStatus.FAILED]} refused by the shop, {runs[None]} never begun;"
            f" {denied} calls denied by policy."
        )
        reviews, votes = sum(t.case.reviews for t in self.tasks), sum(t.case.votes for t in self.tasks)
        yield f"Reviews: {reviews}, decided by {votes} votes."

    def _accounts(self) -> Iterator[str]:
        told = Counter(task.user_told_by for task in self.tasks)
        yield f"Users known by: {', '.join(f'{by} in {count} tasks' for by, count in told.most_common())}."
        books = self.books
        if not books.findings:
            yield (
                f"Books: {books.runs} effects begun in the ledger, {books.provider_calls} in the shop's log;"
                " nothing lost, twice or without its approval."
            )
        for finding in books.findings:
            yield f"Books: {finding.what}, {finding.case_id}: {finding.detail}."


def _part(count: int, of: int) -> str:
    return f"{count} ({100 * count / of:.1f}%)" if of else f"{count}"
