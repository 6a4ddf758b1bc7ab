from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import AnyMessage, ToolMessage

from agents.contract import StepStatus
from agents.procedure import Seen
from agents.turns import ModelAgent
from core.actions import OutcomeStatus, ToolOutcome
from core.errors import ModelNonsense
from core.people import Person
from core.settings import Settings
from core.states import CaseStatus, RunStatus
from evals.replay import RecordedCall, ReplayModel
from evals.reviewers import REVIEWERS
from evals.run_case import attend
from evals.suites.tau2_retail.files import load
from evals.worlds import Worlds
from graphs import catalog
from graphs.tau2_retail.kind import KIND
from serving.house import open_house
from tools.tau2_retail.world import delta, records_of

FIXTURE = Path(__file__).parents[1] / "fixtures" / "tau2-retail"
CASE = {"user_id": "yara_muller_8652", "request": "Three changes.", "reference": "78"}
READ = RecordedCall("get_order_details", {"order_id": "#W5056519"})


def _agent(*script: RecordedCall) -> ModelAgent:
    specs = catalog.vocabulary("tau2_retail").specs
    return ModelAgent("agent:tau2_retail", ReplayModel(scripts={"78": script}), KIND.role, specs)


def _answer(call_id: str, status: OutcomeStatus) -> ToolMessage:
    outcome = ToolOutcome(status=status, tool=READ.tool, step_key="1.0")
    return ToolMessage(outcome.model_dump_json(), tool_call_id=call_id)


async def test_one_recorded_call_a_turn_whatever_comes_back_then_the_end() -> None:
    agent = _agent(READ, RecordedCall("calculate", {"expression": "1 + 1"}))
    talk: list[AnyMessage] = agent.opening(CASE)
    for tool, status in (("get_order_details", OutcomeStatus.REJECTED), ("calculate", OutcomeStatus.DONE)):
        planned = await agent.plan(talk)  # it plans anew after trouble; plans are not counted as answers
        turn = await agent.act([*talk, planned.message])
        assert [proposal.tool for proposal in turn.proposals] == [tool]
        talk += [planned.message, turn.message, _answer(turn.proposals[0].call_id, status)]
    end = await agent.act(talk)
    assert end.finish is not None
    assert (end.finish.outcome, end.finish.summary) == ("replayed", "1 of 2 recorded calls ran.")


async def test_the_plan_tells_how_far_it_is_even_where_the_recording_is_longer_than_a_plan() -> None:
    agent = _agent(*[READ] * 30)
    talk: list[AnyMessage] = agent.opening(CASE)
    for _ in range(12):
        turn = await agent.act(talk)
        talk += [turn.message, _answer(turn.proposals[0].call_id, OutcomeStatus.DONE)]
    plan = (await agent.plan(talk)).plan
    assert len(plan) <= 20
    pending = [step.title for step in plan if step.status is StepStatus.PENDING]
    assert pending[0] == "Recorded call 13: get_order_details"
    assert [step.title for step in (await _agent().plan(agent.opening(CASE))).plan] == ["Nothing is recorded: finish"]


async def test_a_case_that_was_not_recorded_is_no_case_for_it() -> None:
    agent = _agent(READ)
    with pytest.raises(ModelNonsense, match="no recording of '79'"):
        await agent.act(agent.opening({**CASE, "reference": "79"}))


async def test_a_replay_goes_on_in_another_process_where_it_was(tmp_path: Path) -> None:
    """The house is closed while the first change waits for people; nothing of the model outlives it."""
    files = load(*(FIXTURE / name for name in ("tasks.json", "db.json", "gold_deltas.json")))
    task = next(task for task in files.tasks if task.id == "78")
    script = [RecordedCall(action.name, action.arguments) for action in task.actions]
    worlds = Worlds(tmp_path, KIND.dialect)
    await worlds.load(records_of(files.world))
    await worlds.begin()
    heard: dict[str, Seen] = {}
    settings, kinds = Settings(data=tmp_path / "house"), {KIND.name: KIND}
    model = ReplayModel(scripts={"78": script})
    async with open_house(settings, bell="tasks", kinds=kinds, model=model, shop=worlds) as house:
        case, _ = await house.submit(Person(id="web", roles=frozenset({"service"})), KIND.name, CASE)
        await house.settled("default", {case.id})
        assert heard == {}
        assert await worlds.log() == []
    model = ReplayModel(scripts={"78": script}, heard=heard.__setitem__)
    async with open_house(settings, bell="tasks", kinds=kinds, model=model, shop=worlds) as house:
        result = await attend(house, "default", case.id, REVIEWERS["approve-all"])
        assert (await house.checker.check()).findings == []
    assert (result.status, result.outcome) == (CaseStatus.CLOSED, "replayed")
    assert [call.tool for call in result.calls] == [call.tool for call in script]
    assert {call.run for call in result.calls} == {RunStatus.DONE}
    assert [call.operation for call in await worlds.log()] == [call.tool for call in script]
    assert [one.outcome.status for one in heard["78"].answered] == [OutcomeStatus.DONE] * 3
    assert delta(files.world, await worlds.state()) == files.gold["78"].delta
    await worlds.close()
