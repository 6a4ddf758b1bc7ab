"""Which model sees what a case holds: policy is asked before each call, and people where it says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from core.data import EVERYTHING, DataClass, field, held_by
from core.errors import Forbidden, InvalidInput
from core.model_call import MODEL_CALL
from core.people import Person
from core.settings import ModelSettings
from core.states import CaseStatus, RunStatus
from graphs import catalog
from tests.support.till import Till, open_till, pay, write

C = CaseStatus
ABROAD = ModelSettings(backend="openai", base_url="https://models.example/v1", name="large", region="us")
READ = {"tool": "account.read", "args": {"account_id": "acc_1"}}


def lose_checkpoints(folder: Path) -> None:
    for file in folder.glob("checkpoints.db*"):
        file.unlink()


async def handed_over(till: Till, case: str, why: str) -> None:
    review = await till.review(case)
    assert why in (await till.args(review.action_id))["text"]
    await till.approve("ann", case)
    row = await till.case(case)
    assert (row.status, row.outcome) == (C.CLOSED, "handed_over")
    assert (await till.check()).findings == []


async def test_a_model_of_ours_is_called_and_what_it_was_shown_is_noted_once(folder: Path) -> None:
    async with open_till(folder) as till:
        case = await till.run([write()], [READ], [write(text="more")], [READ])
        assert await till.status(case) is C.CLOSED
        noted = await till.trace(case, "model.judged")
        assert [note["classes"] for note in noted] == [
            ["free_text", "internal", "public"],
            ["free_text", "internal", "payment", "public"],
        ]
        assert {(note["verdict"], *note["rules"]) for note in noted} == {("allow", "T-9")}
        assert noted[0]["model"] == {"name": "countersign-embedded-planner", "hosting": "embedded", "region": ""}
        assert noted[0]["book"]["policy"] == "till"
        assert MODEL_CALL not in {action.tool for action in await till.actions(case)}  # it costs no row of its own


async def test_a_model_that_may_not_see_the_case_is_not_called_and_people_take_over(folder: Path) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        till.change_policy("(data.personal or data.payment)", "data.free_text")
        case = await till.run([write()])
        assert till.model.calls == 0
        assert [note["rules"] for note in await till.trace(case, "model.judged")] == [["T-10", "T-11"]]
        await handed_over(till, case, "the model may not be shown this case: Not for somebody else's model.")
        assert till.model.calls == 0


async def test_a_book_that_says_nothing_of_models_lets_none_be_called(folder: Path) -> None:
    async with open_till(folder) as till:
        till.change_policy("model.hosting in [embedded, self_hosted]", "model.hosting == self_hosted")
        case = await till.run([write()])
        assert till.model.calls == 0
        await handed_over(till, case, "No rule of the policy allows this model.call")


async def test_where_policy_asks_people_nothing_is_shown_before_they_say_yes(folder: Path) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        case = await till.run([write()], [write(text="more")])
        assert await till.status(case) is C.WAITING
        assert till.model.calls == 0
        (action,) = await till.actions(case)
        assert (action.tool, action.proposer) == (MODEL_CALL, "house")
        assert action.described == (
            "Show the model large (managed, us) what this case holds: free text, internal, public"
        )
        await till.approve("ann", case)
        assert await till.status(case) is C.CLOSED
        assert till.model.calls == 4  # a plan, two notes, the end: nobody is asked again
        assert await till.happened(case) == ["note.write"] * 2
        permit = next(run for run in await till.runs(case) if run.tool == MODEL_CALL)
        assert (permit.status, permit.gated) == (RunStatus.DONE, True)
        assert [note["permit"] for note in await till.trace(case, "model.judged")] == [action.id]
        assert (await till.audit(case))[:5] == [
            "case.opened",
            "action.judged",
            "review.opened",
            "review.approved",
            "effect.started",
        ]
        assert (await till.check()).findings == []


@pytest.mark.parametrize("answer", ["reject", "expire"])
async def test_a_no_hands_the_case_over(folder: Path, answer: str) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        case = await till.run([write()])
        if answer == "reject":
            await till.reject("ann", case, "other")
        else:
            await till.later(hours=4)
        await handed_over(till, case, "the model may not be shown this case")
        assert till.model.calls == 0


async def test_what_comes_in_later_is_judged_too(folder: Path) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        case = await till.run([write()], [READ], [write(text="more")])
        await till.approve("ann", case)
        assert await till.happened(case) == ["note.write"]
        assert till.model.calls == 3  # the account was read, and holds what this model may not see
        await handed_over(till, case, "Not for somebody else's model.")


async def test_more_classes_are_another_question(folder: Path) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        till.change_policy("(data.personal or data.payment)", "data.personal")
        case = await till.run([READ], [write()])
        await till.approve("ann", case)
        asked = [action.args["classes"] for action in await till.actions(case) if action.tool == MODEL_CALL]
        first, second = sorted(asked, key=len)
        assert set(second) - set(first) == {"payment"}
        await till.approve("ben", case)
        assert await till.status(case) is C.CLOSED


async def test_a_permit_outlives_a_power_cut_and_is_for_one_model_only(folder: Path) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        case = await till.run([write()])
        await till.hold(case)
        await till.approve("ann", case)
    lose_checkpoints(folder)
    async with open_till(folder, hosted=ABROAD) as till:
        await till.let_go(case)
        await till.settle(case)
        assert await till.status(case) is C.CLOSED
        assert len(await till.reviews(case)) == 1
    elsewhere = ABROAD.model_copy(update={"region": "apac"})
    async with open_till(folder, hosted=elsewhere) as till:
        other = await till.run([write()])
        assert await till.status(other) is C.WAITING
        assert (await till.check()).findings == []


async def test_a_case_whose_model_moves_while_it_waits_is_asked_about_anew(folder: Path) -> None:
    """The permit is looked up by what it is for: an approval of one server is none of another."""
    async with open_till(folder, hosted=ABROAD) as till:
        case = await till.run([write()])
        await till.hold(case)
        await till.approve("ann", case)
    async with open_till(folder, hosted=ABROAD.model_copy(update={"region": "apac"})) as till:
        await till.let_go(case)
        await till.settle(case)
        assert till.model.calls == 0
        waiting = await till.args((await till.review(case)).action_id)
        assert waiting["model"]["region"] == "apac"
        await till.approve("ben", case)
        assert await till.status(case) is C.CLOSED


async def test_a_permit_does_not_outlive_a_stricter_policy(folder: Path) -> None:
    """The desk let the case be shown; by the next call policy asks the bosses, and again nothing is shown before."""
    async with open_till(folder, hosted=ABROAD) as till:
        case = await till.run([write()], [pay("60.00")], [write(text="more")])
        await till.approve("ann", case)
        assert (await till.review(case)).reason == "Above the limit."
        called, stricter = (
            till.model.calls,
            ("decide: review by desk\n  when: model", "decide: review by bosses\n  when: model"),
        )
        till.change_policy(*stricter)
        till.clock.advance(timedelta(minutes=1))
        await till.approve("ann", case)
        assert [each["group"] for each in (await till.review(case)).reviewers] == ["bosses"]
        assert till.model.calls == called
        await till.approve("cat", case)
        assert till.model.calls == called
        await till.approve("dan", case)
        assert await till.status(case) is C.CLOSED
        assert await till.happened(case) == ["note.write", "gift.pay", "note.write"]
        permits = [run for run in await till.runs(case) if run.tool == MODEL_CALL]
        assert len(permits) == 1  # the same call is the same action: it has two approvals, and ran by the first
        assert (await till.check()).findings == []


async def test_a_stricter_policy_that_people_say_no_to_shows_nothing_more(folder: Path) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        case = await till.run([write()], [pay("60.00")], [write(text="more")])
        await till.approve("ann", case)
        called = till.model.calls
        till.change_policy("decide: review by desk\n  when: model", "decide: review by bosses\n  when: model")
        await till.approve("ann", case)
        await till.reject("cat", case, "other")
        await handed_over(till, case, "the model may not be shown this case")
        assert till.model.calls == called


async def test_a_milder_policy_asks_nobody_again(folder: Path) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        till.change_policy("decide: review by desk\n  when: model", "decide: review by bosses\n  when: model")
        case = await till.run([write()], [pay("60.00")], [write(text="more")])
        await till.approve("ben", case)
        await till.approve("cat", case)
        till.change_policy("people: 2, within: 1 day", "people: 1, within: 1 day")
        await till.approve("ann", case)
        assert await till.status(case) is C.CLOSED


async def test_a_model_can_not_ask_for_itself(folder: Path) -> None:
    call = {"model": {"name": "large", "hosting": "managed", "region": "us"}, "classes": ["special"]}
    async with open_till(folder) as till:
        case = await till.run([{"tool": MODEL_CALL, "args": call}, write()])
        invalid = await till.trace(case, "call.invalid")
        assert [each["reason"].partition(";")[0] for each in invalid] == ["there is no tool 'model.call'"]
        assert [run.tool for run in await till.runs(case)] == ["note.write"]


async def test_who_opened_the_case_can_not_permit_it_and_nobody_can_change_it(folder: Path) -> None:
    async with open_till(folder, hosted=ABROAD) as till:
        payload = {"customer": "cus_1", "script": [[write()]], "loop": False}
        ben = Person(id="ben", roles=frozenset({"clerk", "operator"}))
        case, _ = await till.house.submit(ben, "till", payload)
        await till.settle(case.id)
        with pytest.raises(Forbidden, match="You opened this case"):
            await till.approve("ben", case.id)
        args = (await till.actions(case.id))[0].args
        with pytest.raises(InvalidInput, match="Nothing can be edited"):
            await till.edit("ann", case.id, **{**args, "classes": ["public"]})
        await till.approve("ann", case.id)
        assert await till.status(case.id) is C.CLOSED
        assert (await till.check()).findings == []


@pytest.mark.parametrize("name", catalog.names())
def test_every_kind_says_what_its_cases_and_its_results_hold(name: str) -> None:
    """What nobody declared may hold anything, and keeps every model out that may not see everything."""
    kind, words = catalog.find(name), catalog.vocabulary(name)
    schema = kind.intake.model_json_schema()
    objects = [schema, *schema.get("$defs", {}).values()]
    fields = next(each["properties"] for each in objects if set(each.get("properties", ())) == set(kind.payload))
    assert fields
    undeclared = [tool for tool, spec in words.specs.items() if spec.data == EVERYTHING]
    assert undeclared == []


def test_a_field_that_nobody_declared_may_hold_anything() -> None:
    known = {"letter": field(DataClass.FREE_TEXT)}
    assert held_by({"letter": "x"}, known) == {DataClass.FREE_TEXT}
    assert held_by({"letter": "", "photos": []}, known) == frozenset()
    assert held_by({"letter": "x", "extra": 1}, known) == EVERYTHING
