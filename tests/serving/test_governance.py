"""Policy and roles change through the gate: signed, proved, approved by others than whoever asks, then in force."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.contract import Finish, PlanStep
from agents.procedure import Call, Seen
from core.clock import FakeClock
from core.errors import Forbidden, InvalidInput
from core.people import HOME, Person
from core.settings import EngineSettings, Settings
from core.verdicts import Deny
from core.wire_approvals import ApprovalDetail
from engine.decisions import Choice, Decision
from graphs.governance.kind import KIND as GOVERNANCE
from ledger.database import Ledger
from ledger.policies import point
from ledger.policy_tables import PolicyRow
from ledger.tables import SYSTEM, ActionRow, CaseRow, ReviewRow
from policies.book import read_book
from policies.bundle import Bundle, Manifest, new_key, public_text
from serving.api.views import approval_detail
from serving.house import House, open_house
from tests.support.folders import quick_folder
from tests.support.till_kind import BOOK, KIND

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
ROLES = {
    "cora": {"compliance"},
    "ann": {"policy_approver", "clerk"},
    "ben": {"policy_approver"},
    "kim": {"access_approver"},
    "lee": {"access_approver"},
    "ops": {"operator"},
    "bot": {"service"},
}
SIGNERS = ("owner-lead", "money-lead")
LIMIT, TIGHTER, LOOSER = "auto: 50 USD", "auto: 40 USD", "auto: 60 USD"


def till(old: str = "", new: str = "", *, version: str = "2", extra: str = "") -> str:
    text = BOOK.read_text().replace('version: "1"', f'version: "{version}"\napproved_by: [{", ".join(SIGNERS)}]{extra}')
    assert old in text
    return text.replace(old, new)


class PayOnce:
    """Plays the one payment of its case's script."""

    def plan(self, case: Mapping[str, Any], seen: Seen) -> list[PlanStep]:
        return [PlanStep(title="Pay")]

    def next(self, case: Mapping[str, Any], seen: Seen) -> list[Call] | Finish:
        (call,) = case["script"][0]
        asked = seen.last(call["tool"])
        if asked is None:
            return [Call(call["tool"], call["args"])]
        return Finish(outcome="paid" if asked.ran else "not_paid", summary=asked.outcome.reason)


TILL = replace(KIND, procedure=PayOnce())


class City:
    """A house with a till, and those who govern it."""

    def __init__(self, house: House, clock: FakeClock, keys: dict[str, Ed25519PrivateKey]) -> None:
        self.house = house
        self.clock = clock
        self.keys = keys

    def person(self, name: str, workspace: str = HOME) -> Person:
        return Person(id=name, workspace=workspace, roles=frozenset(ROLES[name]))

    async def read(self, step: Callable[[Ledger], Any]) -> Any:
        return await self.house.database.read(HOME, step)

    async def last(self) -> str:
        rows = await self.read(lambda ledger: ledger.policies.published("till"))
        return point(rows[-1])

    async def signed(self, text: str, *names: str, follows: str | None = None, kind: str = "till") -> Bundle:
        book = read_book(("till.yaml", text), self.house.words["till"])
        bundle = Bundle(manifest=Manifest.of(kind, book, await self.last() if follows is None else follows), text=text)
        for name in names or SIGNERS:
            bundle = bundle.signed(name, self.keys[name])
        return bundle

    async def submit(self, do: str, change: dict[str, Any], by: str = "cora", workspace: str = HOME) -> CaseRow:
        payload = {"do": do, "change": change}
        case, _ = await self.house.submit(self.person(by, workspace), "governance", payload)
        await self.house.settled(workspace, {case.id})
        row: CaseRow = await self.house.database.read(workspace, lambda ledger: ledger.cases.get(case.id))
        return row

    async def ask(self, bundle: Bundle, by: str = "cora", version: str | None = None) -> CaseRow:
        name = await self.house.office.hand_in(self.person("cora"), bundle)
        change = {"kind": bundle.manifest.kind, "version": version or bundle.manifest.version, "bundle": name}
        return await self.submit("policy.publish", change, by)

    async def publish(self, text: str, *approvers: str, by: str = "cora") -> CaseRow:
        return await self.decide(await self.ask(await self.signed(text), by), *approvers)

    async def roll_back(self, version: str, *approvers: str) -> CaseRow:
        row = await self.read(lambda ledger: ledger.policies.version("till", version))
        case = await self.submit("policy.roll_back", {"kind": "till", "version": version, "digest": row.digest})
        return await self.decide(case, *approvers)

    async def decide(self, case: CaseRow, *approvers: str, choice: Choice = Choice.APPROVE) -> CaseRow:
        for name in approvers:
            review = await self.review(case)
            await self.house.desk.decide(self.person(name), review.id, await self.look(review, choice))
        await self.house.settled(HOME, {case.id})
        row: CaseRow = await self.read(lambda ledger: ledger.cases.get(case.id))
        return row

    async def review(self, case: CaseRow) -> ReviewRow:
        (row,) = await self.read(lambda ledger: ledger.reviews.of_case(case.id, only_open=True))
        assert isinstance(row, ReviewRow)
        return row

    async def look(self, review: ReviewRow, choice: Choice) -> Decision:
        def seen(ledger: Ledger) -> str:
            return ledger.reviews.saw(review, ledger.effects.action(review.action_id).args)

        return Decision(choice=choice, seen=await self.read(seen), reason_code="no" if choice is Choice.REJECT else "")

    async def groups(self, case: CaseRow) -> list[str]:
        return sorted(str(each["group"]) for each in (await self.review(case)).reviewers)

    def version(self) -> str:
        return self.house.judge.book("till", self.clock.now()).version

    async def pay(self, cents: int) -> CaseRow:
        amount = {"amount_minor": cents, "currency": "USD"}
        turn = [{"tool": "gift.pay", "args": {"account_id": "acc_1", "amount": amount}}]
        case, _ = await self.house.submit(self.person("ops"), "till", {"customer": "cus", "script": [turn]})
        await self.house.settled(HOME, {case.id})
        row: CaseRow = await self.read(lambda ledger: ledger.cases.get(case.id))
        return row


@asynccontextmanager
async def city(folder: Path, clock: FakeClock, keys: dict[str, Ed25519PrivateKey]) -> AsyncIterator[City]:
    settings = Settings(data=folder, engine=EngineSettings(sweep_s=3600))
    async with open_house(settings, bell="tasks", clock=clock, kinds={"till": TILL, "governance": GOVERNANCE}) as house:

        def settle(ledger: Ledger) -> None:
            for name, roles in ROLES.items():
                ledger.people.add(HOME, name, frozenset(roles))
            if not ledger.policies.keys():
                for name, key in keys.items():
                    ledger.policies.trust(name, public_text(key))

        await house.database.write(HOME, settle)
        usd = {"amount_minor": 1_000_00, "currency": "USD"}
        await house.shop.load({"accounts": [{"account_id": "acc_1", "balance": usd}]})  # type: ignore[attr-defined]
        yield City(house, clock, keys)


@pytest.fixture
def folder() -> Any:
    with quick_folder() as path:
        yield path


@pytest.fixture
async def town(folder: Path) -> AsyncIterator[City]:
    keys = {name: new_key() for name in (*SIGNERS, "stranger")}
    keys_of_trust = {name: keys[name] for name in SIGNERS}
    async with city(folder / "data", FakeClock(NOW), keys_of_trust) as found:
        found.keys = keys
        yield found


# who approves


async def test_a_proved_tightening_takes_one_approver(town: City) -> None:
    case = await town.ask(await town.signed(till(LIMIT, TIGHTER)))
    assert (case.status, await town.groups(case)) == ("waiting", ["approver"])
    assert town.version() == "1"
    case = await town.decide(case, "ann")
    assert (case.status, case.outcome) == ("closed", "changed")
    assert town.version() == "2"


async def test_a_loosening_takes_two_and_shows_what_becomes_easier(town: City) -> None:
    case = await town.ask(await town.signed(till(LIMIT, LOOSER)))
    assert await town.groups(case) == ["two_approvers"]
    shown = (await town.review(case)).facts["change.summary"]["value"]
    assert "gift.pay" in shown
    assert "T-2" in shown
    case = await town.decide(case, "ann")
    assert (case.status, town.version()) == ("waiting", "1")
    case = await town.decide(case, "ben")
    assert (case.outcome, town.version()) == ("changed", "2")


async def test_approvers_see_what_last_month_would_have_become(town: City) -> None:
    """The version that decided is found in the ledger: without it nothing could be replayed for certain."""
    assert (await town.pay(5500)).status == "waiting"
    case = await town.ask(await town.signed(till(LIMIT, LOOSER)))
    shown = (await town.review(case)).facts["change.summary"]["value"]
    assert "the book of then gave the same verdict in all 1 " in shown
    assert "review -> allow" in shown


async def test_whoever_asks_has_no_vote(town: City) -> None:
    ROLES["both"] = {"compliance", "policy_approver"}
    case = await town.ask(await town.signed(till(LIMIT, TIGHTER)), by="both")
    review = await town.review(case)
    with pytest.raises(Forbidden, match="You opened this case"):
        await town.house.desk.decide(town.person("both"), review.id, await town.look(review, Choice.APPROVE))
    assert town.version() == "1"


async def test_a_refused_change_changes_nothing(town: City) -> None:
    case = await town.ask(await town.signed(till(LIMIT, TIGHTER)))
    case = await town.decide(case, "ann", choice=Choice.REJECT)
    assert (case.outcome, town.version()) == ("refused", "1")


async def test_a_service_may_not_even_ask_and_another_workspace_gets_nowhere(town: City) -> None:
    bundle = await town.signed(till(LIMIT, TIGHTER))
    with pytest.raises(Forbidden):
        await town.house.office.hand_in(town.person("bot"), bundle)
    with pytest.raises(Forbidden):
        await town.ask(bundle, by="bot")
    with pytest.raises(Forbidden):
        await town.ask(bundle, by="ops")
    name = await town.house.office.hand_in(town.person("cora"), bundle)
    change = {"kind": "till", "version": "2", "bundle": name}
    case = await town.submit("policy.publish", change, workspace="elsewhere")
    assert case.outcome == "refused"
    assert "home workspace" in case.summary


# signatures


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda b: b.model_copy(update={"signatures": b.signatures[:1]}), "money-lead has not signed it"),
        (lambda b: b.model_copy(update={"text": b.text.replace("A small gift", "A gift")}), "another file"),
        (lambda b: _swapped(b), "the signature of owner-lead is wrong"),
        (lambda b: b.model_copy(update={"signatures": ()}), "owner-lead has not signed it"),
    ],
)
async def test_a_wrong_or_missing_signature_is_refused(town: City, spoil: Any, said: str) -> None:
    case = await town.ask(spoil(await town.signed(till(LIMIT, TIGHTER))))
    assert case.outcome == "refused"
    assert said in case.summary
    assert town.version() == "1"


def _swapped(bundle: Bundle) -> Bundle:
    first, second = bundle.signatures
    mixed = (first.model_copy(update={"value": second.value}), second)
    return bundle.model_copy(update={"signatures": mixed})


async def test_a_strangers_key_and_a_revoked_one_sign_nothing(town: City) -> None:
    text = till(LIMIT, TIGHTER)
    forged = (await town.signed(text, "money-lead")).signed("owner-lead", town.keys["stranger"])
    assert "not trusted" in (await town.ask(forged)).summary
    bundle = await town.signed(text)
    await town.house.database.write(HOME, lambda ledger: ledger.policies.revoke("money-lead"))
    case = await town.ask(bundle)
    assert "the signature of money-lead is wrong, or by a key that is not trusted" in case.summary


async def test_a_key_revoked_while_people_decide_stops_it(town: City) -> None:
    case = await town.ask(await town.signed(till(LIMIT, TIGHTER)))
    await town.house.database.write(HOME, lambda ledger: ledger.policies.revoke("money-lead"))
    case = await town.decide(case, "ann")
    assert (case.outcome, town.version()) == ("refused", "1")


async def test_a_bundle_of_old_is_not_played_again(town: City) -> None:
    loose = await town.signed(till(LIMIT, LOOSER))
    await town.decide(await town.ask(loose), "ann", "ben")
    await town.publish(till(LIMIT, TIGHTER, version="3"), "ann")
    assert town.version() == "3"
    case = await town.ask(loose)
    assert case.outcome == "refused"
    assert "it was signed to follow" in case.summary
    assert town.version() == "3"


async def test_of_two_that_wait_only_the_first_comes_into_force(town: City) -> None:
    """The second was signed, proved and approved against a version that is not there any more."""
    first = await town.ask(await town.signed(till(LIMIT, TIGHTER, version="2a")))
    second = await town.ask(await town.signed(till(LIMIT, "auto: 45 USD", version="2b")))
    assert (await town.decide(first, "ann")).outcome == "changed"
    late = await town.decide(second, "ann")
    assert town.version() == "2a"
    assert late.outcome != "changed"


# time


@pytest.mark.parametrize(
    ("dates", "extra", "said"),
    [
        ("{from: 2026-06-01, to: 2026-10-31}", "", "its dates are over"),
        ("{from: 2026-12-01, to: 2026-12-31}", "", "it overlaps 2"),
        ("{from: 2027-02-01}", "", "nothing would be in force from 2027-01-01 to 2027-01-31"),
        ("{from: 2026-12-01}", "\nreplaces: 1.5", "there is no such version"),
    ],
)
async def test_dates_that_overlap_or_leave_a_gap_are_refused(town: City, dates: str, extra: str, said: str) -> None:
    await town.publish(till("{from: 2026-01-01}", "{from: 2026-11-02, to: 2026-12-31}"), "ann")
    assert town.version() == "2"
    text = till("{from: 2026-01-01}", dates, version="3", extra=extra)
    case = await town.ask(await town.signed(text))
    assert case.outcome == "refused"
    assert said in case.summary
    assert town.version() == "2"


async def test_a_version_that_replaces_another_says_so(town: City) -> None:
    await town.publish(till("{from: 2026-01-01}", "{from: 2026-11-02, to: 2026-12-31}"), "ann")
    dates = "{from: 2026-11-10, to: 2027-03-31}"
    case = await town.publish(till("{from: 2026-01-01}", dates, version="3", extra='\nreplaces: "2"'), "ann", "ben")
    assert (case.outcome, town.version()) == ("changed", "2")
    town.clock.advance(timedelta(days=8))
    assert town.version() == "3"


async def test_a_number_is_given_once(town: City) -> None:
    await town.publish(till(LIMIT, TIGHTER), "ann")
    case = await town.ask(await town.signed(till(LIMIT, "auto: 30 USD")))
    assert "was published with another text" in case.summary


async def test_the_end_of_a_version_is_told_before_and_then_nothing_is_allowed(town: City) -> None:
    await town.publish(till("{from: 2026-01-01}", "{from: 2026-11-02, to: 2026-11-20}"), "ann")
    assert not town.house.office.alarms(NOW)
    town.clock.advance(timedelta(days=6))
    (alarm,) = town.house.office.alarms(town.clock.now())
    assert "ends on 2026-11-20, and nothing follows" in alarm
    assert (await town.pay(1000)).outcome == "paid"
    town.clock.advance(timedelta(days=13))
    assert "No policy is in force for till" in town.house.office.alarms(town.clock.now())[0]
    verdict = town.house.judge.judge(await _any_action(town), {}, town.clock.now())
    assert isinstance(verdict, Deny)
    assert "not now" in verdict.reason


async def _any_action(town: City) -> Any:
    def first(ledger: Ledger) -> Any:
        row = next(iter(ledger.session.exec(_payments())))
        return ledger.effects.proposed(row)

    return await town.house.database.read(SYSTEM, first)


def _payments() -> Any:
    from sqlmodel import select

    return select(ActionRow).where(ActionRow.tool == "gift.pay")


# in force


async def test_every_decision_names_the_version_that_took_it(town: City) -> None:
    assert (await town.pay(4500)).outcome == "paid"
    await town.publish(till(LIMIT, TIGHTER), "ann")
    case = await town.pay(4500)
    assert case.status == "waiting"
    book = (await town.review(case)).book
    row = await town.read(lambda ledger: ledger.policies.version("till", "2"))
    assert (book["version"], book["digest"]) == ("2", row.digest)


async def test_people_see_that_policy_changed_and_it_decides_again(town: City) -> None:
    waits = await town.pay(6000)
    await town.publish(till("cap: 900 USD", "cap: 55 USD"), "ann")

    def shown(ledger: Ledger) -> ApprovalDetail:
        (row,) = ledger.reviews.of_case(waits.id, only_open=True)
        return approval_detail(town.house, ledger, row)

    detail: ApprovalDetail = await town.read(shown)
    assert detail.policy_since == "till 2"
    await town.decide(waits, "ann")
    runs = await town.read(lambda ledger: ledger.effects.runs(waits.id))
    assert runs == []


async def test_an_earlier_version_comes_back(town: City) -> None:
    await town.publish(till(LIMIT, LOOSER), "ann", "ben")
    case = await town.roll_back("1", "ann", "ben")  # it asks for no signatures at all, so it is no tightening
    assert (case.outcome, town.version()) == ("changed", "1")
    case = await town.roll_back("2", "ann")
    assert (case.status, town.version()) == ("waiting", "1")
    sources = [row.source for row in await town.read(lambda ledger: ledger.policies.published("till"))]
    assert sources == ["installed", "published", "rolled_back"]
    assert (await town.house.checker.check()).findings == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("args.amount > $cap", "args.amuont > $cap", "Did you mean args.amount?"),
        ("T-8", "T-7", "already"),
        (
            "rules:\n",
            'never:\n- {tools: [gift.pay], allow_when: args.amount > 40 USD, why: "Memo."}\nrules:\n',
            "never",
        ),
    ],
)
async def test_what_does_not_load_or_keep_its_promises_is_refused(town: City, old: str, new: str, said: str) -> None:
    text = till(old, new)
    book = read_book(("till.yaml", till()), town.house.words["till"])
    manifest = Manifest.of("till", book, await town.last())
    bundle = Bundle(manifest=manifest, text=text)
    for name in SIGNERS:
        bundle = bundle.signed(name, town.keys[name])
    case = await town.ask(bundle)
    assert case.outcome == "refused"
    assert said in case.summary
    assert town.version() == "1"


async def test_it_is_in_force_after_a_restart_and_the_installed_file_is_not(folder: Path) -> None:
    keys = {name: new_key() for name in SIGNERS}
    async with city(folder / "data", FakeClock(NOW), keys) as town:
        await town.publish(till(LIMIT, TIGHTER), "ann")
    async with city(folder / "data", FakeClock(NOW), keys) as again:
        assert again.version() == "2"
        sources = [row.source for row in await again.read(lambda ledger: ledger.policies.published("till"))]
        assert sources == ["installed", "published"]


async def test_what_another_process_published_is_taken_up(town: City) -> None:
    """The row is there, this process has not heard of it: its next round finds it."""
    book = read_book(("till.yaml", till(LIMIT, TIGHTER)), town.house.words["till"])
    row = PolicyRow(
        kind="till", name=book.name, version=book.version, digest=book.digest, text=till(LIMIT, TIGHTER),
        source="published", follows=await town.last(), key="elsewhere",
    )  # fmt: skip
    await town.house.database.write(HOME, lambda ledger: ledger.policies.publish(row))
    assert town.version() == "1"
    await town.house.sweeper.sweep()
    assert town.version() == "2"


def unreadable(follows: str) -> PolicyRow:
    """A version that was good when it was published, and that this program can't read."""
    text = "policy: till\nrules: 9\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return PolicyRow(
        kind="till", name="till", version="9", digest=digest, text=text, source="published", follows=follows, key="9"
    )


async def test_a_version_that_does_not_load_leaves_the_last_good_one_in_force(town: City) -> None:
    row = unreadable(await town.last())
    await town.house.database.write(HOME, lambda ledger: ledger.policies.publish(row))
    await town.house.sweeper.sweep()
    assert town.version() == "1"
    assert any("does not load any more" in alarm for alarm in town.house.office.alarms(NOW))
    assert (await town.pay(1000)).outcome == "paid"


async def test_after_a_restart_it_denies_and_another_one_can_be_published(folder: Path) -> None:
    """The one before it may be looser than what was in force: it does not come back by itself."""
    keys = {name: new_key() for name in SIGNERS}
    async with city(folder / "data", FakeClock(NOW), keys) as town:
        row = unreadable(await town.last())
        await town.house.database.write(HOME, lambda ledger: ledger.policies.publish(row))
    async with city(folder / "data", FakeClock(NOW + timedelta(hours=1)), keys) as again:
        assert (await again.pay(1000)).outcome != "paid"
        assert any("does not load any more" in alarm for alarm in again.house.office.alarms(NOW))
        case = await again.ask(await again.signed(till(version="10")))
        assert case.status == "waiting", case.summary
        case = await again.decide(case, "ann", "ben")
        assert (case.outcome, again.version()) == ("changed", "10")
        assert (await again.pay(1000)).outcome == "paid"


async def test_a_version_is_compared_with_what_it_takes_the_place_of(town: City) -> None:
    """Stricter than today's, but looser than the one that is to come: two people have to see it."""
    dates = "{from: 2026-11-20}"
    await town.publish(till("{from: 2026-01-01}", dates).replace(LIMIT, TIGHTER), "ann")
    later = till("{from: 2026-01-01}", "{from: 2026-12-01}", version="3").replace(LIMIT, "auto: 45 USD")
    case = await town.ask(await town.signed(later))
    assert await town.groups(case) == ["two_approvers"]


async def test_a_tightening_that_a_sleeping_version_would_undo_is_shown_to_two(town: City) -> None:
    await town.publish(till("{from: 2026-01-01}", "{from: 2026-11-20}"), "ann")
    case = await town.ask(await town.signed(till(LIMIT, TIGHTER, version="3")))
    assert await town.groups(case) == ["two_approvers"]
    assert "On 2026-11-20 2 takes over from it" in (await town.review(case)).facts["change.summary"]["value"]


async def test_where_nothing_would_be_in_force_any_version_is_looser(town: City) -> None:
    await town.publish(till("{from: 2026-01-01}", "{from: 2026-11-02, to: 2026-11-20}"), "ann")
    town.clock.advance(timedelta(days=30))
    case = await town.ask(await town.signed(till(version="3")))
    assert await town.groups(case) == ["two_approvers"]


async def test_a_bundle_of_old_is_not_played_again_after_a_roll_back_either(town: City) -> None:
    loose = await town.signed(till(LIMIT, LOOSER))
    await town.decide(await town.ask(loose), "ann", "ben")
    await town.roll_back("1", "ann", "ben")
    case = await town.ask(loose)
    assert case.outcome == "refused"
    assert "it was signed to follow" in case.summary


async def test_a_text_that_is_not_its_digest_is_left_out(town: City) -> None:
    row = PolicyRow(
        kind="till", name="till", version="9", digest="9" * 64, text=till(LIMIT, LOOSER, version="9"),
        source="published", follows=await town.last(), key="forged",
    )  # fmt: skip
    await town.house.database.write(HOME, lambda ledger: ledger.policies.publish(row))
    await town.house.sweeper.sweep()
    assert town.version() == "1"
    assert any("is not what was published" in alarm for alarm in town.house.office.alarms(NOW))
    findings = [each.detail for each in (await town.house.checker.check()).findings]
    assert findings == ["the policy till 9 came into force, and no action brought it"]


# roles


async def test_nobody_edits_a_grant_into_one_for_themselves(town: City) -> None:
    case = await town.submit("people.grant", {"person": "new", "roles": ["clerk"]})
    review = await town.review(case)
    edited = (await town.look(review, Choice.EDIT)).model_copy(
        update={"args": {"person": "kim", "roles": ["clerk"], "note": ""}}
    )
    with pytest.raises(InvalidInput, match="Policy does not allow it"):
        await town.house.desk.decide(town.person("kim"), review.id, edited)


async def test_roles_that_changed_meanwhile_are_asked_about_again(town: City) -> None:
    """One grant waits, another takes everything away: the first does not bring it back unseen."""
    await town.decide(await town.submit("people.grant", {"person": "new", "roles": ["clerk"]}), "kim")
    waits = await town.submit("people.grant", {"person": "new", "roles": ["clerk", "boss"]})
    await town.decide(await town.submit("people.grant", {"person": "new", "roles": []}), "lee")
    again = await town.decide(waits, "kim")
    assert again.status == "waiting"
    assert (await town.read(lambda ledger: ledger.people.get(HOME, "new"))).roles == []


async def test_roles_are_given_by_those_who_answer_for_access(town: City) -> None:
    case = await town.submit("people.grant", {"person": "new", "roles": ["clerk"]})
    assert await town.groups(case) == ["access"]
    assert (await town.decide(case, "kim")).outcome == "changed"
    row = await town.read(lambda ledger: ledger.people.get(HOME, "new"))
    assert row.roles == ["clerk"]


async def test_roles_that_govern_are_given_by_two(town: City) -> None:
    for role in ("admin", "policy_approver", "operator"):
        case = await town.submit("people.grant", {"person": f"new-{role}", "roles": ["clerk", role]})
        assert "two_of_access" in await town.groups(case)
        assert (await town.decide(case, "kim")).status == "waiting"
        assert (await town.decide(case, "lee")).outcome == "changed"


async def test_nobody_gets_roles_that_they_asked_for_themselves(town: City) -> None:
    case = await town.submit("people.grant", {"person": "cora", "roles": ["policy_approver"]})
    assert case.outcome == "refused"
    row = await town.read(lambda ledger: ledger.people.get(HOME, "cora"))
    assert row.roles == ["compliance"]


def test_the_day_of_a_test_is_a_day_of_the_book() -> None:
    assert date(2026, 1, 1) <= NOW.date()
