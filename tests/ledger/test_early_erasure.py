"""Whoever may write into a case's row brings no evidence to be erased: the audit has to say that it ended, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.states import CaseStatus
from tests.support.guarded import SERVERS, Scene, open_server


@pytest.mark.parametrize("name", SERVERS)
def test_what_the_audit_does_not_say_ended_is_kept(name: str) -> None:
    with open_server(name) as server:
        never, lately, long_ago = Scene(server), Scene(server), Scene(server)
        long_ago.do(lambda ledger: ledger.audit.append("case.closed", {}, case_id=long_ago.case))
        server.clock.advance(timedelta(days=9))
        lately.do(lambda ledger: ledger.audit.append("case.closed", {}, case_id=lately.case))
        server.sql("UPDATE \"case\" SET status = 'closed', closed_at = opened_at")
        before = {CaseStatus.CLOSED: server.clock.now() - timedelta(days=2)}
        found = {
            scene.case: scene.do(lambda ledger: [each.case_id for each in ledger.retention.to_erase(before, 10)])
            for scene in (never, lately, long_ago)
        }
        assert found == {never.case: [], lately.case: [], long_ago.case: [long_ago.case]}
        assert long_ago.do(lambda ledger: ledger.retention.erasable(before)) == 1
