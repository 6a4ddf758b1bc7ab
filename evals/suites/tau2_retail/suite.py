"""Runs the tasks: each in a world and a workspace of its own, all through one house."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from agents.procedure import Seen
from agents.tau2_retail.intake import REQUEST_LIMIT
from core.actions import JSON, OutcomeStatus
from core.settings import BudgetSettings, load_settings
from core.states import CaseStatus
from engine.decisions import Choice
from evals.replay import RecordedCall, ReplayModel
from evals.reviewers import Reviewer
from evals.run_case import Case, CaseResult, run_case
from evals.suites.tau2_retail.files import Files, Task
from evals.suites.tau2_retail.identity import user_of
from evals.suites.tau2_retail.report import CallError, SuiteReport, TaskReport
from evals.suites.tau2_retail.scoring import benchmarks_defect, differences
from evals.worlds import Worlds
from graphs.kind import TaskKind
from graphs.tau2_retail.kind import KIND
from serving.house import open_house
from tools.tau2_retail.world import World, delta, records_of

Progress = Callable[[TaskReport], None]


async def run(
    files: Files, reviewer: Reviewer, progress: Progress = lambda _task: None, *, kind: TaskKind = KIND
) -> SuiteReport:
    """With a reviewer who rejects, every world should stay as it was; otherwise it should become the gold's."""
    began = time.monotonic()
    heard: dict[str, Seen] = {}
    scripts = {task.id: [RecordedCall(each.name, each.arguments) for each in task.actions] for task in files.tasks}
    with TemporaryDirectory(prefix="countersign-evals-") as temporary:
        folder = Path(temporary)
        worlds = Worlds(folder, kind.dialect)
        await worlds.load(records_of(files.world))
        # A recording has the length it has: a case's budget is not what is under test.
        longest = max(len(script) for script in scripts.values())
        budget = BudgetSettings(steps=2 * longest + 10, tokens=10**9)
        settings = load_settings(data=folder / "house", budget=budget)
        model = ReplayModel(scripts=scripts, heard=heard.__setitem__)
        async with open_house(settings, bell="tasks", kinds={kind.name: kind}, model=model, shop=worlds) as house:
            tasks = []
            for number, task in enumerate(files.tasks, 1):
                await worlds.begin()
                user_id, told_by = user_of(task, files.world)
                case = Case(kind.name, _payload(task, user_id), workspace=f"task-{number}")
                result = await run_case(house, case, reviewer)
                left = delta(files.world, await worlds.state())
                scored = _scored(files, task, reviewer, left, result, heard.get(task.id))
                tasks.append(scored.model_copy(update={"user_told_by": told_by}))
                progress(tasks[-1])
            books = await house.checker.check()
            await worlds.close()
    return SuiteReport(reviewer=reviewer.name, tasks=tasks, books=books, seconds=time.monotonic() - began)


def _payload(task: Task, user_id: str | None) -> dict[str, JSON]:
    return {"user_id": user_id, "request": task.asks[:REQUEST_LIMIT] or f"Task {task.id}", "reference": task.id}


def _scored(
    files: Files, task: Task, reviewer: Reviewer, left: World, result: CaseResult, seen: Seen | None
) -> TaskReport:
    gold = files.gold[task.id]
    wanted = {} if reviewer.choice is Choice.REJECT else gold.delta
    ended = result.status is CaseStatus.CLOSED and seen is not None
    return TaskReport(
        id=task.id,
        actions=len(task.actions),
        matches=left == wanted,
        differences=differences(left, wanted),
        explained=benchmarks_defect(left, wanted, task.actions, files.world),
        errors=_errors(seen or Seen(), [name for name, _, _ in gold.gold_errors]),
        cut_short="" if ended else f"{result.status}: {result.problem or result.outcome}",
        case=result,
    )


def _errors(seen: Seen, by_design: list[str]) -> list[CallError]:
    """Calls that did not run although nobody rejected them; the gold has its own, in any order."""
    expected = Counter(by_design)
    found = []
    for one in seen.answered:
        if one.ran or one.outcome.status is OutcomeStatus.REJECTED:
            continue
        known = expected[one.call.tool] > 0
        expected[one.call.tool] -= known
        found.append(
            CallError(tool=one.call.tool, status=one.outcome.status, reason=one.outcome.reason, by_design=known)
        )
    return found
