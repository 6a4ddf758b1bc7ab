"""The second guard: whoever writes into the database itself gets no run in that people and policy did not let.

Each story is played on SQLite and on PostgreSQL, with bare statements, around all that the program checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.actions import ProposedAction
from core.states import Desired, ReviewStatus, RunStatus
from core.verdicts import Deny, ReviewerSet
from ledger import guards
from ledger.tables import DecisionRow, ReviewRow, RunRow
from tests.support.guarded import BOOK, BOSSES, DESK, SERVERS, Scene, Server, open_server, sqlite_server

HEAD = ReviewerSet(group="head", role="boss", people=1, within_s=3600)
LATE_DESK = DESK.model_copy(update={"late": HEAD})
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with open_server(request.param) as opened:
        yield opened


def allowed(server: Server) -> Scene:
    return Scene(server)


def approved(server: Server) -> Scene:
    return Scene(server, (DESK,)).votes(ann="clerk").decided()


def approved_by_three(server: Server) -> Scene:
    return Scene(server, (DESK, BOSSES)).votes(ann="clerk", ben="clerk boss", cat="boss").decided()


def approved_late(server: Server) -> Scene:
    return Scene(server, (LATE_DESK,)).hand_over().votes(cat="boss").decided()


def approved_after_a_chain(server: Server) -> Scene:
    head = HEAD.model_copy(update={"late": BOSSES})
    scene = Scene(server, (DESK.model_copy(update={"late": head}),)).hand_over().hand_over()
    return scene.votes(cat="boss", dan="boss").decided()


@pytest.mark.parametrize("way", [allowed, approved, approved_by_three, approved_late, approved_after_a_chain])
def test_what_was_let_runs(server: Server, way: Callable[[Server], Scene]) -> None:
    scene = way(server)
    assert scene.run() == 1
    assert scene.runs() == 1


def test_the_programs_own_reservation_runs_and_comes_once(server: Server) -> None:
    scene = approved(server)

    def reserve(ledger: Any) -> bool:
        ledger.effects.decided(scene.action.id, "execute", scene.book)
        return bool(ledger.effects.reserve(RunRow(**scene.run_row())))

    assert [scene.do(reserve), scene.do(reserve)] == [True, False]


NOT_THE_ACTION: dict[str, tuple[dict[str, Any], str]] = {
    "an action that nobody proposed": ({"action_id": "f" * 64}, "not the action that was proposed"),
    "in another workspace": ({"workspace": "elsewhere"}, "not the action that was proposed"),
    "for another case": ({"case_id": "case_x"}, "not the action that was proposed"),
    "with another tool": ({"tool": "pay.more"}, "not the action that was proposed"),
    "proposed by another": ({"proposer": "ann"}, "not the action that was proposed"),
    "under another key": ({"key": "mine"}, "not the action that was proposed"),
    "about another customer": ({"subject": "cus_2"}, "its case may not go on"),
    "as done already": ({"status": RunStatus.DONE}, "has to begin as an intent"),
    "as if its case were a copy": ({"simulated": True}, "whether its case is a copy"),
    "not gated": ({"gated": False}, "gated has to say"),
    "at another time": ({"started_at": None}, "was not decided on again"),
}


@pytest.mark.parametrize(("changes", "why"), NOT_THE_ACTION.values(), ids=NOT_THE_ACTION.keys())
def test_a_run_is_of_exactly_what_was_proposed(server: Server, changes: dict[str, Any], why: str) -> None:
    scene = approved(server)
    if "started_at" in changes:
        changes = {"started_at": server.clock.now() - SECOND}
    with pytest.raises(IntegrityError, match=f"run refused: .*{why}"):
        scene.run(**changes)
    assert scene.runs() == 0
    assert scene.run() == 1, "without the change it runs"


@pytest.mark.parametrize("desired", [Desired.PAUSE, Desired.CANCEL])
def test_nothing_runs_where_people_stopped_the_case(server: Server, desired: Desired) -> None:
    scene = approved(server)
    scene.want(desired)
    with pytest.raises(IntegrityError, match="run refused: its case may not go on"):
        scene.run()
    assert scene.runs() == 0


def test_what_policy_allows_is_not_called_gated(server: Server) -> None:
    with pytest.raises(IntegrityError, match="gated has to say what policy says"):
        allowed(server).run(gated=True)


def undecided(scene: Scene) -> None:
    """The gate's own decision is there."""


def only_at_the_gate(scene: Scene) -> None:
    scene.insert(DecisionRow, scene.decision("gate"))


def in_an_earlier_transaction(scene: Scene) -> None:
    scene.insert(DecisionRow, scene.decision())
    scene.server.clock.advance(SECOND)


def at_another_time(scene: Scene) -> None:
    scene.insert(DecisionRow, scene.decision(at=scene.server.clock.now() + SECOND))


def and_edited_since(scene: Scene) -> None:
    scene.insert(DecisionRow, scene.decision())
    scene.insert(DecisionRow, scene.decision("edit"))


@pytest.mark.parametrize("way", [allowed, approved])
@pytest.mark.parametrize(
    "decided", [undecided, only_at_the_gate, in_an_earlier_transaction, at_another_time, and_edited_since]
)
def test_nothing_runs_that_was_not_decided_on_right_then(
    server: Server, way: Callable[[Server], Scene], decided: Callable[[Scene], None]
) -> None:
    scene = way(server)
    decided(scene)
    with pytest.raises(IntegrityError, match="run refused: it was not decided on again"):
        scene.insert(RunRow, scene.run_row())
    assert scene.runs() == 0


def test_what_policy_denies_does_not_run_whoever_approved_it(server: Server) -> None:
    scene = approved(server)
    scene.book = Deny(reason="", book=BOOK)
    for gated in (True, False):
        with pytest.raises(IntegrityError, match="run refused: policy denies it"):
            scene.run(gated=gated)


def never_asked(server: Server) -> Scene:
    scene = Scene(server)
    scene.book = scene.says(DESK)
    return scene


def still_open(server: Server) -> Scene:
    return Scene(server, (DESK,)).votes(ann="clerk")


def of_another_action(server: Server) -> Scene:
    scene = approved(server)
    scene.action = scene.do(lambda ledger: scene.another(ledger, amount=900))
    return scene


def decided_after_it(server: Server) -> Scene:
    """People approved after the decision that is shown."""
    scene = Scene(server, (DESK,)).votes(ann="clerk")
    server.clock.advance(SECOND)
    scene.decided()
    server.clock.advance(-SECOND)
    return scene


def closed_as(status: ReviewStatus) -> Callable[[Server], Scene]:
    return lambda server: Scene(server, (DESK,)).votes(ann="clerk").decided(status)


def asked_again_since(server: Server) -> Scene:
    """The facts moved: the approval was withdrawn, and people are asked again."""
    scene = approved(server).decided(ReviewStatus.SUPERSEDED)
    scene.do(scene._open)
    return scene


UNAPPROVED = [never_asked, still_open, of_another_action, decided_after_it, asked_again_since] + [
    closed_as(status) for status in ReviewStatus if status not in (ReviewStatus.OPEN, ReviewStatus.APPROVED)
]


@pytest.mark.parametrize("way", UNAPPROVED)
def test_nothing_that_policy_gates_runs_without_an_approval_of_it(
    server: Server, way: Callable[[Server], Scene]
) -> None:
    scene = way(server)
    with pytest.raises(IntegrityError, match=r"run refused: approval is missing$|run refused: approval is missing\n"):
        scene.run()
    assert scene.runs() == 0


def vote(name: str, *, now: str = "clerk", then: str = "clerk", **changes: Any) -> Callable[[Scene], None]:
    """Somebody's vote, the only one, in a case of `ops`, on a proposal of `agent`."""

    def cast(scene: Scene) -> None:
        if now:
            scene.person(name, now)
        scene.vote(name, then, **changes)

    return cast


def too_late(scene: Scene) -> None:
    scene.person("ann", "clerk")
    scene.vote("ann", "clerk", at=scene.server.clock.now() + timedelta(hours=1, microseconds=1))


def no_longer_here(scene: Scene) -> None:
    scene.votes(ann="clerk")
    scene.server.sql("UPDATE person SET active = :no WHERE workspace = :w", no=False, w=scene.workspace)


def of_another_house(scene: Scene) -> None:
    Scene(scene.server).person("ann", "clerk")
    scene.vote("ann", "clerk")


DO_NOT_COUNT = {
    "nobody's": lambda scene: None,
    "of the proposer": vote("agent"),
    "of who opened the case": vote("ops"),
    "of another role": vote("eve", now="auditor", then="auditor"),
    "of a role that was taken away": vote("ann", now="auditor"),
    "of a role that was given later": vote("ann", then="auditor"),
    "of nobody we know": vote("ann", now=""),
    "on another action": vote("ann", action_id="x"),
    "in another workspace": vote("ann", workspace="elsewhere"),
    "too late": too_late,
    "of somebody who left": no_longer_here,
    "of somebody in another house": of_another_house,
}


@pytest.mark.parametrize("cast", DO_NOT_COUNT.values(), ids=DO_NOT_COUNT.keys())
def test_a_vote_that_does_not_count_fills_no_seat(server: Server, cast: Callable[[Scene], None]) -> None:
    scene = Scene(server, (DESK,))
    cast(scene)
    scene.decided()
    with pytest.raises(IntegrityError, match="run refused: approval is missing of some who are asked"):
        scene.run()
    assert scene.runs() == 0


@dataclass
class Told(Scene):
    """A scene whose action has arguments."""

    args: dict[str, Any] = field(default_factory=dict)

    def another(self, ledger: Any, **args: Any) -> ProposedAction:
        return super().another(ledger, **self.args, **args)


NAMES_HER = [{"person": "ann"}, {"n": 1, "of": {"id": "bob"}, "to": "ann"}, {"zoë": "ann", "note": "ann and bob"}]
NAMES_NOBODY = [
    {"note": "ann and bob"},
    {"ann": "x"},
    {"people": ["ann"]},
    {"of": {"id": "ann"}},
    {"to": "Ann", "n": None},
]


@pytest.mark.parametrize("args", NAMES_HER, ids=str)
def test_nobody_votes_on_what_names_them(server: Server, args: dict[str, Any]) -> None:
    scene = Told(server, (DESK,), args=args).votes(ann="clerk").decided()
    with pytest.raises(IntegrityError, match="run refused: approval is missing of some who are asked"):
        scene.run()
    assert Told(server, (DESK,), args=args).votes(ann="clerk", ben="clerk").decided().run() == 1


@pytest.mark.parametrize("args", NAMES_NOBODY, ids=str)
def test_only_a_whole_text_argument_names_somebody(server: Server, args: dict[str, Any]) -> None:
    assert Told(server, (DESK,), args=args).votes(ann="clerk").decided().run() == 1


def test_a_name_is_compared_as_it_is_whatever_stands_in_it(server: Server) -> None:
    for name in ("zoë", "o-brien@shop.example", "1", "null"):
        scene = Told(server, (DESK,), args={"person": name}).votes(**{name: "clerk"}).decided()
        with pytest.raises(IntegrityError, match="missing of some"):
            scene.run()
    for name, value in (("1", 1), ("null", None), ("true", True)):
        assert Told(server, (DESK,), args={"person": value}).votes(**{name: "clerk"}).decided().run() == 1


@pytest.mark.parametrize("choice", ["reject", "edit"])
def test_one_veto_is_enough(server: Server, choice: str) -> None:
    scene = Scene(server, (DESK,)).votes(ann="clerk")
    scene.person("ben", "clerk")
    scene.vote("ben", "clerk", choice=choice)
    scene.decided()
    with pytest.raises(IntegrityError, match="run refused: somebody refused it"):
        scene.run()


def _of(role: str, people: int = 1) -> ReviewerSet:
    return ReviewerSet(group=f"{role}s", role=role, people=people, within_s=3600)


TOO_FEW: dict[str, tuple[tuple[ReviewerSet, ...], dict[str, str], str]] = {
    "one of two": ((BOSSES,), {"cat": "boss"}, "missing of some"),
    "one group of two": ((DESK, BOSSES), {"cat": "boss", "dan": "boss"}, "missing of some"),
    "on two seats": ((DESK, BOSSES), {"ben": "clerk boss", "cat": "boss"}, "two seats"),
    "on two seats of one role": ((DESK, _of("clerk")), {"ann": "clerk"}, "two seats"),
    "two on three seats": ((_of("a"), _of("b"), _of("c")), {"x": "a b c", "y": "a b c"}, "two seats"),
    "a pair among three": ((_of("a"), _of("b"), _of("c")), {"x": "a b", "y": "c", "z": "c"}, "two seats"),
}


@pytest.mark.parametrize(("asked", "people", "why"), TOO_FEW.values(), ids=TOO_FEW.keys())
def test_nobody_sits_twice_and_no_seat_stays_empty(
    server: Server, asked: tuple[ReviewerSet, ...], people: dict[str, str], why: str
) -> None:
    scene = Scene(server, asked).votes(**people).decided()
    with pytest.raises(IntegrityError, match=f"run refused: .*{why}"):
        scene.run()
    assert scene.runs() == 0


def test_a_review_by_nobody_is_no_review(server: Server) -> None:
    with pytest.raises(IntegrityError, match="missing of some"):
        approved(server).run(asked=())


def test_a_stricter_policy_counts_when_it_runs(server: Server) -> None:
    with pytest.raises(IntegrityError, match="missing of some"):
        approved(server).run(asked=(DESK, BOSSES))


LATE: dict[str, tuple[ReviewerSet, ...]] = {
    "policy lets nobody take over any more": (DESK,),
    "policy lets others take over": (DESK.model_copy(update={"late": _of("chief")}),),
    "policy asks more people to take over": (DESK.model_copy(update={"late": HEAD.model_copy(update={"people": 2})}),),
    "policy asks for more people": (DESK.model_copy(update={"people": 2, "late": HEAD}),),
    "it stood for another group": (LATE_DESK.model_copy(update={"group": "front"}),),
}


@pytest.mark.parametrize("asked", LATE.values(), ids=LATE.keys())
def test_who_takes_over_sits_only_where_policy_lets_them_now(server: Server, asked: tuple[ReviewerSet, ...]) -> None:
    scene = approved_late(server)
    with pytest.raises(IntegrityError, match="missing of some"):
        scene.run(asked=asked)
    assert scene.runs() == 0


def test_nobody_takes_over_from_who_was_not_late(server: Server) -> None:
    scene = Scene(server, (LATE_DESK,)).votes(cat="boss").decided()
    with pytest.raises(IntegrityError, match="missing of some"):
        scene.run()


# afterwards


RESERVED = {
    "action_id": "'x'",
    "workspace": "'x'",
    "case_id": "'x'",
    "key": "'x'",
    "tool": "'x'",
    "args_digest": "'x'",
    "subject": "'x'",
    "proposer": "'x'",
    "started_at": "'2026-11-03T09:00:00.000000+00:00'",
    "gated": "NOT gated",
    "counted_by": "'[]'",
    "simulated": "NOT simulated",
}


@pytest.mark.parametrize(("column", "value"), RESERVED.items(), ids=RESERVED.keys())
def test_what_was_reserved_does_not_change(server: Server, column: str, value: str) -> None:
    scene = approved(server)
    scene.run()
    with pytest.raises(IntegrityError, match="run refused: what was reserved does not change"):
        server.sql(f"UPDATE run SET {column} = {value} WHERE action_id = :id", id=scene.action.id)


MOVES = {("intent", each) for each in ("intent", "done", "failed", "unknown")} | {
    ("unknown", each) for each in ("unknown", "done", "failed")
}


@pytest.mark.parametrize("before", list(RunStatus))
@pytest.mark.parametrize("to", list(RunStatus))
def test_a_run_goes_on_to_its_end_and_not_back(server: Server, before: RunStatus, to: RunStatus) -> None:
    scene = allowed(server)
    scene.run()
    move = "UPDATE run SET status = :to, attempts = attempts + 1 WHERE action_id = :id"
    if before is not RunStatus.INTENT:
        server.sql(move, to=str(before), id=scene.action.id)
    if (str(before), str(to)) in MOVES:
        assert server.sql(move, to=str(to), id=scene.action.id) == 1
        return
    with pytest.raises(IntegrityError, match=r"run refused: it (is over|can not begin again)"):
        server.sql(move, to=str(to), id=scene.action.id)


AGAIN = {
    "sqlite": ("INSERT OR REPLACE INTO run SELECT {columns} FROM run WHERE action_id = :id",),
    "postgresql": (
        "INSERT INTO run SELECT {columns} FROM run WHERE action_id = :id "
        "ON CONFLICT (action_id) DO UPDATE SET args_digest = excluded.args_digest",
    ),
}


def test_no_run_is_taken_out_or_replaced(server: Server) -> None:
    scene = allowed(server)
    scene.run()
    with pytest.raises(IntegrityError, match="run refused: it happened, and stays"):
        server.sql("DELETE FROM run WHERE action_id = :id", id=scene.action.id)
    columns = ", ".join("'other'" if each.name == "args_digest" else each.name for each in RunRow.__table__.columns)  # type: ignore[attr-defined]
    for again in AGAIN[server.name]:
        assert server.sql(again.format(columns=columns), id=scene.action.id) in (0, -1)
    kept = server.value("SELECT args_digest FROM run WHERE action_id = :id", id=scene.action.id)
    assert kept == scene.run_row()["args_digest"]


def test_a_key_is_used_once(server: Server) -> None:
    scene = allowed(server)
    scene.run()
    with pytest.raises(IntegrityError, match="run refused: its key is taken"):
        scene.run(action_id="f" * 64)


@pytest.mark.parametrize("status", [each for each in ReviewStatus if each is not ReviewStatus.OPEN])
def test_a_review_begins_open(server: Server, status: ReviewStatus) -> None:
    scene = Scene(server, (DESK,))
    with pytest.raises(IntegrityError, match="review refused: it has to begin open"):
        scene.insert(ReviewRow, scene.review_row(id="rev_forged", status=status))


TAKEN_BACK = (ReviewStatus.APPROVED, ReviewStatus.REJECTED, ReviewStatus.RESPONDED)
"""What nobody may act upon any more; it never becomes anything else."""


@pytest.mark.parametrize("before", [each for each in ReviewStatus if each is not ReviewStatus.OPEN])
@pytest.mark.parametrize("to", list(ReviewStatus))
def test_what_was_decided_stays_decided(server: Server, before: ReviewStatus, to: ReviewStatus) -> None:
    scene = Scene(server, (DESK,)).decided(before)
    move = "UPDATE review SET status = :to, interrupt_id = 'new' WHERE id = :id"
    taken_back = to is ReviewStatus.SUPERSEDED and before in TAKEN_BACK
    if to is before or taken_back:
        assert server.sql(move, to=str(to), id=scene.review) == 1
        return
    with pytest.raises(IntegrityError, match="review refused: it was decided"):
        server.sql(move, to=str(to), id=scene.review)


FROZEN = {
    "moved to another action": ("action_id = 'x'", "what is asked does not change"),
    "moved to another case": ("case_id = 'x'", "what is asked does not change"),
    "moved to another workspace": ("workspace = 'x'", "what is asked does not change"),
    "asked of fewer": ("reviewers = '[]'", "who was asked, and until when, stays"),
    "given more time": ("due_at = '2027-01-01T00:00:00.000000+00:00'", "who was asked, and until when, stays"),
}


@pytest.mark.parametrize(("change", "why"), FROZEN.values(), ids=FROZEN.keys())
def test_a_decided_review_says_what_it_said(server: Server, change: str, why: str) -> None:
    scene = approved(server)
    with pytest.raises(IntegrityError, match=f"review refused: {why}"):
        server.sql(f"UPDATE review SET {change} WHERE id = :id", id=scene.review)
    with pytest.raises(IntegrityError, match="review refused: it was asked, and stays"):
        server.sql("DELETE FROM review WHERE id = :id", id=scene.review)


@pytest.mark.parametrize("name", SERVERS)
def test_it_comes_to_a_ledger_with_records_in_it_and_can_be_taken_away_again(name: str) -> None:
    with open_server(name) as server:
        with server.engine.begin() as connection:
            guards.remove(connection)
        old, waiting = allowed(server), Scene(server, (DESK,)).votes(ann="clerk")
        ungated, late, never = (Scene(server, (DESK,)) for _ in range(3))
        assert server.migrate("0002") == "0002"
        for scene in (old, ungated):  # as whoever holds the connection could until now
            scene.run()
        assert server.migrate("head") == server.migrate("head") > "0002"
        assert old.runs() == ungated.runs() == 1
        old.do(lambda ledger: ledger.effects.finish(old.action.id, RunStatus.DONE, {"id": 1}, ""))
        assert waiting.decided().run() == 1
        with pytest.raises(IntegrityError, match="approval is missing"):
            late.run()
        server.migrate("0002")
        assert late.run() == 1
        assert server.migrate("head") > "0002"
        with pytest.raises(IntegrityError, match="approval is missing"):
            never.run()
        server.migrate("base")
        server.migrate("head")
        assert allowed(server).run() == 1


def test_it_can_be_taken_away_to_see_what_the_program_holds_alone(server: Server) -> None:
    with server.engine.begin() as connection:
        guards.remove(connection)
    try:
        scene = Scene(server, (DESK,))
        assert scene.run() == 1
        assert server.sql("DELETE FROM run WHERE workspace = :w", w=scene.workspace) == 1
    finally:
        with server.engine.begin() as connection:
            guards.install(connection)
    with pytest.raises(IntegrityError, match="approval is missing"):
        Scene(server, (DESK,)).run()


def test_a_plain_run_pays_for_look_ups_by_key_only() -> None:
    """SQLite tells how it would look at each table that the guard reads."""
    params = {"id": "x", "key": "y", "case": "z"}
    with sqlite_server() as server, server.engine.begin() as connection:
        steps = [str(row[-1]) for row in connection.execute(text("EXPLAIN QUERY PLAN " + PLAIN), params)]
    assert steps
    harmless = ("SCAN CONSTANT ROW", "VIRTUAL TABLE")  # roles, in the JSON of one row
    assert [step for step in steps if step.startswith("SCAN") and not any(each in step for each in harmless)] == []


PLAIN = """SELECT
    (SELECT 1 FROM run WHERE action_id = :id), (SELECT 1 FROM run WHERE key = :key),
    (SELECT 1 FROM action AS a WHERE a.id = :id), (SELECT 1 FROM "case" AS c WHERE c.id = :case),
    (SELECT 1 FROM decision AS d WHERE d.id = (SELECT max(id) FROM decision WHERE action_id = :id)),
    (SELECT 1 FROM run_approval AS r WHERE r.action_id = :id),
    (SELECT count(DISTINCT v.person) FROM run_approver AS v WHERE v.action_id = :id AND v.role = 'x')"""
