"""A storm: a real server is killed with SIGKILL in the middle of its work, again and again, beside a real provider.

    python -m tests.support.storm --cases 200 --kills 3 --seed 1 [--ledger-off]

The provider is a process of its own and outlives the kills, as any provider would. Its answers come
late, and each kill waits for an entry in its log: it falls between an effect and its record. Reviewers
approve what waits. At the end the project's own checker judges. Exit 0 if it finds nothing, 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from ledger.database import Ledger, sqlite_database
from ledger.migrate import migrate
from ledger.tables import SYSTEM
from tools.fulfillment.http import HttpShop
from tools.returns.simulated.world import generate

PEOPLE = {
    "storm": {"service"},
    "rita": {"returns_reviewer"},
    "sam": {"returns_reviewer"},
    "fin1": {"finance_controller"},
    "fin2": {"finance_controller"},
    "ops": {"operator"},
}
_PATIENCE_S = 240


@dataclass
class Outcome:
    """What a storm left behind, as the checker and the chain see it."""

    kills: int
    """Kills that fell between an effect at the provider and its record."""
    adrift: list[int]
    """Effects that each kill cut off: begun in the ledger, with no word of what came of them."""
    statuses: dict[str, int]
    check: dict[str, Any]
    verify: dict[str, Any]
    seconds: float

    def found(self, what: str) -> int:
        return sum(finding["what"] == what for finding in self.check["findings"])


@dataclass
class Storm:
    cases: int
    kills: int
    seed: int
    ledger_on: bool = True
    strike_at: str = ""
    """The operation after which the server is killed; any, if empty."""
    late_s: float = 0.15
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="storm-")))

    def run(self) -> Outcome:
        began = time.monotonic()
        self._data = self.folder / "data"
        self._port, shop_port = free_port(), free_port()
        self._env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
            "COUNTERSIGN_DATA": str(self._data),
            "COUNTERSIGN_SHOP__URL": f"http://127.0.0.1:{shop_port}",
            "COUNTERSIGN_SHOP__TOKEN": "storm",
            "COUNTERSIGN_SERVER__PORT": str(self._port),
            "COUNTERSIGN_ENGINE__SWEEP_S": "0.5",
            "COUNTERSIGN_ENGINE__LEASE_S": "5",
        }
        if not self.ledger_on:
            self._env |= {"COUNTERSIGN_TEST": "1", "COUNTERSIGN_TEST_EFFECTS_LEDGER": "off"}
        world = generate(self.seed, max(1000, 5 * self.cases), datetime.now(UTC))
        self._requests = [(each.key, each.model_dump(mode="json")) for each in world.submissions(self.cases)]
        world.save(self.folder / "world.json")
        self._tokens = self._enrol()
        with self._process("shop", "--port", str(shop_port), "--data", str(self.folder / "shop.db"), "--world",
                           str(self.folder / "world.json"), "--dialect", "returns", "--faults"):  # fmt: skip
            wait_for(f"http://127.0.0.1:{shop_port}/ok")
            plan = {"seed": self.seed, "rates": {"late": 1.0}, "seconds": self.late_s}
            httpx.put(f"http://127.0.0.1:{shop_port}/faults", json=plan, headers=_bearer("storm")).raise_for_status()
            statuses = asyncio.run(self._blow())
            with ThreadPoolExecutor() as both:
                check, verify = both.map(self._audit, ("check", "verify"))
        return Outcome(len(self._adrift), self._adrift, statuses, check, verify, time.monotonic() - began)

    def _enrol(self) -> dict[str, str]:
        self._data.mkdir()
        migrate(self._data / "ledger.db")
        database = sqlite_database(self._data / "ledger.db")

        def add(ledger: Ledger) -> dict[str, str]:
            for name, roles in PEOPLE.items():
                ledger.people.add("default", name, frozenset(roles))
            return {name: ledger.people.new_token("default", name, None) for name in PEOPLE}

        try:
            return database.transact(SYSTEM, add)
        finally:
            database.close()

    @contextmanager
    def _process(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        log = open(self.folder / f"{command[0]}.log", "ab")  # noqa: SIM115 - the child's, for its life
        process = subprocess.Popen(
            [sys.executable, "-m", "core.console", *command], env=self._env, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            log.close()

    def _audit(self, command: str) -> dict[str, Any]:
        typed = [sys.executable, "-m", "core.console", "audit", command, "--json"]
        done = subprocess.run(typed, env=self._env, capture_output=True)
        if done.returncode not in (0, 1):
            raise RuntimeError(done.stderr.decode())
        result: dict[str, Any] = json.loads(done.stdout)
        return {**result, "exit": done.returncode}

    async def _blow(self) -> dict[str, int]:
        draw = random.Random(self.seed)
        self._adrift: list[int] = []
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", timeout=10) as client:
            server = self._up()
            work = [asyncio.create_task(self._submit(client)), asyncio.create_task(self._review(client))]
            try:
                deadline = time.monotonic() + _PATIENCE_S
                while time.monotonic() < deadline:
                    statuses = await self._statuses(client)
                    closed = statuses.get("closed", 0) + statuses.get("cancelled", 0)
                    if closed == self.cases:
                        return statuses
                    begun = sum(statuses.values())
                    killed = len(self._adrift)
                    # The kills spread over the run: each waits until its share of the cases has been begun.
                    if killed < self.kills and begun >= self.cases * (killed + 1) / (self.kills + 2):
                        await asyncio.sleep(draw.uniform(0, 1.0))
                        await self._effect_in_the_air()
                        server.send_signal(signal.SIGKILL)
                        server.wait()
                        self._adrift.append(self._cut_off())
                        server = self._up()
                    await asyncio.sleep(0.1)
                raise TimeoutError(f"after {_PATIENCE_S} s: {await self._statuses(client)}; logs are in {self.folder}")
            finally:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                server.kill()
                server.wait()

    async def _effect_in_the_air(self) -> None:
        """Until the provider has just done something whose answer is still on its way."""
        shop = HttpShop(self._env["COUNTERSIGN_SHOP__URL"], "storm", 10)
        last = 0
        while entries := await shop.log(last):
            last = entries[-1].seq
        while not any(entry.operation == self.strike_at or not self.strike_at for entry in entries):
            entries = await shop.log(last)
            last = entries[-1].seq if entries else last
        await shop.close()

    def _cut_off(self) -> int:
        with closing(sqlite3.connect(self._data / "ledger.db")) as ledger:
            return int(ledger.execute("SELECT count(*) FROM run WHERE status = 'intent'").fetchone()[0])

    def _up(self) -> subprocess.Popen[bytes]:
        with open(self.folder / "up.log", "ab") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "core.console", "up"], env=self._env, stdout=log, stderr=log
            )
        wait_for(f"http://127.0.0.1:{self._port}/ok", server)
        return server

    async def _statuses(self, client: httpx.AsyncClient) -> dict[str, int]:
        try:
            answer = await client.get("/api/v1/status", headers=_bearer(self._tokens["rita"]))
            return dict(answer.raise_for_status().json()["cases"])
        except httpx.TransportError:
            return {}

    async def _submit(self, client: httpx.AsyncClient) -> None:
        """Every request is sent under its key until it is answered, whatever happens to the server."""
        for key, payload in self._requests:
            headers = _bearer(self._tokens["storm"]) | {"Idempotency-Key": key}
            while True:
                try:
                    body = {"kind": "returns", "payload": payload}
                    (await client.post("/api/v1/cases", json=body, headers=headers)).raise_for_status()
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)

    async def _review(self, client: httpx.AsyncClient) -> None:
        """Everybody approves whatever waits for their role, under a key of their own for each approval."""
        voted: set[tuple[str, str]] = set()
        while True:
            try:
                queue = await client.get("/api/v1/approvals", headers=_bearer(self._tokens["rita"]))
                for item in queue.raise_for_status().json()["items"]:
                    for name, roles in PEOPLE.items():
                        if roles & set(item["roles"]) and (name, item["id"]) not in voted:
                            await self._approve(client, name, item["id"])
                            voted.add((name, item["id"]))
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)

    async def _approve(self, client: httpx.AsyncClient, name: str, approval: str) -> None:
        headers = _bearer(self._tokens[name]) | {"Idempotency-Key": f"{name}:{approval}"}
        shown = (await client.get(f"/api/v1/approvals/{approval}", headers=headers)).raise_for_status().json()
        decision = {"choice": "approve", "seen": shown["seen"], "note": "looked at it"}
        answer = await client.post(f"/api/v1/approvals/{approval}/decide", json=decision, headers=headers)
        if answer.status_code not in (200, 409):
            answer.raise_for_status()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[bytes] | None = None) -> None:
    for _ in range(600):
        try:
            httpx.get(url, timeout=5)
            return
        except httpx.TransportError:
            if process is not None and process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}") from None
            time.sleep(0.05)
    raise TimeoutError(f"nobody answers at {url}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger-off", action="store_true", help="Without the effects ledger: must be found out.")
    parser.add_argument("--strike-at", default="", help="Kill right after this operation, such as messages.send.")
    given = parser.parse_args()
    storm = Storm(given.cases, given.kills, given.seed, ledger_on=not given.ledger_off, strike_at=given.strike_at)
    outcome = storm.run()
    print(
        f"{given.cases} cases, {outcome.kills} kills that cut off {outcome.adrift} effects, {outcome.seconds:.0f} s: "
        f"{json.dumps(outcome.statuses)}"
    )
    print(
        f"{outcome.found('lost')} lost, {outcome.found('duplicated')} duplicated, "
        f"{len(outcome.check['findings'])} findings in all; audit check exits {outcome.check['exit']}, "
        f"audit verify exits {outcome.verify['exit']}"
    )
    return 1 if outcome.check["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
