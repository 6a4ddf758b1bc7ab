"""A house with one till in it, and the words of the stories that are told about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from core.clock import FakeClock
from core.key_file import beside
from core.key_settings import KeySettings
from core.mcp_settings import McpSettings
from core.money import Money
from core.people import Person
from core.settings import (
    BudgetSettings,
    DatabaseSettings,
    DeskSettings,
    EngineSettings,
    ModelSettings,
    RetentionSettings,
    Settings,
)
from core.states import CaseStatus, Desired
from engine.checker import Report
from engine.decisions import Choice, Decided, Decision
from graphs.kind import TaskKind
from ledger.database import Ledger
from ledger.tables import SYSTEM, ActionRow, AuditRow, CaseRow, InboxRow, ReviewRow, RunRow, TraceRow
from policies.book import load_book
from policies.vocabulary import Vocabulary
from serving.house import House, open_house
from tests.support.script import ScriptedModel, Turn
from tests.support.till_kind import BOOK, FACTS, KIND
from tools.fulfillment.faults import Fault, Faults, PlannedFault
from tools.fulfillment.shop import EmbeddedShop

PEOPLE = {
    "ann": {"clerk"},
    "ben": {"clerk", "boss"},
    "cat": {"boss"},
    "dan": {"boss"},
    "eve": {"auditor"},
    "ops": {"operator"},
}


RING = "dGhlc2UgYXJlIDMyIGJ5dGVzLCBvbmx5IGEgdGVzdCE="
"""The master key of processes with folders of their own over one server."""


def person(name: str) -> Person:
    return Person(id=name, roles=frozenset(PEOPLE[name]))


def usd(amount: str) -> dict[str, Any]:
    return Money.of(amount, "USD").model_dump()


def pay(amount: str, account: str = "acc_1") -> dict[str, Any]:
    return {"tool": "gift.pay", "args": {"account_id": account, "amount": usd(amount)}}


def write(tool: str = "note.write", text: str = "hello") -> dict[str, Any]:
    return {"tool": tool, "args": {"text": text}}


class Till:
    """A house with one till in it, and the words of the stories that are told about it."""

    def __init__(
        self, house: House, clock: FakeClock, model: ScriptedModel, provider: EmbeddedShop | None = None
    ) -> None:
        """`provider` is the shop that the house's executor reaches, where that is in a process of its own."""
        self.house = house
        self.clock = clock
        self.model = model
        self.shop = provider or house.shop
        assert isinstance(self.shop, EmbeddedShop)

    # what happens

    async def submit(
        self,
        *script: Turn,
        customer: str = "cus_1",
        key: str | None = None,
        loop: bool = False,
        insists: bool = False,
        priority: int = 0,
    ) -> str:
        payload = {"customer": customer, "script": list(script), "loop": loop, "insists": insists}
        case, _ = await self.house.submit(person("ops"), "till", payload, key, priority)
        return case.id

    async def settle(self, *cases: str) -> None:
        await self.house.settled("default", set(cases))

    async def run(self, *script: Turn, **more: Any) -> str:
        """Submits and waits until it has ended, or waits for somebody."""
        case = await self.submit(*script, **more)
        await self.settle(case)
        return case

    async def later(self, **by: float) -> int:
        """Time passes, the sweeper goes round, and what it set off settles. Returns how many timers fired."""
        self.clock.advance(timedelta(**by))
        fired = await self.house.sweeper.sweep()
        await self.house.settled("default", await self.read(lambda ledger: ledger.cases.moving()))
        return fired

    async def want(self, case: str, desired: Desired) -> None:
        await self.house.intake.want(person("ops"), case, desired)
        await self.settle(case)

    async def hold(self, case: str) -> None:
        """People may decide, and nothing runs until it is let go."""
        await self.want(case, Desired.PAUSE)

    async def let_go(self, case: str) -> None:
        await self.want(case, Desired.RUN)

    async def steady(self, *cases: str) -> None:
        """Sweeps until each case has ended or waits for people, whatever dies on the way."""
        moving = set(cases)
        while moving := moving & await self.read(lambda ledger: ledger.cases.moving()):
            news = self.house.stream.ticket()
            await self.house.sweeper.sweep()
            with suppress(TimeoutError):  # what died says nothing
                await asyncio.wait_for(news.wait(), 0.05)

    async def until(self, case: str, entry: str) -> None:
        """Waits for an entry in the case's log."""
        while True:
            ticket = self.house.stream.ticket()
            if await self.trace(case, entry):
                return
            await ticket.wait()

    def fail(self, *planned: tuple[str, Fault] | PlannedFault) -> None:
        self.shop.faults = Faults.script(planned)

    async def decide(
        self, name: str, case: str, choice: str = "approve", *, key: str | None = None, **more: Any
    ) -> Decided:
        """Decides what waits in a case, as somebody who has looked at it now."""
        return await self.vote(name, (await self.review(case)).id, choice, key=key, **more)

    async def vote(
        self,
        name: str,
        review_id: str,
        choice: str = "approve",
        *,
        key: str | None = None,
        wait: bool = True,
        **more: Any,
    ) -> Decided:
        seen = more.pop("seen", None) or await self.seen(review_id)
        decision = Decision(choice=Choice(choice), seen=seen, **more)
        decided = await self.house.desk.decide(person(name), review_id, decision, key)
        if wait:
            await self.settle((await self.read(lambda ledger: ledger.reviews.get(review_id))).case_id)
        return decided

    async def approve(self, name: str, case: str) -> Decided:
        return await self.decide(name, case)

    async def reject(self, name: str, case: str, code: str = "wrong_amount") -> Decided:
        return await self.decide(name, case, "reject", reason_code=code)

    async def edit(self, name: str, case: str, **args: Any) -> Decided:
        return await self.decide(name, case, "edit", args=args)

    # what is to be seen

    async def read(self, step: Any) -> Any:
        return await self.house.database.read("default", step)

    async def case(self, case: str) -> CaseRow:
        row: CaseRow = await self.read(lambda ledger: ledger.cases.get(case))
        return row

    async def status(self, case: str) -> CaseStatus:
        return CaseStatus((await self.case(case)).status)

    async def review(self, case: str) -> ReviewRow:
        """The one that waits."""
        found: list[ReviewRow] = await self.read(lambda ledger: ledger.reviews.of_case(case, only_open=True))
        assert len(found) == 1, [each.reason for each in found]
        return found[0]

    async def reviews(self, case: str) -> list[ReviewRow]:
        rows: list[ReviewRow] = await self.read(lambda ledger: ledger.reviews.of_case(case))
        return rows

    async def seen(self, review_id: str) -> str:
        def look(ledger: Ledger) -> str:
            review = ledger.reviews.get(review_id)
            return ledger.reviews.saw(review, ledger.effects.action(review.action_id).args)

        return str(await self.read(look))

    async def actions(self, case: str) -> list[ActionRow]:
        rows: list[ActionRow] = await self.read(lambda ledger: ledger.effects.actions(case))
        return rows

    async def args(self, action_id: str) -> dict[str, Any]:
        found: ActionRow = await self.read(lambda ledger: ledger.effects.action(action_id))
        return found.args

    async def runs(self, case: str) -> list[RunRow]:
        rows: list[RunRow] = await self.read(lambda ledger: ledger.effects.runs(case))
        return rows

    async def trace(self, case: str, entry: str) -> list[dict[str, Any]]:
        rows: list[TraceRow] = await self.read(lambda ledger: ledger.trace.of_case(case))
        return [row.body for row in rows if row.type == entry]

    async def audit(self, case: str) -> list[str]:
        rows: list[AuditRow] = await self.read(lambda ledger: ledger.audit.entries(case_id=case))
        return [row.type for row in rows]

    async def inbox(self, case: str) -> list[InboxRow]:
        rows: list[InboxRow] = await self.read(lambda ledger: ledger.cases.unprocessed(case))
        return rows

    async def answers(self, case: str) -> list[str]:
        """What the gate said of each proposal, in order."""
        return [body["verdict"] for body in await self.trace(case, "action.judged")]

    async def balance(self, account: str = "acc_1") -> str:
        return str(Money.model_validate((await self.shop.dump("accounts"))[account]["balance"]))

    async def happened(self, case: str) -> list[str]:
        """What the provider's own log has of a case."""
        return [call.operation for call in await self.shop.log() if call.case_id == case]

    async def check(self) -> Report:
        return await self.house.checker.check()

    # what changes around it

    async def set_balance(self, amount: str, account: str = "acc_1") -> None:
        await self.shop.load({"accounts": [{"account_id": account, "balance": usd(amount)}]})

    async def set_roles(self, name: str, *roles: str) -> None:
        await self.house.database.write(
            SYSTEM, lambda ledger: ledger.people.add("default", name, frozenset(roles)) and None
        )

    def change_policy(self, old: str, new: str) -> None:
        """Another version of the book comes into force."""
        text = BOOK.read_text()
        assert old in text
        book = load_book(("till.yaml", text.replace(old, new)), Vocabulary.of("till", self.house.tools.specs(), FACTS))
        self.house.judge.replace("till", book)


@asynccontextmanager
async def open_till(
    folder: Path,
    *,
    clock: FakeClock | None = None,
    model: ScriptedModel | None = None,
    bell: Literal["queue", "tasks"] = "tasks",
    budget: BudgetSettings | None = None,
    engine: EngineSettings | None = None,
    kind: TaskKind = KIND,
    hosted: ModelSettings | None = None,
    server: str = "",
    retention: RetentionSettings | None = None,
    ledger_on: bool = True,
    desk: DeskSettings | None = None,
    mcp: McpSettings | None = None,
    sealed: bool = True,
) -> AsyncIterator[Till]:
    """`hosted` says where the scripted model is said to run, `server` where the records are, if not in the folder.

    Not `sealed`, what is written about people can be read and changed in the files.
    """
    clock, model = clock or FakeClock(), model or ScriptedModel()
    settings = Settings(
        data=folder,
        engine=engine or EngineSettings(sweep_s=3600, lease_s=0.2),
        budget=budget or BudgetSettings(),
        retention=retention or RetentionSettings(),
        model=hosted or ModelSettings(),
        desk=desk or DeskSettings(),
        database=DatabaseSettings(url=SecretStr(server)),
        mcp=mcp or McpSettings(),
        keys=KeySettings(encrypt=sealed, ring=SecretStr(RING if server and not beside(folder).exists() else "")),
    )
    async with open_house(
        settings, bell=bell, clock=clock, kinds={"till": kind}, model=model, ledger_on=ledger_on
    ) as house:
        till = Till(house, clock, model)
        await house.database.write(SYSTEM, _add_people)
        if await till.shop.is_empty():
            await till.set_balance("1000.00")
            await till.set_balance("1000.00", "acc_2")
        yield till


def _add_people(ledger: Ledger) -> None:
    for name, roles in PEOPLE.items():
        ledger.people.add("default", name, frozenset(roles))
