"""An executor of its own: what it refuses to whoever is not to be trusted, and what it survives."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from core.errors import SetupError
from core.people import HOME, Person
from core.settings import ExecutorSettings, Settings, ShopSettings
from core.states import FINISHED, CaseStatus, Desired, RunStatus
from engine.decisions import Choice, Decision
from graphs.governance.kind import KIND as GOVERNANCE
from ledger.database import Ledger
from policies.book import read_book
from policies.bundle import Bundle, Manifest, new_key, public_text
from serving.effects import line_to_executor
from serving.executor.room import open_executor
from serving.house import House, open_house
from tests.serving.apart import SECRET, Apart, open_apart, open_three, settings
from tests.serving.logins import logins, with_roles
from tests.support.script import ScriptedModel
from tests.support.servers import fresh_database
from tests.support.till import Till, pay, person, usd, write
from tests.support.till_kind import BOOK, KIND
from tools.fulfillment.faults import Fault, PlannedFault
from tools.fulfillment.shop import EmbeddedShop

READ = {"tool": "account.read", "args": {"account_id": "acc_1"}}


@pytest.fixture(scope="module")
def with_roles_given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh_database() as found:
        asyncio.run(with_roles(tmp_path_factory.mktemp("owner"), found, {"till": KIND, "governance": GOVERNANCE}))
        yield found


@pytest.fixture
def server(with_roles_given: str) -> Iterator[str]:
    """A database whose owner has given the roles."""
    with fresh_database(with_roles_given) as found:
        yield found


async def test_three_processes_with_logins_of_their_own_carry_a_case_through(tmp_path: Path, server: str) -> None:
    with logins(server) as each:
        async with open_three(tmp_path, each, model=ScriptedModel()) as three:
            till = three.till
            case = await till.run(
                [{"tool": "account.read", "args": {"account_id": "acc_1"}}], [pay("60.00")], [write()]
            )
            assert await till.status(case) == CaseStatus.WAITING

            await till.approve("ann", case)
            await till.settle(case)

            assert await till.status(case) == CaseStatus.CLOSED
            assert await till.happened(case) == ["gift.pay", "note.write"]
            assert {run.worker for run in await till.runs(case)} == {three.room.name}


async def test_all_that_people_may_do_goes_by_the_desks_login(tmp_path: Path, server: str) -> None:
    with logins(server) as each:
        async with open_three(tmp_path, each, model=ScriptedModel()) as three:
            till = three.till
            edited = await till.run([pay("60.00")])
            await till.edit("ann", edited, account_id="acc_1", amount=usd("40.00"))
            assert (await till.status(edited), await till.happened(edited)) == (CaseStatus.CLOSED, ["gift.pay"])

            refused = await till.run([pay("60.00")])
            await till.reject("ann", refused)
            late = await till.run([pay("70.00")], customer="cus_2")
            till.clock.advance(timedelta(hours=5))  # the worker's sweeper looks at it
            await until(lambda: till.status(late), CaseStatus.CLOSED)
            assert (await till.happened(refused), await till.happened(late)) == ([], [])

            till.fail(("parcel.send", Fault.TIMEOUT_AFTER))
            unknown = await till.run([write("parcel.send")], customer="cus_3")
            await till.want(unknown, Desired.CANCEL)
            await till.approve("ops", unknown)
            await until(lambda: reasons(till, unknown), ["reconciled by people: "])
            assert (await till.read(lambda ledger: ledger.audit.verify("default")))[1] is None


async def test_policy_and_roles_change_by_an_approved_run_of_the_executors_login(tmp_path: Path, server: str) -> None:
    kinds = {"till": KIND, "governance": GOVERNANCE}
    keys = {name: new_key() for name in ("owner-lead", "money-lead")}
    with logins(server) as each:
        async with open_three(tmp_path, each, kinds) as three:
            till, house = three.till, three.till.house
            cora, pam, kim = (
                officer("cora", "compliance"),
                officer("pam", "policy_approver"),
                officer("kim", "access_approver"),
            )

            def settle(ledger: Ledger) -> None:
                for each in (cora, pam, kim):
                    ledger.people.add(HOME, each.id, each.roles)
                for name, key in keys.items():
                    ledger.policies.trust(name, public_text(key))

            await three.owner.write(HOME, settle)

            asked = {"do": "people.grant", "change": {"person": "zoe", "roles": ["clerk"]}}
            case, _ = await house.submit(cora, "governance", asked)
            await till.settle(case.id)
            await approve(till, kim, case.id)
            zoe = await till.read(lambda ledger: ledger.people.get(HOME, "zoe"))
            assert (await till.case(case.id)).outcome == "changed"
            assert zoe.roles == ["clerk"]

            text = BOOK.read_text().replace('version: "1"', f'version: "2"\napproved_by: [{", ".join(keys)}]')
            book = read_book(("till.yaml", text.replace("auto: 50", "auto: 40")), house.words["till"])
            last = await till.read(lambda ledger: ledger.policies.last("till"))
            bundle = Bundle(manifest=Manifest.of("till", book, last), text=text.replace("auto: 50", "auto: 40"))
            for name, key in keys.items():
                bundle = bundle.signed(name, key)
            digest = await house.office.hand_in(cora, bundle)
            change = {"kind": "till", "version": "2", "bundle": digest}
            case, _ = await house.submit(cora, "governance", {"do": "policy.publish", "change": change})
            await till.settle(case.id)
            await approve(till, pam, case.id)
            assert (await till.case(case.id)).outcome == "changed"
            await house.office.refresh()
            assert house.judge.book("till", till.clock.now()).version == "2"


def officer(name: str, *roles: str) -> Person:
    return Person(id=name, roles=frozenset(roles))


async def approve(till: Till, who: Person, case: str) -> None:
    review = await till.review(case)
    await till.house.desk.decide(who, review.id, Decision(choice=Choice.APPROVE, seen=await till.seen(review.id)))
    await till.settle(case)


async def reasons(till: Till, case: str) -> list[str]:
    return [run.reason for run in await till.runs(case)]


async def until(look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    while await look() != wanted:  # noqa: ASYNC110 - other processes' doings are looked for
        await asyncio.sleep(0.05)


# whoever asks


@pytest.fixture
async def apart(tmp_path: Path, server: str) -> AsyncIterator[Apart]:
    async with open_apart(tmp_path, server) as found:
        yield found


def action(case: str, tool: str = "account.read", args: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    whole = {"workspace": "default", "case_id": case, "kind": "till", "tool": tool, "schema_version": 1}
    asked = {"args": args or {"account_id": "acc_1"}, "proposer": "agent:till", "step_key": "t9c1"}
    return {**whole, **asked, **more}


async def ask(apart: Apart, path: str, body: dict[str, Any], token: str = SECRET) -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient(base_url=apart.address, headers={"Authorization": f"Bearer {token}"}) as client:
        answer = await client.post(path, json=body)
        return answer.status_code, answer.json()


async def test_without_the_token_nobody_is_heard(apart: Apart) -> None:
    for path in ("/run", "/read", "/facts", "/recall", "/settle"):
        assert (await ask(apart, path, {"workspace": "default", "action_id": "a"}, "guessed"))[0] == 401
    assert (await httpx.AsyncClient().post(f"{apart.address}/run", json={})).status_code == 401


async def test_of_an_effect_the_id_alone_is_taken(apart: Apart) -> None:
    case = await apart.till.run([pay("60.00")])
    payment = action(case, "gift.pay", pay("1.00")["args"])
    assert (await ask(apart, "/read", {"action": payment}))[0] == 403
    assert (await ask(apart, "/run", {"action": payment}))[0] == 422
    assert (await ask(apart, "/run", {"workspace": "*", "action_id": "a"}))[0] == 403
    assert await apart.till.happened(case) == []


async def test_what_waits_for_people_is_not_run_for_whoever_asks(apart: Apart) -> None:
    case = await apart.till.run([pay("60.00")])
    (row,) = await apart.till.actions(case)

    status, told = await ask(apart, "/run", {"workspace": "default", "action_id": row.id})

    assert (status, told["type"]) == (409, "urn:countersign:ask-again")
    assert await apart.till.happened(case) == []


async def test_a_read_is_judged_again_and_a_refused_one_is_on_the_record(apart: Apart) -> None:
    case = await apart.till.run([pay("60.00")])
    assert (await ask(apart, "/read", {"action": action(case)}))[1]["result"]["account_id"] == "acc_1"

    apart.till.change_policy("tools: [account.read, note.write", "tools: [note.write")
    apart.room.judge.replace("till", *apart.till.house.judge.versions("till"))
    status, told = await ask(apart, "/read", {"action": action(case)})

    assert (status, told["status"], told["result"]) == (200, "denied", {})
    assert "read.refused" in await apart.till.audit(case)


async def test_reads_and_facts_are_told_of_open_cases_alone(apart: Apart) -> None:
    over = await apart.till.run([write()])
    for case, more in ((over, {}), ("case_none", {}), (over, {"kind": "other"}), (over, {"workspace": "elsewhere"})):
        asked = action(case, **more)
        assert (await ask(apart, "/read", {"action": asked}))[0] in (403, 404)
        payment = action(case, "gift.pay", pay("1.00")["args"], **more)
        assert (await ask(apart, "/facts", {"action": payment, "wanted": ["account.balance"]}))[0] in (403, 404)


async def test_who_asks_again_while_it_runs_hears_what_came_of_the_one_run(apart: Apart) -> None:
    case = await apart.till.run([pay("60.00")])
    await apart.till.hold(case)
    await apart.till.approve("ann", case)
    await apart.till.house.intake.want(person("ops"), case, Desired.RUN)
    (row,) = await apart.till.actions(case)
    asked = {"workspace": "default", "action_id": row.id}

    answers = await asyncio.gather(*(ask(apart, "/run", asked) for _ in range(5)))
    await apart.till.settle(case)

    assert {told["status"] for _, told in answers} == {"done"}
    assert await apart.till.happened(case) == ["gift.pay"]


async def test_of_two_executors_that_are_asked_at_once_one_runs_it_and_both_tell(apart: Apart, server: str) -> None:
    till = apart.till
    case = await till.run([pay("60.00")])
    await till.hold(case)
    await till.approve("ann", case)
    await till.house.intake.want(person("ops"), case, Desired.RUN)
    (row,) = await till.actions(case)
    till.fail(PlannedFault(operation="gift.pay", fault=Fault.SLOW, seconds=0.3))
    of_other = settings(till.house.settings.data / "other", server)
    async with open_executor(of_other, clock=till.clock, shop=till.shop, kinds={"till": KIND}) as other:
        both = [room.desk.run("default", row.id, None) for room in (apart.room, other)]
        assert [outcome.status for outcome in await asyncio.gather(*both)] == ["done", "done"]
    assert await till.happened(case) == ["gift.pay"]


# what it survives


async def test_an_executor_killed_in_the_middle_of_an_effect_is_not_missed(tmp_path: Path, server: str) -> None:
    """The payment was made, and its process died before it wrote that down: the next one looks it up."""
    shop = EmbeddedShop(tmp_path / "shop.db", [KIND.dialect])
    await shop.load({"accounts": [{"account_id": "acc_1", "balance": usd("100.00")}]})
    async with Child.running(tmp_path, server, 0) as first:
        house = open_house(
            settings(tmp_path / "house", server, first.address),
            bell="tasks",
            kinds={"till": KIND},
            model=ScriptedModel(),
        )
        async with house as found:
            (tmp_path / "strike").touch()
            payload = {"customer": "cus_1", "script": [[pay("20.00")]], "loop": False}
            case, _ = await found.submit(person("ops"), "till", payload)
            await first.gone()
            async with Child.running(tmp_path, server, first.port):
                while (await status(found, case.id)) not in FINISHED:
                    await found.sweeper.sweep()
                    await asyncio.sleep(0.1)
                runs = await found.database.read("default", lambda ledger: ledger.effects.runs(case.id))
    assert [(run.status, run.attempts) for run in runs] == [(RunStatus.DONE, 2)]
    assert [call.operation for call in await shop.log()] == ["gift.pay"]
    await shop.close()


async def status(house: House, case: str) -> CaseStatus:
    return CaseStatus((await house.database.read("default", lambda ledger: ledger.cases.get(case))).status)


@dataclass
class Child:
    process: asyncio.subprocess.Process
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, server: str, port: int) -> AsyncIterator[Child]:
        arguments = ("-m", "tests.serving.executor_child", str(folder), server, str(port))
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout is not None
            address = (await process.stdout.readline()).decode().strip()
            assert address, "the executor did not come up"
            yield cls(process, address)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def gone(self) -> None:
        assert await self.process.wait() == -signal.SIGKILL


def test_a_process_that_has_an_executor_holds_no_credentials() -> None:
    asked = Settings(
        executor=ExecutorSettings(url="http://127.0.0.1:1", token=SecretStr("t")),
        shop=ShopSettings(token=SecretStr("the shop's")),
    )
    with pytest.raises(SetupError, match="no credentials of the shop"):
        line_to_executor(asked, shared=True)
    with pytest.raises(SetupError, match="records that it can share"):
        line_to_executor(asked, shared=False)
