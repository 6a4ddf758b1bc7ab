"""The tools of a returns desk: every read and write that an agent may propose, over one shop.

None of them knows that it is gated. A write passes the executor's key and case to the shop; what the
shop stored under that key is found again by `find`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from core.actions import JSON, Compensation, Effect, Egress, ToolSpec
from core.money import Money
from core.ports import CallContext
from tools.contract import Tool
from tools.fulfillment.ports import Shop
from tools.returns import args as a
from tools.returns import results as r
from tools.returns.data import HOLDS
from tools.returns.models import ReturnStatus
from tools.returns.reading import count, nothing_stored, pieces, reading_tools
from tools.vision.ports import VisionScorer

A = TypeVar("A", bound=BaseModel)

_PARCEL = Money(amount_minor=745, currency="USD")
"""What a carrier usually asks for a parcel, where nobody has the label itself."""
_PROVIDER = frozenset({Egress.PROVIDER})
_TO_CUSTOMER = frozenset({Egress.PROVIDER, Egress.CUSTOMER})
_BY_CARRIER = frozenset({Egress.PROVIDER, Egress.THIRD_PARTY, Egress.CUSTOMER})


def returns_tools(shop: Shop, vision: VisionScorer, photos: Path | None = None) -> list[Tool[Any]]:
    """`photos` is the folder of photos that cases name instead of carrying them."""
    return [*reading_tools(shop, vision, photos), *_return_steps(shop), *_money(shop), *_contact(shop), _people()]


def _write(
    shop: Shop,
    name: str,
    effect: Effect,
    args: type[A],
    result: type[BaseModel],
    describe: Callable[[A], str],
    summary: str,
    *,
    egress: frozenset[Egress] = _PROVIDER,
    spends: Callable[[A], Money | None] = lambda _: None,
    costs: Callable[[Any], Mapping[str, Money]] = lambda _: {},
    costs_about: Callable[[A], Mapping[str, Money]] = lambda _: {},
    compensated_by: Compensation | None = None,
    stays: str = "",
) -> Tool[A]:
    async def run(given: A, context: CallContext) -> BaseModel:
        sent = given.model_dump(mode="json")
        return result.model_validate(await shop.write(name, sent, key=context.key, case_id=context.case_id))

    async def find(key: str) -> dict[str, JSON] | None:
        call = await shop.find(key)
        return None if call is None else result.model_validate(call.result).model_dump(mode="json")

    spec = ToolSpec(
        name,
        effect,
        args,
        result,
        describe,
        summary,
        egress,
        HOLDS[result],
        spends=spends,
        costs=costs,
        costs_about=costs_about,
        compensated_by=compensated_by,
        stays=stays,
    )
    return Tool(spec, run, find)


def _on_return(present: ReturnStatus) -> Callable[[BaseModel, r.ReturnState], Mapping[str, JSON]]:
    return lambda _, step: {"return_id": step.return_id, "expected_status": present.value}


def _cancelled_while(present: ReturnStatus) -> Compensation:
    """A return is cancelled once, whichever of its steps is taken back."""
    return Compensation("returns.cancel", _on_return(present), of=("return_id",))


def _return_steps(shop: Shop) -> list[Tool[Any]]:
    def step(
        name: str, verb: str, effect: Effect, summary: str, compensated_by: Compensation | None = None
    ) -> Tool[a.OnReturn]:
        def describe(given: a.OnReturn) -> str:
            return f"{verb} return {given.return_id}"

        return _write(shop, name, effect, a.OnReturn, r.ReturnState, describe, summary, compensated_by=compensated_by)

    return [
        _write(
            shop,
            "returns.request",
            Effect.REVERSIBLE,
            a.RequestReturn,
            r.ReturnState,
            lambda g: f"Open a return of {pieces(g.lines)} of order {g.order_id}",
            "Register a return; it is REQUESTED until it is approved or declined.",
            compensated_by=_cancelled_while(ReturnStatus.REQUESTED),
        ),
        step(
            "returns.approve",
            "Approve",
            Effect.REVERSIBLE,
            "REQUESTED becomes OPEN: goods may come back.",
            _cancelled_while(ReturnStatus.OPEN),
        ),
        _write(
            shop,
            "returns.decline",
            Effect.IRREVERSIBLE,
            a.Decline,
            r.ReturnState,
            lambda g: f"Decline return {g.return_id}: {g.reason}",
            "REQUESTED becomes DECLINED, for a reason and with a note to the customer.",
            egress=_TO_CUSTOMER,
        ),
        step("returns.cancel", "Cancel", Effect.IRREVERSIBLE, "Take back a return that nothing came of yet."),
        step(
            "returns.close",
            "Close",
            Effect.REVERSIBLE,
            "OPEN becomes CLOSED: all is done.",
            Compensation("returns.reopen", _on_return(ReturnStatus.CLOSED)),
        ),
        step(
            "returns.reopen",
            "Reopen",
            Effect.REVERSIBLE,
            "CLOSED becomes OPEN again.",
            Compensation("returns.close", _on_return(ReturnStatus.OPEN)),
        ),
        _write(
            shop,
            "returns.receive",
            Effect.IRREVERSIBLE,
            a.Receive,
            r.ReturnState,
            lambda g: f"Book {count(len(g.line_ids), 'line')} of return {g.return_id} as received",
            "Goods arrived at the warehouse.",
        ),
        _write(
            shop,
            "returns.inspect",
            Effect.REVERSIBLE,
            a.Inspect,
            r.ReturnState,
            lambda g: f"Grade line {g.line_id} of return {g.return_id} as {g.grade}",
            "Record the grade of received goods: A new, B open box, C damaged, D salvage.",
            stays="Nobody answers with the grade before it: another inspection puts it right.",
        ),
        _write(
            shop,
            "returns.process",
            Effect.IRREVERSIBLE,
            a.Process,
            r.Processed,
            _describe_process,
            "Finish lines of a return: where the goods go, and at will money, an exchange and a notice with it.",
            egress=_TO_CUSTOMER,
            spends=lambda g: g.financial_transfer.amount if g.financial_transfer else None,
        ),
    ]


def _money(shop: Shop) -> list[Tool[Any]]:
    return [
        _write(
            shop,
            "refunds.create",
            Effect.IRREVERSIBLE,
            a.CreateRefund,
            r.MoneyGiven,
            lambda g: (
                f"Refund {g.amount} on order {g.order_id} to the original payment method"
                + (", the customer keeps the goods" if g.keep_item else "")
            ),
            "Give money back the way it was paid.",
            spends=lambda g: g.amount,
        ),
        _write(
            shop,
            "store_credit.issue",
            Effect.IRREVERSIBLE,
            a.IssueCredit,
            r.MoneyGiven,
            lambda g: f"Issue {g.amount} of store credit for order {g.order_id}",
            "Give the worth back as credit for this shop.",
            spends=lambda g: g.amount,
        ),
        _write(
            shop,
            "exchanges.create",
            Effect.IRREVERSIBLE,
            a.CreateExchange,
            r.Exchanged,
            lambda g: f"Send {_exchanged(g.lines)} in exchange for goods of return {g.return_id}",
            "Send other goods for those that come back; takes them from the shelf.",
            egress=_BY_CARRIER,
        ),
    ]


def _contact(shop: Shop) -> list[Tool[Any]]:
    return [
        _write(
            shop,
            "labels.create_return",
            Effect.REVERSIBLE,
            a.OnReturn,
            r.LabelMade,
            lambda g: f"Buy a return label for return {g.return_id} and send it to the customer",
            "A carrier's label for an OPEN return. Some carriers bill on creation, some on scan.",
            egress=_BY_CARRIER,
            costs=lambda label: {"label": label.cost},
            costs_about=lambda _: {"label": _PARCEL},
            compensated_by=Compensation("labels.void", lambda _, label: {"label_id": label.label_id}),
        ),
        _write(
            shop,
            "labels.void",
            Effect.IRREVERSIBLE,
            a.VoidLabel,
            r.LabelVoided,
            lambda g: f"Void return label {g.label_id}",
            "Take back a label that was not used.",
            egress=frozenset({Egress.PROVIDER, Egress.THIRD_PARTY}),
        ),
        _write(
            shop,
            "messages.send",
            Effect.IRREVERSIBLE,
            a.SendMessage,
            r.MessageSent,
            lambda g: f"Write to customer {g.customer_id}: {g.subject}",
            "Send an e-mail to the customer.",
            egress=_TO_CUSTOMER,
        ),
    ]


def _people() -> Tool[a.AskPeople]:
    async def ask(given: a.AskPeople, context: CallContext) -> r.Asked:
        return r.Asked(asked=given.question)

    spec = ToolSpec(
        "people.ask",
        Effect.REVERSIBLE,
        a.AskPeople,
        r.Asked,
        lambda g: f"Ask a person: {g.question}",
        "Hand the case to a person with a question, when no rule or tool can settle it.",
        data=HOLDS[r.Asked],
        stays="A question changes nothing outside.",
    )
    return Tool(spec, ask, nothing_stored)


def _describe_process(given: a.Process) -> str:
    parts = [f"Process {count(len(given.lines), 'line')} of return {given.return_id}"]
    if given.financial_transfer:
        way = "store credit" if given.financial_transfer.method == "store_credit" else "the original payment method"
        parts.append(f"pay {given.financial_transfer.amount} to {way}")
    if given.exchange_lines:
        parts.append(f"send {_exchanged(given.exchange_lines)}")
    return ", ".join(parts)


def _exchanged(lines: list[a.ExchangeItem]) -> str:
    return ", ".join(f"{line.quantity} x {line.variant_id}" for line in lines)
