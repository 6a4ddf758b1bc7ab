"""Every shape in which clients answer an interrupt, each to the question that it means, or refused as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import AlreadyDecided, InvalidInput, StaleState
from engine.answers import Answer, Says, fit, read
from engine.served import Asked

ONE = "rev_" + "1" * 26
TWO = "rev_" + "2" * 26
THREE = "0123456789abcdef" * 2


def hitl(*tools: str) -> dict[str, Any]:
    return {"action_requests": [{"name": tool, "args": {}} for tool in tools]}


def asked(*ids: str) -> list[Asked]:
    return [Asked(id=each, task_id="task", value=hitl("refunds.create")) for each in ids]


def test_one_open_question_takes_every_shape_as_it_came() -> None:
    for said in (
        {"decisions": [{"type": "approve"}]},
        [{"type": "accept", "args": None}],
        {"type": "approve"},
        True,
        "yes",
        {"anything": ["a", 1]},
    ):
        assert fit(said, asked(ONE), settled={}, shown=[ONE]) == {ONE: said}
        assert fit({ONE: said}, asked(ONE), settled={}) == {ONE: said}


def test_positions_go_to_questions_in_their_order() -> None:
    open_ = [Asked(ONE, "a", hitl("x", "y")), Asked(TWO, "b", hitl("z"))]
    first, second, third = ({"type": "approve"}, {"type": "reject", "message": "no"}, {"type": "edit"})
    assert fit({"decisions": [first, second, third]}, open_, settled={}) == {
        ONE: {"decisions": [first, second]},
        TWO: {"decisions": [third]},
    }
    assert fit([first, second, third], open_, settled={}) == {ONE: [first, second], TWO: [third]}


def test_a_keyed_answer_leaves_the_others_open() -> None:
    assert fit({TWO: True}, asked(ONE, TWO), settled={}) == {TWO: True}


@pytest.mark.parametrize("said", [True, "yes", {"type": "approve"}, {"x": 1}, [1, 2]])
def test_an_answer_that_names_none_of_two_questions_is_refused(said: Any) -> None:
    with pytest.raises(InvalidInput, match="2 questions are open"):
        fit(said, asked(ONE, TWO), settled={})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_or_too_many_answers_are_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match=f"asked about: 2; answers that came: {count}"):
        fit({"decisions": [{"type": "approve"}] * count}, asked(ONE, TWO), settled={})


def test_three_answers_to_one_question_are_refused_keyed_or_not() -> None:
    three = {"decisions": [{"type": "approve"}] * 3}
    for said in (three, {ONE: three}, [{"type": "accept"}] * 3):
        with pytest.raises(InvalidInput, match="asked about: 1; answers that came: 3"):
            fit(said, asked(ONE), settled={})


def test_a_question_in_words_of_its_own_takes_any_list() -> None:
    plain = [Asked(ONE, "a", {"question": "which ones?"})]
    assert fit([{"type": "pear"}, {"type": "plum"}], plain, settled={}) == {ONE: [{"type": "pear"}, {"type": "plum"}]}


def test_a_list_of_older_requests_counts_each() -> None:
    older = [Asked(ONE, "a", [{"action_request": {"action": "x", "args": {}}}] * 2)]
    both = [{"type": "accept", "args": None}, {"type": "ignore", "args": None}]
    assert fit(both, older, settled={}) == {ONE: both}
    with pytest.raises(InvalidInput):
        fit(both[:1], older, settled={})


def test_an_unknown_id_is_422_and_a_settled_one_409_naming_the_winner() -> None:
    with pytest.raises(InvalidInput, match="No question of this thread"):
        fit({TWO: True}, asked(ONE), settled={})
    with pytest.raises(InvalidInput, match="No question of this thread"):
        fit({THREE: True}, asked(ONE), settled={})
    with pytest.raises(AlreadyDecided, match="approved by rita"):
        fit({TWO: True}, asked(ONE), settled={TWO: "approved by rita"})
    with pytest.raises(InvalidInput):  # one good, one unknown: neither
        fit({ONE: True, TWO: True}, asked(ONE), settled={})


def test_nothing_open_is_409_and_tells_the_last_winner() -> None:
    with pytest.raises(StaleState, match="approved by sam"):
        fit({"decisions": [{"type": "approve"}]}, [], settled={ONE: "approved by rita", TWO: "approved by sam"})
    with pytest.raises(StaleState, match="Nothing is asked"):
        fit(True, [], settled={})


def test_positions_are_those_of_what_the_sender_was_shown() -> None:
    yes = {"decisions": [{"type": "approve"}]}
    with pytest.raises(AlreadyDecided, match="approved by rita"):  # gate 1 went by; this never reaches gate 2
        fit(yes, asked(TWO), settled={ONE: "approved by rita"}, shown=[ONE])
    with pytest.raises(StaleState, match="not what you were shown"):
        fit(yes, asked(ONE), settled={}, shown=[])
    with pytest.raises(StaleState):  # in another order they would change places
        fit({"decisions": [{"type": "approve"}, {"type": "reject"}]}, asked(ONE, TWO), settled={}, shown=[TWO, ONE])


def test_a_resume_that_says_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput):
        fit(None, asked(ONE), settled={})


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"type": "accept", "args": None}, Answer(ONE, Says.APPROVE)),
        (
            {"type": "accept", "args": {"action": "x", "args": {"n": 1}}},
            Answer(ONE, Says.APPROVE, action="x", args={"n": 1}),
        ),
        ([{"type": "accept"}], Answer(ONE, Says.APPROVE)),
        ({"decisions": [{"type": "approve"}]}, Answer(ONE, Says.APPROVE)),
        ([{"decisions": [{"type": "approve", "seen": "ab"}]}], Answer(ONE, Says.APPROVE, seen="ab")),
        ({"type": "ignore", "args": None}, Answer(ONE, Says.IGNORE)),
        ({"type": "response", "args": "why?"}, Answer(ONE, Says.RESPOND, message="why?")),
        ({"type": "respond", "message": "why?"}, Answer(ONE, Says.RESPOND, message="why?")),
        ({"type": "reject"}, Answer(ONE, Says.REJECT)),
        (
            {"type": "reject", "message": "worn", "reason_code": "worn"},
            Answer(ONE, Says.REJECT, message="worn", reason_code="worn"),
        ),
        (
            {"type": "edit", "args": {"action": "pay", "args": {"n": 1}}},
            Answer(ONE, Says.EDIT, action="pay", args={"n": 1}),
        ),
        (
            {"type": "edit", "edited_action": {"name": "pay", "args": {"n": 1}}},
            Answer(ONE, Says.EDIT, action="pay", args={"n": 1}),
        ),
        ({"type": "edit", "args": {"n": 1}}, Answer(ONE, Says.EDIT, args={"n": 1})),
    ],
)
def test_each_shape_says_what_it_means(said: Any, meant: Answer) -> None:
    assert read(ONE, said) == meant


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (True, "command.resume"),
        ("approve", "command.resume"),
        (None, "command.resume"),
        ([], "command.resume"),
        ({}, "command.resume"),
        ({"type": "APPROVED"}, "command.resume.type"),
        ({"type": ["approve"]}, "command.resume.type"),
        ({"decisions": []}, "command.resume"),
        ({"decisions": [{"type": "yes"}]}, "command.resume.decisions.0.type"),
        ({"decisions": [{"type": "approve"}], "and": 1}, "command.resume"),
        ({"type": "accept", "args": 7}, "command.resume.args"),
        ({"type": "edit"}, "command.resume.edited_action"),
        ({"type": "edit", "edited_action": {"name": "pay"}}, "command.resume.edited_action"),
        ({"type": "edit", "args": {"action": 7, "args": {}}}, "command.resume.edited_action"),
        ({"type": "respond"}, "command.resume.message"),
        ({"type": "reject", "message": 5}, "command.resume.message"),
        ({"type": "approve", "seen": 5}, "command.resume.seen"),
        ({"type": "reject", "message": "x" * 5000}, "command.resume.message"),
    ],
)
def test_what_is_no_answer_is_refused_and_the_field_named(said: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(ONE, said)
    assert refused.value.field == field


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "args", "decisions", "message", ONE, TWO, "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON, st.permutations([ONE, TWO, THREE]), st.integers(0, 3))
def test_whatever_comes_goes_to_open_questions_only_or_is_refused_with_a_reason(
    said: Any, ids: list[str], count: int
) -> None:
    open_, gone = asked(*ids[:count]), dict.fromkeys(ids[count:], "approved by rita")
    why = ""
    try:
        found = fit(said, open_, settled=gone, shown=ids[:count])
        answers = [read(question, value) for question, value in found.items()]
    except (StaleState, AlreadyDecided, InvalidInput) as refused:
        answers, why = [], refused.detail
    assert {each.question for each in answers} <= set(ids[:count])
    assert bool(answers) != bool(why)
