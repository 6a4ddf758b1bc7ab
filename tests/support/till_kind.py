"""A till that pays out gifts: the smallest kind of business in which everything that the engine holds can happen.

Its provider is the embedded shop with a dialect of its own, its model plays the script in the payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from agents.contract import Finish, PlanStep
from agents.procedure import Call, Seen
from agents.role import Role
from core.actions import JSON, Compensation, Effect, Egress, ProposedAction, ToolSpec
from core.data import DataClass, field
from core.errors import ProviderRefused
from core.money import Money
from core.ports import CallContext
from core.verdicts import Fact, FactSpec, FactType
from graphs.flow import standard_flow
from graphs.kind import Outside, TaskKind
from tests.support.script import Turn
from tools.contract import Tool
from tools.fulfillment.ports import Dialect, Records, Shop

BOOK = Path(__file__).parent / "till.yaml"


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OfAccount(Args):
    account_id: str


class Pay(Args):
    account_id: str
    amount: Money


class Note(Args):
    text: str


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


# The provider


def _read(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    return records.get("accounts", args["account_id"])


def _pay(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    account = records.get("accounts", args["account_id"])
    left = account["balance"]["amount_minor"] - args["amount"]["amount_minor"]
    if left < 0:
        raise ProviderRefused("There is not so much in it.", reason="not_covered")
    account["balance"] = {**account["balance"], "amount_minor": left}
    records.put("accounts", args["account_id"], account)
    return {"account_id": args["account_id"], "amount": args["amount"]}


def _write(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": args["text"]}


DIALECT = Dialect(
    "till",
    {"accounts": "account_id"},
    {"account.read": _read},
    {
        "gift.pay": _pay,
        **dict.fromkeys(("note.write", "parcel.send", "letter.send", "note.erase", "parcel.recall"), _write),
    },
)


# The tools


def _tools(outside: Outside) -> list[Tool[Any]]:
    shop = outside.shop

    async def read(given: OfAccount, context: CallContext) -> BaseModel:
        return Anything.model_validate(await shop.read("account.read", given.model_dump()))

    async def ask(given: Note, context: CallContext) -> BaseModel:
        return Anything.model_validate({"asked": given.text})

    async def nothing(key: str) -> dict[str, JSON] | None:
        return None

    looking = ToolSpec(
        "account.read",
        Effect.READ,
        OfAccount,
        Anything,
        lambda a: f"Read {a.account_id}",
        egress=frozenset({Egress.PROVIDER}),
        data=frozenset({DataClass.PAYMENT}),
    )
    asking = ToolSpec(
        "people.ask", Effect.REVERSIBLE, Note, Anything, lambda a: f"Ask: {a.text}", stays="It is but a question."
    )
    return [
        Tool(looking, read, nothing),
        Tool(asking, ask, nothing),
        _writing(shop, "gift.pay", Pay, lambda a: f"Pay {a.amount}"),
        _writing(shop, "note.write", Note, lambda a: f"Note {a.text}", back="note.erase"),
        _writing(shop, "note.erase", Note, lambda a: f"Erase {a.text}"),
        _writing(
            shop, "parcel.send", Note, lambda a: f"Send {a.text}", keyed=False, lookup=False, back="parcel.recall"
        ),
        _writing(shop, "parcel.recall", Note, lambda a: f"Call {a.text} back"),
        _writing(shop, "letter.send", Note, lambda a: f"Write {a.text}", lookup=False),
    ]


def _writing(
    shop: Shop, name: str, args: type[Any], describe: Any, *, keyed: bool = True, lookup: bool = True, back: str = ""
) -> Tool[Any]:
    """`back` is the tool that takes it back, by the same text."""

    async def run(given: Any, context: CallContext) -> BaseModel:
        sent = given.model_dump(mode="json")
        return Anything.model_validate(await shop.write(name, sent, key=context.key, case_id=context.case_id))

    async def find(key: str) -> dict[str, JSON] | None:
        call = await shop.find(key)
        return call.result if call else None

    spec = ToolSpec(
        name,
        Effect.IRREVERSIBLE if name in ("gift.pay", "note.erase", "parcel.recall") else Effect.REVERSIBLE,
        args,
        Anything,
        describe,
        egress=frozenset({Egress.PROVIDER}),
        data=frozenset({DataClass.INTERNAL}),
        keyed=keyed,
        lookup=lookup,
        spends=lambda a: getattr(a, "amount", None),
        costs=lambda _result: {"postage": Money.of("1.00", "USD")} if name in ("letter.send", "parcel.send") else {},
        compensated_by=Compensation(back, lambda _, done: {"text": done.text}) if back else None,
        stays="What was posted is on its way." if name == "letter.send" else "",
    )
    return Tool(spec, run, find if lookup else None)


# The kind


class Errand(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer: str
    script: list[Turn]
    loop: bool = False
    insists: bool = False


FACTS = (
    FactSpec(path="account.exists", type=FactType.BOOLEAN, doc="There is one.", tools=("gift.pay",)),
    FactSpec(path="account.balance", type=FactType.MONEY, doc="What is in it.", tools=("gift.pay",), witnessed=True),
)


class TillFacts:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def gather(self, action: ProposedAction, case: Mapping[str, JSON], wanted: frozenset[str]) -> dict[str, Fact]:
        if action.tool != "gift.pay":
            return {}
        now = self._outside.clock.now()
        try:
            account = await self._outside.shop.read("account.read", {"account_id": action.args["account_id"]})
        except ProviderRefused:
            return {"account.exists": Fact(value=False, source="shop", at=now)}
        balance = Money.model_validate(account["balance"])
        return {
            "account.exists": Fact(value=True, source="shop", at=now),
            "account.balance": Fact(value=balance, source="shop", at=now, witnessed=True),
        }


class NoProcedure:
    def plan(self, case: Mapping[str, Any], seen: Seen) -> list[PlanStep]:
        raise AssertionError("a script is played here")

    def next(self, case: Mapping[str, Any], seen: Seen) -> list[Call] | Finish:
        raise AssertionError("a script is played here")


KIND = TaskKind(
    name="till",
    title="A till",
    intake=Errand,
    subject=lambda errand: errand.customer,
    tools=_tools,
    facts=TillFacts,
    fact_specs=FACTS,
    dialect=DIALECT,
    role=Role("agent:till", "You play a script."),
    procedure=NoProcedure(),
    book=BOOK,
    build=standard_flow,
    handover=lambda question: ("people.ask", {"text": question}),
    payload={
        "customer": field(DataClass.INTERNAL, vouched=True),
        "script": field(DataClass.FREE_TEXT),
        "loop": field(DataClass.PUBLIC),
        "insists": field(DataClass.PUBLIC),
    },
)
