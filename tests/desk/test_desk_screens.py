"""People deciding on the screen, against a real server on a real port."""

from __future__ import annotations

import pytest

from core.errors import StaleState
from core.wire import REASON_CODES
from desk.feed import Link
from tests.support.desk_pilot import desk_on
from tests.support.desk_server import DeskServer


def three() -> DeskServer:
    server = DeskServer()
    server.opens("rev_8120", due_s=-180)
    server.opens("rev_8121", due_s=116, amount="1204.00 USD")
    server.opens("rev_8122", due_s=319, amount="19.00 USD", tool="store_credit.issue")
    return server


@pytest.mark.parametrize(("size", "light"), [((80, 24), False), ((120, 36), True), ((150, 40), False)])
async def test_the_desk_is_whole_at_every_size(size: tuple[int, int], light: bool) -> None:
    async with desk_on(three(), size=size, light=light) as desk:
        desk.screen.tick()
        await desk.shows("LIVE")
        text = desk.text()
        for wanted in ("anna", "Queue 3", "!! 1 late", "! 1 <5m", "-3:00", "1:56", "412.00 USD", "? help"):
            await desk.shows(wanted)
        if size[0] < 100:
            assert "FOR" not in text
            await desk.press("enter")
            await desk.shows("FOR")
            assert "store_credit" not in desk.text()
        for wanted in (
            "+ 2 photos, damage 0.83",
            "- Carrier has a signature",
            "Returns policy 4.2",
            "returns 7 (7f3c2a91)",
        ):
            await desk.shows(wanted)
        assert ("TRACE" in desk.text()) == (size[0] >= 150)


async def test_without_colours_everything_is_still_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    server = three()
    server.changes("rev_8122", claimed_by="ben")
    async with desk_on(server) as desk:
        assert desk.app.no_color
        for wanted in ("▸", "!!  -3:00", "!    1:56", "@", "● LIVE", "[Evidence]"):
            await desk.shows(wanted)


async def test_approving_sends_what_was_painted_and_goes_on_to_the_next() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        desk.ticks.now += 11
        await desk.press("a")
        await desk.tells("Approved.")
        (sent,) = desk.server.decided
        assert (sent["approval"], sent["choice"]) == ("rev_8120", "approve")
        assert sent["seen"] == desk.server.details["rev_8120"].seen
        assert sent["dwell_s"] >= 11
        assert sent["key"].startswith("key_")
        await desk.until(lambda: desk.screen.queue.cursor == "rev_8121", "the cursor went on")
        await desk.shows("Queue 2")


async def test_looking_claims_nothing() -> None:
    async with desk_on(three()) as desk:
        for name in ("rev_8121", "rev_8122"):
            await desk.press("j")
            await desk.armed(name)
        assert not [request for request in desk.server.requests if request.startswith("POST")]


async def test_keys_typed_ahead_approve_at_most_the_painted_case() -> None:
    server = DeskServer()
    for number in range(20):
        server.opens(f"rev_{number:04}", due_s=600 + number)
    async with desk_on(server) as desk:
        await desk.armed("rev_0000")
        await desk.press(*"aaaaaaaaaa")
        await desk.until(lambda: desk.screen.queue.cursor == "rev_0001", "the next case")
        await desk.press(*"aaaaaaaaaa")
        assert [sent["approval"] for sent in server.decided] == ["rev_0000"]


async def test_high_risk_takes_a_second_key_and_a_flood_is_not_one() -> None:
    server = DeskServer()
    server.opens("rev_8120", due_s=600, high_risk=True, people=2)
    async with desk_on(server) as desk:
        await desk.armed("rev_8120")
        await desk.press("a", "a", "a")
        await desk.tells("High risk")
        assert server.decided == []
        desk.ticks.now += 1
        await desk.press("c")
        await desk.shows("held by you")
        desk.ticks.now += 1
        await desk.press("a")
        assert server.decided == [], "another key came in between"
        desk.ticks.now += 1
        await desk.press("a")
        await desk.until(lambda: server.decided, "the second key approves")


async def test_a_rejection_is_two_keys_and_other_needs_a_note() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        await desk.press("r")
        await desk.shows("3  Evidence is missing")
        await desk.press("3")
        await desk.tells("Rejected.")
        await desk.armed("rev_8121")
        await desk.press("r", "6")
        await desk.shows("say in the note what it is")
        assert len(desk.server.decided) == 1
        await desk.press(*"twice paid", "enter")
        await desk.until(lambda: len(desk.server.decided) == 2, "the second rejection")
        first, second = desk.server.decided
        assert (first["choice"], first["reason_code"], first["note"]) == ("reject", "evidence_missing", "")
        assert (second["reason_code"], second["note"]) == (list(REASON_CODES)[5], "twice paid")


async def test_an_edit_shows_the_difference_before_it_is_sent() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        await desk.press("e")
        await desk.shows("412.00 USD")
        amount = desk.app.screen.query_one("#field-1")
        amount.value = "380.00 USD"  # type: ignore[attr-defined]
        desk.app.screen.query_one("#field-3").value = "yes"  # type: ignore[attr-defined]
        await desk.press("ctrl+s")
        await desk.shows("keep_item")
        await desk.shows("412.00 USD")
        await desk.shows("→")
        assert desk.server.decided == []
        await desk.press("enter")
        await desk.until(lambda: desk.server.decided, "the edit is sent")
        (sent,) = desk.server.decided
        assert sent["choice"] == "edit"
        assert sent["args"] == {
            **desk.server.details["rev_8120"].args,
            "amount": {"amount_minor": 38000, "currency": "USD"},
            "keep_item": True,
        }


async def test_a_wrong_amount_is_told_at_once_and_a_draft_outlives_the_form() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        await desk.press("e")
        await desk.until(lambda: desk.app.screen.query("#field-1"), "the form")
        desk.app.screen.query_one("#field-1").value = "12.345 USD"  # type: ignore[attr-defined]
        await desk.press("ctrl+s")
        await desk.shows("more than 2 decimals")
        await desk.press("escape")
        await desk.armed("rev_8120")
        await desk.press("e")
        await desk.shows("12.345 USD")
        assert desk.server.decided == []


async def test_a_colleague_was_faster() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        desk.server.changes("rev_8120", status="approved")
        await desk.press("a")
        await desk.tells("approved already, by ben")
        assert desk.screen.queue.cursor == "rev_8120", "the next case does not slide under the key"


async def test_what_a_colleague_decides_stays_under_the_cursor_but_takes_no_key() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        desk.server.settles("rev_8120", "rejected", "ben")
        await desk.shows("× rejected by ben")
        await desk.shows("Queue 2")
        await desk.press("a")
        await desk.tells("It is decided already.")
        assert desk.server.decided == []
        await desk.press("j")
        await desk.armed("rev_8121")
        assert "× rejected" not in desk.text()


async def test_arrivals_do_not_move_the_cursor() -> None:
    async with desk_on(three()) as desk:
        await desk.press("j")
        await desk.armed("rev_8121")
        desk.server.opens("rev_0001", due_s=-500)
        desk.server.opens("rev_0002", due_s=-400)
        await desk.shows("+2 new")
        assert desk.screen.queue.cursor == "rev_8121"
        assert [row.id for row in desk.screen.queue.rows][:2] == ["rev_0001", "rev_0002"]
        await desk.press("n")
        await desk.until(lambda: desk.screen.queue.cursor == "rev_0001", "next is what is due first")
        await desk.until(lambda: "new" not in desk.text(), "they were seen")


async def test_a_missing_role_is_named() -> None:
    server = three()
    server.me = server.me.model_copy(update={"roles": ["finance"]})
    async with desk_on(server) as desk:
        await desk.armed("rev_8120")
        await desk.press("a")
        await desk.tells("returns_reviewer")
        assert desk.screen.queue.cursor == "rev_8120"
        await desk.armed("rev_8120")


async def test_what_changed_since_it_was_painted_is_not_decided() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        desk.server.failing["rev_8120/decide"] = StaleState("It changed since you looked at it.", hint="Look again.")
        await desk.press("a")
        await desk.tells("Look again.")
        assert desk.server.requests.count("GET /approvals/rev_8120") >= 2


async def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    server = three()
    server.lose_answers = 1
    async with desk_on(server) as desk:
        await desk.armed("rev_8120")
        server.muted = True
        await desk.press("a")
        await desk.tells("It may have counted")
        await desk.armed("rev_8120")
        await desk.press("a")
        await desk.tells("Approved.")
        first, again = server.decided
        assert again == first
        assert server.details["rev_8120"].approval.version == 2, "it counted once"


async def test_a_lost_connection_turns_decisions_off_and_keeps_drafts() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        await desk.press("e")
        await desk.until(lambda: desk.app.screen.query("#field-1"), "the form")
        desk.app.screen.query_one("#field-1").value = "380.00 USD"  # type: ignore[attr-defined]
        desk.server.drop_streams()
        await desk.until(lambda: desk.screen.feed.link is Link.RECONNECTING, "reconnecting")
        await desk.press("ctrl+s")
        await desk.shows("→")
        await desk.press("enter")
        await desk.shows("nothing was sent")
        await desk.press("escape", "escape")
        await desk.shows("RECONNECTING")
        await desk.shows("Nothing can be decided")
        await desk.press("a")
        assert desk.server.decided == []
        desk.ticks.now += 60
        await desk.shows("OFFLINE")
        desk.server.settles("rev_8122", "expired", "")
        desk.server.streaming = True
        await desk.shows("LIVE")
        assert desk.server.resumed_from[-1] == len(desk.server.trace)
        await desk.shows("Queue 2")
        assert desk.app.session.drafts == {"rev_8120": {"amount": "380.00 USD"}}
        await desk.armed("rev_8120")
        await desk.press("a")
        await desk.until(lambda: len(desk.server.decided) == 1, "decisions are on again")


async def test_claims_are_taken_shown_and_given_back() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        await desk.press("c")
        await desk.shows("* held by you")
        await desk.shows("Mine 1")
        await desk.press("C")
        await desk.shows("Mine 0")
        desk.server.changes("rev_8121", claimed_by="ben")
        await desk.press("j")
        await desk.armed("rev_8121")
        await desk.press("c")
        await desk.tells("ben is looking at it")


async def test_tabs_filter_help_palette_and_theme() -> None:
    async with desk_on(three()) as desk:
        await desk.armed("rev_8120")
        await desk.press("right_square_bracket")
        await desk.shows("review.opened")
        await desk.press("right_square_bracket")
        await desk.shows("RULES THAT MATCHED")
        await desk.press("left_square_bracket", "left_square_bracket", "slash", *"action:store")
        await desk.until(lambda: [row.id for row in desk.screen.queue.rows] == ["rev_8122"], "the filter")
        await desk.press("enter")
        await desk.armed("rev_8122")
        await desk.press("escape")
        await desk.until(lambda: len(desk.screen.queue.rows) == 3, "the filter is forgotten")
        await desk.press("question_mark")
        await desk.shows("DECIDE")
        await desk.shows("Approve what is shown")
        await desk.press("escape", "T")
        await desk.until(lambda: desk.app.theme == "countersign-light", "the other theme")
        await desk.press("ctrl+p")
        await desk.pilot.pause()
        await desk.press(*"appr")
        await desk.shows("Approve  (a)")


async def test_an_empty_queue_says_so_and_a_new_case_opens_by_itself() -> None:
    async with desk_on(DeskServer()) as desk:
        await desk.shows("Queue clear.")
        desk.server.opens("rev_8120", due_s=600)
        await desk.armed("rev_8120")


async def test_a_refused_token_is_told_and_not_tried_again() -> None:
    server = three()
    async with desk_on(server) as desk:
        server.token = "another"
        server.drop_streams()
        await desk.shows("REFUSED")
        await desk.shows("This token is not known.")
        assert desk.screen.feed.link is Link.REFUSED
