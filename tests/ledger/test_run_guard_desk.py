"""The second guard knows who passed a question on, and that what was decided may still be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from core.states import ReviewStatus
from engine.undo_window import begin
from ledger.database import Ledger
from ledger.desk_tables import EscalationRow
from tests.support.guarded import BOSSES, DESK, SERVERS, Scene, Server, open_server

LATE_DESK = DESK.model_copy(update={"late": BOSSES})


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with open_server(request.param) as opened:
        yield opened


def pass_on(scene: Scene, person: str, *, undone: bool = False) -> None:
    def write(ledger: Ledger) -> None:
        row = EscalationRow(
            review_id=scene.review,
            case_id=scene.case,
            action_id=scene.action.id,
            person=person,
            from_group="desk",
            to_group="bosses",
            note="",
            version=1,
        )
        ledger.desk_work.passed_on(row)
        if undone:
            ledger.desk_work.taken_back(row)

    scene.do(write)


def test_whoever_passed_it_on_fills_no_seat(server: Server) -> None:
    """Not even with the role of those whom it went to, and whatever the program above says."""
    scene = Scene(server, (LATE_DESK,)).hand_over().votes(ben="boss", cat="boss").decided()
    pass_on(scene, "ben")
    with pytest.raises(IntegrityError, match="approval is missing of some who are asked"):
        scene.run()


def test_whoever_took_that_back_fills_one_again(server: Server) -> None:
    scene = Scene(server, (DESK,)).votes(ann="clerk").decided()
    pass_on(scene, "ann", undone=True)
    assert scene.run() == 1


@pytest.mark.parametrize(("left_s", "runs"), [(1, False), (0, True), (-1, True)])
def test_nothing_runs_that_its_approver_may_still_take_back(server: Server, left_s: int, runs: bool) -> None:
    scene = Scene(server, (DESK,)).votes(ann="clerk").decided()
    until = server.clock.now() + timedelta(seconds=left_s)

    def wait(ledger: Ledger) -> None:
        ledger.reviews.get(scene.review).undo_until = until

    scene.do(wait)
    if runs:
        assert scene.run() == 1
        return
    with pytest.raises(IntegrityError, match="whoever approved it may still take that back"):
        scene.run()


@pytest.mark.parametrize("name", SERVERS)
def test_the_version_before_waits_for_nobody_and_holds_no_words(name: str) -> None:
    """What may still be taken back goes on; an answer with words becomes a no; rejected ones stay as they are."""
    with open_server(name) as server:
        waiting = Scene(server, (DESK,)).votes(ann="clerk").decided()
        told = Scene(server, (DESK,)).decided(ReviewStatus.RESPONDED)

        def wait(ledger: Ledger) -> None:
            review = ledger.reviews.get(waiting.review)
            begin(ledger, review, ledger.now + timedelta(seconds=30))

        waiting.do(wait)
        server.migrate("0006")
        event = "SELECT event_id FROM inbox WHERE case_id = :case AND processed_at IS NULL"
        assert str(server.value(event, case=waiting.case)).startswith(f"{waiting.review}:approved")
        assert server.value("SELECT count(*) FROM timer WHERE purpose = 'review.undo' AND fired_at IS NULL") == 0
        assert server.value("SELECT status FROM review WHERE id = :id", id=told.review) == "rejected"
        server.migrate("head")
        assert server.value("SELECT asked_of FROM review WHERE id = :id", id=told.review) == " group:desk role:clerk "
        assert waiting.run() == 1
