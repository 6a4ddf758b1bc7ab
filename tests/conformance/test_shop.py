"""One suite for every way to a shop: embedded in memory, embedded on a file, and over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from core.clock import FakeClock
from core.errors import InvalidInput, KeyReused, OutcomeUnknown, ProviderRefused, ProviderUnavailable
from core.ids import digest
from tools.fulfillment.callbacks import ShopEvent
from tools.fulfillment.faults import Fault, FaultPlan, Faults, PlannedFault
from tools.fulfillment.http import HttpShop
from tools.fulfillment.ports import Dialect, Records, Shop, expect
from tools.fulfillment.server import shop_app
from tools.fulfillment.shop import EmbeddedShop

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-tests"
WORLD = {
    "accounts": [
        {"account_id": "ada", "owner": "lovelace", "status": "OPEN", "balance": 0},
        {"account_id": "bob", "owner": "lovelace", "status": "FROZEN", "balance": 5},
    ]
}


@dataclass
class Gate:
    """Holds the operation `accounts.hold` inside its transaction until the test lets it go."""

    entered: Event = field(default_factory=Event)
    leave: Event = field(default_factory=Event)


def bank(gate: Gate | None = None) -> Dialect:
    def deposit(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
        account = records.get("accounts", args["account_id"])
        expect(account, "status", args.get("expected_status"))
        account["balance"] += args["amount"]
        records.put("accounts", account["account_id"], account)
        entry = {"entry_id": records.new_id("entry"), "amount": args["amount"], "at": records.now.isoformat()}
        records.put("entries", entry["entry_id"], entry)
        if account["balance"] > 1_000_000:  # only now, when records have been written
            raise ProviderRefused("That is too much for one account.", reason="limit_exceeded")
        return {"balance": account["balance"], "entry_id": entry["entry_id"]}

    def freeze(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
        account = records.get("accounts", args["account_id"])
        expect(account, "status", args.get("expected_status"))
        records.put("accounts", account["account_id"], account | {"status": "FROZEN"})
        return {"status": "FROZEN"}

    def hold(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
        assert gate is not None
        gate.entered.set()
        assert gate.leave.wait(30)
        return deposit(records, args)

    return Dialect(
        name="bank",
        collections={"accounts": "account_id", "entries": "entry_id"},
        queries={
            "accounts.get": lambda records, args: records.get("accounts", args["account_id"]),
            "accounts.of": lambda records, args: {"accounts": records.where("accounts", owner=args["owner"])},
        },
        operations={"accounts.deposit": deposit, "accounts.freeze": freeze, "accounts.hold": hold},
        indexes={"accounts": ("owner",)},
    )


@dataclass
class Server:
    """A real server on a free port, in a thread with a loop of its own, for one shop after the other."""

    url: str
    app: Starlette | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    listening = socket.create_server(("127.0.0.1", 0))
    app = Server(f"http://127.0.0.1:{listening.getsockname()[1]}")
    running = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    yield app
    running.should_exit = True
    thread.join()


@dataclass
class Stand:
    """A shop as callers see it, with what is behind it."""

    shop: Shop
    behind: EmbeddedShop
    gate: Gate
    url: str = ""

    async def suffer(self, *planned: PlannedFault, **random: Any) -> None:
        plan = FaultPlan(script=list(planned), **random)
        if not self.url:
            self.behind.faults = Faults(plan)
            return
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            answer = await client.put(f"{self.url}/faults", content=plan.model_dump_json())
            assert answer.status_code == 204

    async def deposit(self, amount: int, key: str, **more: Any) -> dict[str, Any]:
        args = {"account_id": "ada", "amount": amount} | more
        return await self.shop.write("accounts.deposit", args, key=key, case_id="case_1")

    async def balance(self) -> int:
        return int((await self.behind.dump("accounts"))["ada"]["balance"])


@pytest.fixture(params=["memory", "file", "http"])
async def stand(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> AsyncIterator[Stand]:
    gate = Gate()
    behind = EmbeddedShop(None if request.param == "memory" else tmp_path / "shop.db", [bank(gate)], FakeClock())
    await behind.load(WORLD)
    if request.param == "http":
        server.app = shop_app(behind, TOKEN, faults=True)
        client = HttpShop(server.url, TOKEN)
        yield Stand(client, behind, gate, server.url)
        await client.close()
    else:
        yield Stand(behind, behind, gate)
    await behind.close()


async def test_a_key_does_its_work_once_and_gives_the_same_answer_again(stand: Stand) -> None:
    first = await stand.deposit(30, "k1")
    again = await stand.deposit(30, "k1")
    assert again == first
    assert first["balance"] == 30 == await stand.balance()
    assert len(await stand.behind.dump("entries")) == 1


async def test_a_key_with_other_parameters_is_refused(stand: Stand) -> None:
    await stand.deposit(30, "k1")
    with pytest.raises(KeyReused):
        await stand.deposit(31, "k1")
    with pytest.raises(KeyReused):  # the same arguments, for another operation
        await stand.shop.write("accounts.freeze", {"account_id": "ada", "amount": 30}, key="k1", case_id="case_1")
    with pytest.raises(KeyReused):  # or for another case
        await stand.shop.write("accounts.deposit", {"account_id": "ada", "amount": 30}, key="k1", case_id="case_2")
    assert await stand.balance() == 30


async def test_a_second_call_while_the_first_is_under_way_is_refused_and_then_replayed(stand: Stand) -> None:
    args = {"account_id": "ada", "amount": 30}
    first = asyncio.create_task(stand.shop.write("accounts.hold", args, key="k1", case_id="case_1"))
    await asyncio.to_thread(stand.gate.entered.wait)
    with pytest.raises(ProviderRefused) as refused:
        await stand.shop.write("accounts.hold", args, key="k1", case_id="case_1")
    assert refused.value.reason == "concurrent_request"
    stand.gate.leave.set()
    assert await stand.shop.write("accounts.deposit", args, key="k2", case_id="case_1")
    assert await stand.shop.write("accounts.hold", args, key="k1", case_id="case_1") == await first
    assert await stand.balance() == 60


async def test_a_caller_that_goes_away_does_not_stop_what_it_set_off(stand: Stand) -> None:
    args = {"account_id": "ada", "amount": 30}
    call = asyncio.create_task(stand.shop.write("accounts.hold", args, key="k1", case_id="case_1"))
    await asyncio.to_thread(stand.gate.entered.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    stand.gate.leave.set()
    found = await stand.shop.find("k1")
    assert found is not None
    assert found.result["balance"] == 30 == await stand.balance()


async def test_a_call_is_found_by_its_key(stand: Stand) -> None:
    key = "case_1:step/2:ab?c d%20"
    assert await stand.shop.find(key) is None
    result = await stand.deposit(30, key)
    found = await stand.shop.find(key)
    assert found is not None
    assert (found.key, found.operation, found.result) == (key, "accounts.deposit", result)
    assert found.args_digest == digest({"account_id": "ada", "amount": 30})


async def test_a_refusal_leaves_no_trace_and_the_key_is_still_good(stand: Stand) -> None:
    before = await stand.behind.dump("accounts")
    with pytest.raises(ProviderRefused) as refused:
        await stand.deposit(2_000_000, "k1")
    assert refused.value.reason == "limit_exceeded"
    assert await stand.behind.dump("accounts") == before
    assert await stand.behind.dump("entries") == {}
    assert await stand.shop.find("k1") is None
    assert await stand.shop.log() == []
    assert (await stand.deposit(10, "k1"))["balance"] == 10


async def test_a_write_decided_on_a_stale_status_is_refused_with_the_present_one(stand: Stand) -> None:
    await stand.deposit(10, "k1", expected_status="OPEN")
    await stand.shop.write(
        "accounts.freeze", {"account_id": "ada", "expected_status": "OPEN"}, key="k2", case_id="case_1"
    )
    with pytest.raises(ProviderRefused) as refused:
        await stand.deposit(10, "k3", expected_status="OPEN")
    assert refused.value.reason == "stale_status"
    assert refused.value.extra["present"] == "FROZEN"
    assert await stand.balance() == 10


async def test_of_two_writes_on_the_same_status_one_wins(stand: Stand) -> None:
    args = {"account_id": "ada", "expected_status": "OPEN"}
    outcomes = await asyncio.gather(
        *(stand.shop.write("accounts.freeze", args, key=f"k{n}", case_id=f"case_{n}") for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, dict) for outcome in outcomes) == 1
    assert {o.reason for o in outcomes if isinstance(o, ProviderRefused)} == {"stale_status"}
    assert len(await stand.shop.log()) == 1


async def test_what_is_not_there_is_not_found(stand: Stand) -> None:
    for query, args, reason in (
        ("accounts.get", {"account_id": "eve"}, "not_found"),
        ("accounts.guess", {}, "unknown_query"),
    ):
        with pytest.raises(ProviderRefused) as refused:
            await stand.shop.read(query, args)
        assert refused.value.reason == reason
    with pytest.raises(ProviderRefused) as refused:
        await stand.shop.write("accounts.rob", {}, key="k1", case_id="case_1")
    assert refused.value.reason == "unknown_operation"


async def test_reads_see_what_writes_did(stand: Stand) -> None:
    await stand.deposit(30, "k1")
    assert (await stand.shop.read("accounts.get", {"account_id": "ada"}))["balance"] == 30
    of_owner = await stand.shop.read("accounts.of", {"owner": "lovelace"})
    assert [account["account_id"] for account in of_owner["accounts"]] == ["ada", "bob"]


async def test_the_log_has_each_write_that_happened_exactly_once_in_order(stand: Stand) -> None:
    for n in range(5):
        await stand.deposit(n + 1, f"k{n}")
    await stand.deposit(1, "k0")
    with pytest.raises(ProviderRefused):
        await stand.deposit(2_000_000, "k9")
    log = await stand.shop.log()
    assert [(call.seq, call.key) for call in log] == [(n + 1, f"k{n}") for n in range(5)]
    assert log[0].args_digest == digest({"account_id": "ada", "amount": 1})
    assert (log[0].operation, log[0].case_id, log[0].at) == ("accounts.deposit", "case_1", FakeClock().now())
    assert [call.seq for call in await stand.shop.log(after=2, limit=2)] == [3, 4]
    assert await stand.shop.log(after=5) == []


async def test_keys_and_arguments_that_cannot_travel_are_refused(stand: Stand) -> None:
    for key in ("", "x" * 256, "naïve", "two\nlines", " padded "):
        with pytest.raises(InvalidInput):
            await stand.deposit(1, key)
    with pytest.raises(InvalidInput):
        await stand.deposit(2**60, "k1")
    with pytest.raises(InvalidInput):
        await stand.deposit(1, "k1", note="half a pair: \ud800")
    assert await stand.shop.log() == []


async def test_a_time_out_before_the_effect(stand: Stand) -> None:
    await stand.suffer(PlannedFault(operation="accounts.deposit", fault=Fault.TIMEOUT_BEFORE))
    with pytest.raises(OutcomeUnknown):
        await stand.deposit(30, "k1")
    assert await stand.shop.find("k1") is None
    assert (await stand.deposit(30, "k1"))["balance"] == 30
    assert len(await stand.shop.log()) == 1


async def test_a_time_out_after_the_effect(stand: Stand) -> None:
    await stand.suffer(PlannedFault(operation="accounts.deposit", fault=Fault.TIMEOUT_AFTER))
    with pytest.raises(OutcomeUnknown):
        await stand.deposit(30, "k1")
    found = await stand.shop.find("k1")
    assert found is not None
    assert await stand.deposit(30, "k1") == found.result
    assert await stand.balance() == 30


async def test_a_server_error_did_nothing(stand: Stand) -> None:
    await stand.suffer(PlannedFault(operation="accounts.deposit", fault=Fault.ERROR, times=2))
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await stand.deposit(30, "k1")
    assert await stand.shop.log() == []
    assert (await stand.deposit(30, "k1"))["balance"] == 30


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
async def test_a_read_that_fails_is_just_not_available(stand: Stand, fault: Fault) -> None:
    await stand.suffer(PlannedFault(operation="*", fault=fault, times=2))
    with pytest.raises(ProviderUnavailable):
        await stand.shop.read("accounts.get", {"account_id": "ada"})
    with pytest.raises(ProviderUnavailable):
        await stand.shop.find("k1")
    assert await stand.shop.find("k1") is None


async def test_a_slow_call_still_happens(stand: Stand) -> None:
    await stand.suffer(PlannedFault(operation="accounts.deposit", fault=Fault.SLOW, seconds=0.01))
    assert (await stand.deposit(30, "k1"))["balance"] == 30


async def _insist(stand: Stand, amount: int, key: str) -> None:
    """What a careful caller does: look an unknown outcome up, and try again under the same key."""
    while True:
        try:
            await stand.deposit(amount, key)
        except ProviderUnavailable:
            continue
        except OutcomeUnknown:
            try:
                if await stand.shop.find(key) is None:
                    continue
            except ProviderUnavailable:
                continue
        return


async def test_a_storm_of_faults_neither_loses_nor_doubles_anything(stand: Stand) -> None:
    rates = {Fault.TIMEOUT_BEFORE: 0.2, Fault.TIMEOUT_AFTER: 0.2, Fault.ERROR: 0.2, Fault.SLOW: 0.1}
    await stand.suffer(seed=7, rates=rates, seconds=0.001)
    await asyncio.gather(*(_insist(stand, n, f"k{n}") for n in range(60)))
    assert await stand.balance() == sum(range(60))
    assert sorted(call.key for call in await stand.shop.log()) == sorted(f"k{n}" for n in range(60))


async def test_each_write_calls_back_in_order_and_a_duplicate_is_the_same_event(stand: Stand) -> None:
    await stand.suffer(
        PlannedFault(operation="accounts.deposit", fault=Fault.TIMEOUT_AFTER),
        PlannedFault(operation="accounts.freeze", fault=Fault.DUPLICATE_CALLBACK),
    )
    events: asyncio.Queue[ShopEvent] = asyncio.Queue()
    stand.behind.subscribe(events.put, name="test")
    with pytest.raises(OutcomeUnknown):  # the callback comes although the answer was lost
        await stand.deposit(30, "k1")
    await stand.shop.write("accounts.freeze", {"account_id": "ada"}, key="k2", case_id="case_2")
    await stand.deposit(1, "k3")
    got = [await events.get() for _ in range(4)]
    assert [(e.id, e.type, e.subject) for e in got] == [
        ("shop:1", "accounts.deposit.done", "case_1"),
        ("shop:2", "accounts.freeze.done", "case_2"),
        ("shop:2", "accounts.freeze.done", "case_2"),
        ("shop:3", "accounts.deposit.done", "case_1"),
    ]
    assert got[0].data["key"] == "k1"
    assert got[0].data["result"]["balance"] == 30


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    shop = EmbeddedShop(path, [bank()])
    await shop.load(WORLD)
    args = {"account_id": "ada", "amount": 30}
    result = await shop.write("accounts.deposit", args, key="k1", case_id="case_1")
    log, accounts = await shop.log(), await shop.dump("accounts")
    await shop.close()
    with pytest.raises(ProviderUnavailable):
        await shop.read("accounts.get", {"account_id": "ada"})

    shop = EmbeddedShop(path, [bank()])
    assert await shop.write("accounts.deposit", args, key="k1", case_id="case_1") == result
    assert (await shop.log(), await shop.dump("accounts")) == (log, accounts)
    await shop.close()


async def test_the_log_can_only_be_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    shop = EmbeddedShop(path, [bank()])
    await shop.load(WORLD)
    await shop.write("accounts.deposit", {"account_id": "ada", "amount": 30}, key="k1", case_id="case_1")
    log = await shop.log()
    with sqlite3.connect(path) as database:
        for tampering in (
            "UPDATE log SET result = '{}'",
            "DELETE FROM log",
            "INSERT OR REPLACE INTO log SELECT seq, key, 'other', case_id, args_digest, result, at FROM log",
            "INSERT OR REPLACE INTO log SELECT 9, key, 'other', case_id, args_digest, result, at FROM log",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(tampering)
    database.close()
    assert await shop.log() == log
    await shop.close()


def _kill_in_the_middle(path: Path, run: int) -> set[str]:
    """Runs this file as a writer, kills it after some acknowledgements, and returns all that it gave."""
    command, env = [sys.executable, __file__, str(path), str(run)], os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(40 + 7 * run)]
        child.kill()
        acknowledged += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    return {line.strip() for line in acknowledged}


async def test_kill_9_in_the_middle_of_writes_leaves_keys_log_and_records_of_one_mind(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    acknowledged: set[str] = set()
    for run in range(2):
        acknowledged |= await asyncio.to_thread(_kill_in_the_middle, path, run)

    shop = EmbeddedShop(path, [bank()])
    log, entries = await shop.log(limit=100_000), await shop.dump("entries")
    assert acknowledged <= {call.key for call in log}
    assert len({call.key for call in log}) == len(log) == log[-1].seq
    assert {call.result["entry_id"] for call in log} == set(entries)
    assert (await shop.dump("accounts"))["ada"]["balance"] == len(log)
    for key in sorted(acknowledged)[::10]:
        replayed = await shop.write("accounts.deposit", {"account_id": "ada", "amount": 1}, key=key, case_id="case_1")
        assert replayed["entry_id"] in entries
    assert await shop.log(limit=100_000) == log
    await shop.close()


async def _write_until_killed(path: Path, run: str) -> None:
    shop = EmbeddedShop(path, [bank()])
    if await shop.is_empty():
        await shop.load({"accounts": [account | {"balance": 0} for account in WORLD["accounts"]]})

    async def write(writer: int) -> None:
        for n in range(100_000):
            key = f"{run}:{writer}:{n}"
            await shop.write("accounts.deposit", {"account_id": "ada", "amount": 1}, key=key, case_id="case_1")
            os.write(1, f"{key}\n".encode())

    await asyncio.gather(*(write(writer) for writer in range(4)))


if __name__ == "__main__":
    asyncio.run(_write_until_killed(Path(sys.argv[1]), sys.argv[2]))
