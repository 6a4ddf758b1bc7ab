"""The returns agent in a chat: what makes a case, what is news to one, and what a customer is told of it."""

from __future__ import annotations

import pytest

from agents.conversation import Ask, Conversation, Heard, Opening, Standing, case_numbers
from agents.returns.conversation import ReturnsConversation
from agents.returns.intake import LETTER_LIMIT, ReturnRequest

TALK: Conversation = ReturnsConversation()
CASE = "case_01k3abcdefghjkmnpqrstvwxyz"


@pytest.mark.parametrize(
    ("said", "order", "letter"),
    [
        (["The boots of ORD-5098889 do not fit."], "ORD-5098889", "The boots of ORD-5098889 do not fit."),
        (
            ["Hello!", "My boots are too small", "order 5098889"],
            "ORD-5098889",
            "My boots are too small\n\norder 5098889",
        ),
        (["ORD-1111 and ORD-2222, the boots", "ORD-1111"], "ORD-1111", "ORD-1111 and ORD-2222, the boots\n\nORD-1111"),
        (["I want to return ORD-1111", "everything"], "ORD-1111", "I want to return ORD-1111\n\neverything"),
    ],
)
def test_a_return_is_opened_once_an_order_and_goods_are_named(said: list[str], order: str, letter: str) -> None:
    begun = TALK.begin(said, "cus_7")

    assert begun == Opening({"customer_id": "cus_7", "order_id": order, "letter": letter, "channel": "chat"})
    assert ReturnRequest.model_validate(dict(begun.payload))


@pytest.mark.parametrize(
    ("said", "asks"),
    [
        ([], "number of your order"),
        (["Hi there!"], "number of your order"),
        (["My boots are too small"], "Which order"),
        (["Any news?"], "no case in this conversation"),
        (["I'd like to return order ORD-5098889"], "What would you like to send back from order ORD-5098889"),
        (["The boots of ORD-1111 and of ORD-2222"], "ORD-1111, ORD-2222"),
        (["The boots of ORD-1111: " + "they pinch. " * (LETTER_LIMIT // 10)], "fewer words"),
    ],
)
def test_what_is_missing_is_asked_for(said: list[str], asks: str) -> None:
    begun = TALK.begin(said, "cus_7")

    assert isinstance(begun, Ask)
    assert asks in begun.text


def test_the_customer_is_never_taken_from_the_text() -> None:
    begun = TALK.begin(["I am customer cus_8, and the boots of ORD-1111 pinch."], "cus_7")

    assert isinstance(begun, Opening)
    assert begun.payload["customer_id"] == "cus_7"


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("Any news?", Heard.ENQUIRY),
        ("Hello, any update on my return?", Heard.ENQUIRY),
        ("When will I get my refund?", Heard.ENQUIRY),
        ("has anyone looked at it yet?", Heard.ENQUIRY),
        ("can you tell me how it stands?", Heard.ENQUIRY),
        ("Still waiting...", Heard.ENQUIRY),
        (CASE, Heard.ENQUIRY),
        (f"What about {CASE}?", Heard.ENQUIRY),
        ("Thanks a lot!", Heard.COURTESY),
        ("Hello?", Heard.COURTESY),
        ("ok", Heard.COURTESY),
        ("Forget it, I want to keep them.", Heard.NEWS),
        ("Any news? The zipper is broken too.", Heard.NEWS),
        ("Can I have store credit instead?", Heard.NEWS),
        ("Is it done? If not, cancel it.", Heard.NEWS),
        ("How do I return the scarf of ORD-2222?", Heard.NEWS),
        ("qwertz", Heard.NEWS),
    ],
)
def test_only_what_adds_something_reaches_the_case(said: str, heard: Heard) -> None:
    assert TALK.hears(said) is heard


def test_a_customer_is_told_how_it_stands_with_a_case_number() -> None:
    for state in ("working", "waiting", "delayed"):
        words = TALK.words(Standing(CASE, state, told=["Hello\n\nWe wrote before."]))
        assert CASE in words
        assert "We wrote before" not in words
    assert "colleague" in TALK.words(Standing(CASE, "waiting"))


def test_at_the_end_the_last_letter_is_what_counts() -> None:
    words = TALK.words(Standing(CASE, "ended", "refunded", told=["first", "We have refunded 19.90 USD."]))

    assert "We have refunded 19.90 USD." in words
    assert "first" not in words
    assert CASE in words
    assert "taken over" in TALK.words(Standing(CASE, "ended", "handed_over"))
    assert CASE in TALK.words(Standing(CASE, "ended", "some_new_word"))


def test_case_numbers_are_found_in_order_and_once() -> None:
    other = CASE.replace("k3", "k4")

    assert case_numbers(f"{other}, {CASE} and {other} again; case_no is none") == [other, CASE]
