"""The program and the database judge the same votes by rules that were written twice: they never disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from core.actions import ProposedAction
from core.states import ReviewStatus
from core.verdicts import Review, ReviewerSet
from engine.votes import approval
from ledger.database import Ledger
from tests.support.guarded import DESK, SERVERS, Scene, Server, open_server

ROLES = "abc"
NAMES = ("ops", "agent", "x", "y", "z", "u")
"""Who opened the case, who proposed, and four others."""


@dataclass(frozen=True)
class Vote:
    then: str
    now: str
    active: bool
    late: bool


@dataclass
class Told(Scene):
    """A scene whose action has arguments, which may name people."""

    args: dict[str, Any] = field(default_factory=dict)

    def another(self, ledger: Any, **args: Any) -> ProposedAction:
        return super().another(ledger, **self.args, **args)


@st.composite
def sets(draw: st.DrawFn, group: str) -> ReviewerSet:
    """A group, and up to two others that take over one after the other, never with fewer people."""
    found = None
    for number in reversed(range(draw(st.integers(1, 3)))):
        people = draw(st.integers(1, found.people if found else 2))
        name = f"{group}{number or ''}"
        found = ReviewerSet(group=name, role=draw(st.sampled_from(ROLES)), people=people, within_s=3600, late=found)
    assert found is not None
    return found


def mostly(usual: Any, seldom: Any) -> st.SearchStrategy[Any]:
    return st.integers(0, 11).flatmap(lambda n: seldom if n == 7 else usual)


KEEPERS = st.dictionaries(
    st.sampled_from(("ops", "agent", "x")), st.sets(st.sampled_from(NAMES), max_size=1), max_size=2
)
"""Who holds tokens of whom."""
ROLE_SETS = st.sets(st.sampled_from(ROLES), min_size=1).map(lambda each: " ".join(sorted(each)))
VOTES = st.dictionaries(
    st.sampled_from(NAMES),
    ROLE_SETS.flatmap(
        lambda held: st.builds(
            Vote,
            then=mostly(st.just(held), ROLE_SETS),
            now=mostly(st.just(held), ROLE_SETS),
            active=mostly(st.just(True), st.just(False)),
            late=mostly(st.just(False), st.just(True)),
        )
    ),
    min_size=2,
    max_size=6,
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[ReviewerSet, ...]:
    return tuple(draw(sets(group)) for group in "pqr"[: draw(st.integers(1, 3))])


NAME = st.sampled_from(NAMES)
ARGS = st.dictionaries(
    st.sampled_from(("person", "note", "x")),
    st.one_of(NAME, NAME, st.lists(NAME), st.builds(lambda name: {"id": name}, NAME), st.just("x and y"), st.none()),
    max_size=2,
)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with open_server(request.param) as opened:
        yield opened


def _keeps(workspace: str, account: str, keeper: str, ledger: Ledger) -> None:
    ledger.people.keep(workspace, account, keeper)


@given(data=st.data(), then=asked(), votes=VOTES, args=ARGS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_they_let_the_same_run(
    server: Server, data: Any, then: tuple[ReviewerSet, ...], votes: dict[str, Vote], args: dict[str, Any]
) -> None:
    scene = Told(server, then, args=args)
    for _ in range(data.draw(st.integers(0, 2), label="times late")):
        reviewed = scene.do(lambda ledger: ledger.reviews.asked(ledger.reviews.get(scene.review)))
        may = [n for n, each in enumerate(reviewed) if each.late]
        late = data.draw(st.sets(st.sampled_from(may)) if may else st.just(set()), label="late")
        if late:
            scene.hand_over(*sorted(late))
    for name, vote in votes.items():
        scene.person(name, vote.now)
        at = scene.review_row()["due_at"] if not vote.late else scene.review_row()["due_at"].replace(year=2027)
        scene.vote(name, vote.then, at=at)
        if not vote.active:
            server.sql(
                "UPDATE person SET active = :no WHERE workspace = :w AND id = :n", no=False, w=scene.workspace, n=name
            )
    for account, keepers in data.draw(mostly(st.just({}), KEEPERS), label="tokens").items():
        scene.person(account, votes[account].now if account in votes else "")
        for keeper in keepers:
            scene.do(partial(_keeps, scene.workspace, account, keeper))
    if votes and data.draw(mostly(st.just(False), st.just(True)), label="a veto"):
        scene.person("v", "a")
        scene.vote("v", "a", choice="reject")
    scene.decided(data.draw(mostly(st.just(ReviewStatus.APPROVED), st.just(ReviewStatus.EXPIRED)), label="came out"))
    now = data.draw(mostly(st.just(then), asked()), label="asked now")

    verdict = Review(reason="", book=scene.book.book, reviewers=now)
    why = scene.do(lambda ledger: approval(ledger, scene.action, verdict)[1])
    try:
        scene.run(asked=now)
        refused = ""
    except IntegrityError as error:
        refused = str(error.orig)
    assert bool(why) == bool(refused), (why, refused)


@pytest.mark.parametrize("party", ["ops", "agent"])
def test_neither_counts_who_holds_a_token_of_the_opener_or_the_proposer(server: Server, party: str) -> None:
    scene = Scene(server, (DESK,))
    for name, role in ((party, "c"), ("x", "clerk")):
        scene.person(name, role)
    scene.vote("x", "clerk")
    scene.do(partial(_keeps, scene.workspace, party, "x"))
    scene.decided(ReviewStatus.APPROVED)
    verdict = Review(reason="", book=scene.book.book, reviewers=(DESK,))
    assert "clerk" in scene.do(lambda ledger: approval(ledger, scene.action, verdict)[1])
    with pytest.raises(IntegrityError, match="approval is missing of some who are asked"):
        scene.run()
