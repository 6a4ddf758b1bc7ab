"""What policy counts over our own records: by customer, by card, by address, in flight included."""

from __future__ import annotations

from typing import Any

import pytest

from core.settings import Settings
from ledger.database import Ledger
from tests.serving.live import Live, form, living
from tests.support.folders import quick_folder
from tests.support.returns_desk import asked, customer, usual


async def bought(live: Live, number: int, **order: Any) -> dict[str, str]:
    who = customer(f"cus_{number}").model_copy(update={"address": f"{number} Elm Street"} | order.pop("lives", {}))
    what = usual(f"ord_{number}", customer=who.customer_id).model_copy(update=order)
    records = {"customers": [who.model_dump(mode="json")], "orders": [what.model_dump(mode="json")]}
    await live.house.shop.load(records)  # type: ignore[attr-defined]
    return {"customer": who.customer_id, "order": what.order_id}


async def gives_back(live: Live, number: int, **order: Any) -> dict[str, Any]:
    found = await bought(live, number, **order)
    return await live.submit(form(asked("fli_tee", reason="SIZE_TOO_SMALL"), **found))


@pytest.mark.parametrize(
    "same", [{"payment_fingerprint": "card_x"}, {"lives": {"address": "12 Elm-Street, 10115 Berlin"}}]
)
async def test_the_fourth_refund_to_one_card_or_address_waits_whoever_asks(same: dict[str, Any]) -> None:
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data")) as live:
            for number in range(1, 4):
                case = await gives_back(live, number, **dict(same))
                assert case["case"]["outcome"] == "refunded", case
            other = await gives_back(live, 9)
            assert other["case"]["outcome"] == "refunded"
            case = await gives_back(live, 4, **dict(same))
            assert case["case"]["status"] == "waiting", case
            (money,) = [each for each in case["approvals"] if each["status"] == "open"]
            assert "one card or one address" in money["reason"]


async def test_a_run_keeps_what_it_is_counted_by() -> None:
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data")) as live:
            case = await gives_back(live, 1, payment_fingerprint="card_x")

            def kept(ledger: Ledger) -> list[dict[str, Any]]:
                return [run.counted_by for run in ledger.effects.runs(case["case"]["id"]) if "refund" in run.tool]

            (refund,) = await live.house.database.read("default", kept)
            assert refund["order.card"] == "card_x"
            assert refund["customer.address"].startswith("1elmstreet")
