"""A ledger taken back to the version before: the guard holds there too, and no copy of a case becomes a real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from core.states import CaseStatus, Desired, ReviewStatus, RunStatus
from ledger.tables import CaseRow
from tests.support.guarded import DESK, SERVERS, Scene, Server, open_server


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with open_server(request.param) as opened:
        yield opened


def test_at_the_version_before_what_was_let_runs_and_nothing_else(server: Server) -> None:
    let, approved = Scene(server), Scene(server, (DESK,)).votes(ann="clerk").decided()
    nobody_asked, stopped = Scene(server, (DESK,)), Scene(server)
    stopped.want(Desired.PAUSE)
    server.migrate("0003")
    assert (let.run(), approved.run()) == (1, 1)
    with pytest.raises(IntegrityError, match="run refused: approval is missing"):
        nobody_asked.run()
    with pytest.raises(IntegrityError, match="run refused: its case may not go on"):
        stopped.run()
    with pytest.raises(IntegrityError, match="run refused: what was reserved does not change"):
        server.sql("UPDATE run SET subject = 'another'")
    assert server.sql("UPDATE run SET status = 'done'") == 2


def copy_of(scene: Scene) -> None:
    server = scene.server
    server.sql('UPDATE "case" SET simulated = true, forked_from = :id WHERE id = :id', id=scene.case)


def test_no_copy_is_a_real_case_after_going_down_and_up_again(server: Server) -> None:
    asked, approved = Scene(server, (DESK,)), Scene(server, (DESK,)).votes(ann="clerk").decided()
    real, ran = Scene(server, (DESK,)).votes(ann="clerk").decided(), Scene(server)
    for scene in (asked, approved, ran):
        copy_of(scene)
    assert ran.run(simulated=True) == 1
    server.sql("UPDATE run SET status = 'done'")
    server.migrate("0003")
    server.migrate("head")
    for copy in (asked, approved, ran):
        case: CaseRow = copy.do(lambda ledger, case=copy.case: ledger.cases.get(case))
        assert (case.status, case.outcome, case.closed_at is None) == (CaseStatus.CANCELLED, "cancelled", False)
    for waits in (asked, approved):
        assert status(waits) == ReviewStatus.SUPERSEDED
        with pytest.raises(IntegrityError, match="its case may not go on"):
            waits.run()
    assert server.value("SELECT status FROM run WHERE case_id = :id", id=ran.case) == RunStatus.FAILED
    assert (status(real), real.run()) == (ReviewStatus.APPROVED, 1)


def status(scene: Scene) -> Any:
    return scene.do(lambda ledger: ledger.reviews.get(scene.review).status)
