from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.actions import Effect, ProposedAction
from core.errors import InvalidInput, ProviderRefused, SetupError
from core.ids import digest
from core.money import Money
from core.ports import CallContext
from tools.contract import Toolbelt
from tools.fulfillment.catalog import choose, read_world
from tools.fulfillment.shop import EmbeddedShop
from tools.tau2_retail.arithmetic import calculate
from tools.tau2_retail.facts import FACTS, Tau2Facts
from tools.tau2_retail.shop import DIALECT
from tools.tau2_retail.tools import tau2_retail_tools
from tools.tau2_retail.world import World, delta, load_db, records_of

HERE = Path(__file__).parent.parent
FIXTURE = HERE / "fixtures" / "tau2-retail"
FULL = HERE.parent.parent / "shared" / "data" / "tau2-retail"
FOLDERS = [folder for folder in (FIXTURE, FULL) if folder.is_dir()]
THEIR_DEFECT = {"20", "21"}
"""There, the benchmark's modify_pending_order_items gives the last variant's price and options to every item."""


@dataclass
class Replay:
    deltas: dict[str, World]
    errors: dict[str, list[list[Any]]]


async def _replayed(folder: Path) -> Replay:
    """Every task's gold actions against the untouched world, straight through the shop."""
    db = load_db(folder / "db.json")
    shop = EmbeddedShop(None, [DIALECT])
    await shop.load(records_of(db))
    done = Replay({}, {})
    for task in json.loads((folder / "tasks.json").read_text()):
        errors = done.errors[task["id"]] = []
        for number, action in enumerate(task["evaluation_criteria"]["actions"]):
            name, args = action["name"], action["arguments"]
            writes = name in DIALECT.operations
            try:
                if writes:
                    await shop.write(name, args, key=f"{task['id']}:{number}", case_id=task["id"])
                else:
                    await shop.read(name, args)
            except ProviderRefused as error:
                errors.append([name, error.detail, writes])
        changed = delta(db, {collection: await shop.dump(collection) for collection in db})
        done.deltas[task["id"]] = changed
        await shop.load({name: [db[name][record_id] for record_id in found] for name, found in changed.items()})
    await shop.close()
    return done


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
async def test_gold_actions_give_the_gold_deltas_but_for_the_benchmarks_own_defect(folder: Path) -> None:
    gold = json.loads((folder / "gold_deltas.json").read_text())
    replay = await _replayed(folder)
    assert replay.errors == {task: found["gold_errors"] for task, found in gold.items()}
    assert {task for task, found in gold.items() if replay.deltas[task] != found["delta"]} == THEIR_DEFECT & gold.keys()
    assert all(digest(replay.deltas[task]) == gold[task]["hash"] for task in gold if not gold[task]["delta"])

    products = load_db(folder / "db.json")["products"]
    for task in THEIR_DEFECT & gold.keys():
        ours, theirs = replay.deltas[task], copy.deepcopy(gold[task]["delta"])
        for order_id, order in theirs["orders"].items():
            for item, our_item in zip(order["items"], ours["orders"][order_id]["items"], strict=True):
                variant = products.get(item["product_id"], {"variants": {}})["variants"].get(item["item_id"])
                if variant is not None and our_item != item:
                    item |= {"price": variant["price"], "options": variant["options"]}
        assert ours == theirs


# A world small enough to see through: one user with two ways to pay, one product, two orders.
LAMP = {
    "product_id": "p1",
    "name": "Lamp",
    "variants": {
        item_id: {"item_id": item_id, "options": {"color": color}, "available": color != "gone", "price": price}
        for item_id, color, price in (
            ("a", "red", 10.1),
            ("b", "blue", 20.2),
            ("c", "green", 700.0),
            ("x", "gone", 1.0),
        )
    },
}
HOME = dict.fromkeys(("address1", "address2", "city", "country", "state", "zip"), "1")


def _order(order_id: str, status: str, *item_ids: str) -> dict[str, Any]:
    variants: dict[str, Any] = LAMP["variants"]  # type: ignore[assignment]
    items = [
        {"name": "Lamp", "product_id": "p1"} | {k: variants[i][k] for k in ("item_id", "price", "options")}
        for i in item_ids
    ]
    total = round(sum(item["price"] for item in items), 2)
    return {
        "order_id": order_id,
        "user_id": "zoe_1",
        "address": HOME,
        "items": items,
        "status": status,
        "fulfillments": [],
        "payment_history": [{"transaction_type": "payment", "amount": total, "payment_method_id": "card_1"}],
    }


@pytest.fixture
async def shop() -> AsyncIterator[EmbeddedShop]:
    small = EmbeddedShop(None, [DIALECT])
    user = {
        "user_id": "zoe_1",
        "name": {"first_name": "Zoé", "last_name": "Vance"},
        "address": HOME | {"zip": "10001"},
        "email": "zoe@example.com",
        "payment_methods": {
            "card_1": {"id": "card_1", "source": "credit_card", "brand": "visa", "last_four": "1111"},
            "gift_1": {"id": "gift_1", "source": "gift_card", "balance": 50.0},
        },
        "orders": ["#P", "#D"],
    }
    orders = [_order("#P", "pending", "a", "b", "a"), _order("#D", "delivered", "a", "c")]
    await small.load({"users": [user], "orders": orders, "products": [LAMP]})
    yield small
    await small.close()


async def _write(shop: EmbeddedShop, tool: str, **args: Any) -> dict[str, Any]:
    return await shop.write(tool, args, key=digest([tool, args]), case_id="case_1")


async def _refusal(shop: EmbeddedShop, tool: str, **args: Any) -> str:
    with pytest.raises(ProviderRefused) as caught:
        await _write(shop, tool, **args)
    return caught.value.detail


async def test_each_modified_item_becomes_the_variant_asked_for_it(shop: EmbeddedShop) -> None:
    order = await _write(
        shop,
        "modify_pending_order_items",
        order_id="#P",
        item_ids=["a", "b", "a"],
        new_item_ids=["b", "a", "c"],
        payment_method_id="card_1",
    )
    assert [(item["item_id"], item["price"]) for item in order["items"]] == [("b", 20.2), ("a", 10.1), ("c", 700.0)]
    assert order["payment_history"][-1]["transaction_type"] == "payment"
    assert round(order["payment_history"][-1]["amount"], 2) == 689.9
    same = {"order_id": "#P", "item_ids": ["a"], "new_item_ids": ["b"], "payment_method_id": "card_1"}
    assert await _refusal(shop, "modify_pending_order_items", **same) == "Non-pending order cannot be modified"


async def test_a_payment_that_moved_is_refunded_once_when_the_order_is_cancelled(shop: EmbeddedShop) -> None:
    moved = await _write(shop, "modify_pending_order_payment", order_id="#P", payment_method_id="gift_1")
    assert [entry["transaction_type"] for entry in moved["payment_history"]] == ["payment", "payment", "refund"]
    gone = await _write(shop, "cancel_pending_order", order_id="#P", reason="no longer needed")
    assert gone["payment_history"][3:] == [
        {"transaction_type": "refund", "amount": 40.4, "payment_method_id": "gift_1"}
    ]
    assert (await shop.read("get_user_details", {"user_id": "zoe_1"}))["payment_methods"]["gift_1"]["balance"] == 50.0


async def test_what_the_shop_refuses_leaves_no_trace(shop: EmbeddedShop) -> None:
    before = await shop.dump("orders"), await shop.dump("users")
    swap = {"order_id": "#P", "item_ids": ["a"], "new_item_ids": ["b"], "payment_method_id": "gift_1"}
    back = {"order_id": "#D", "item_ids": ["a"], "payment_method_id": "card_1"}
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("cancel_pending_order", {"order_id": "#D", "reason": "no longer needed"}, "Non-pending order cannot be"),
        ("cancel_pending_order", {"order_id": "#P", "reason": "too dear"}, "Invalid reason"),
        ("modify_pending_order_items", swap | {"item_ids": ["a"] * 3, "new_item_ids": ["b"] * 3}, "a not found"),
        ("modify_pending_order_items", swap | {"new_item_ids": ["a"]}, "The new item id should be different"),
        ("modify_pending_order_items", swap | {"new_item_ids": ["x"]}, "New item x not found or available"),
        ("modify_pending_order_items", swap | {"new_item_ids": ["?"]}, "Variant not found"),
        ("modify_pending_order_items", swap | {"new_item_ids": ["c"]}, "Insufficient gift card balance"),
        ("modify_pending_order_items", swap | {"new_item_ids": ["b", "b"]}, "The number of items"),
        ("modify_pending_order_payment", {"order_id": "#P", "payment_method_id": "card_1"}, "The new payment method"),
        ("modify_pending_order_payment", {"order_id": "#P", "payment_method_id": "card_2"}, "Payment method not found"),
        ("modify_pending_order_address", HOME | {"order_id": "#D"}, "Non-pending order cannot be modified"),
        ("modify_user_address", HOME | {"user_id": "nobody"}, "User not found"),
        ("return_delivered_order_items", back | {"order_id": "#P"}, "Non-delivered order cannot be returned"),
        ("return_delivered_order_items", back | {"item_ids": ["a", "a"]}, "Some item not found"),
        ("exchange_delivered_order_items", swap, "Non-delivered order cannot be exchanged"),
        ("exchange_delivered_order_items", swap | {"order_id": "#D", "item_ids": ["b"]}, "Number of b not found."),
    ]  # fmt: skip
    for tool, args, message in wrong:
        assert (await _refusal(shop, tool, **args)).startswith(message)
    assert (await shop.dump("orders"), await shop.dump("users")) == before
    assert await shop.log() == []


async def test_a_refund_to_another_card_is_refused_and_to_a_gift_card_not(shop: EmbeddedShop) -> None:
    await shop.load({"users": [(await shop.dump("users"))["zoe_1"] | {"payment_methods": {
        "card_1": {"id": "card_1", "source": "credit_card"}, "card_2": {"id": "card_2", "source": "credit_card"},
        "gift_1": {"id": "gift_1", "source": "gift_card", "balance": 50.0}}}]})  # fmt: skip
    back: dict[str, Any] = {"order_id": "#D", "item_ids": ["c", "a"]}
    refused = await _refusal(shop, "return_delivered_order_items", **back, payment_method_id="card_2")
    assert refused == "Payment method should be the original payment method"
    order = await _write(shop, "return_delivered_order_items", **back, payment_method_id="gift_1")
    assert (order["status"], order["return_items"]) == ("return requested", ["a", "c"])


async def test_people_are_found_without_accents_and_case(shop: EmbeddedShop) -> None:
    for query, args in (
        ("find_user_id_by_email", {"email": "ZOE@example.com "}),
        ("find_user_id_by_name_zip", {"first_name": "zoe", "last_name": "VANCE", "zip": "10001"}),
    ):
        assert await shop.read(query, args) == {"user_id": "zoe_1"}
    with pytest.raises(ProviderRefused, match="User not found"):
        await shop.read("find_user_id_by_name_zip", {"first_name": "Zoe", "last_name": "Vance", "zip": "10002"})


async def test_the_sixteen_tools_are_typed_and_found_again_by_key(shop: EmbeddedShop) -> None:
    belt = Toolbelt(tau2_retail_tools(shop))
    specs = belt.specs()
    assert len(specs) == 16
    assert {name for name, spec in specs.items() if spec.effect is not Effect.READ} == set(DIALECT.operations)
    assert {name for name, spec in specs.items() if spec.effect is Effect.READ} == set(DIALECT.queries)
    at = CallContext("default", "case_1", "act_1", "key_1", "agent:tau2", datetime(2026, 11, 2, tzinfo=UTC))
    assert (await belt.call("get_item_details", {"item_id": "b"}, at))["price"] == {
        "amount_minor": 2020,
        "currency": "USD",
    }
    assert "Lamp" in (await belt.call("list_all_product_types", {}, at))["products"]
    args = {"order_id": "#D", "item_ids": ["a"], "new_item_ids": ["b"], "payment_method_id": "gift_1"}
    tool = "exchange_delivered_order_items"
    assert await belt.lookup(tool, "key_1") is None
    done = await belt.call(tool, args, at)
    assert Money.model_validate(done["exchange_price_difference"]) == Money.of("10.10", "USD")
    assert await belt.lookup(tool, "key_1") == done
    assert await belt.call(tool, args, at) == done
    assert specs[tool].describe(specs[tool].parse(args)) == "Exchange a to b of order #D, the difference by gift_1"
    with pytest.raises(InvalidInput, match="reason"):
        specs["cancel_pending_order"].parse({"order_id": "#P", "reason": "because"})


async def test_facts_tell_what_policy_gates_on(shop: EmbeddedShop) -> None:
    every = frozenset(spec.path for spec in FACTS)

    async def told(tool: str, case: dict[str, Any] | None = None, **args: Any) -> dict[str, Any]:
        action = ProposedAction(
            workspace="default", case_id="c", kind="tau2", tool=tool, schema_version=1, args=args,
            proposer="agent:tau2", step_key="1",
        )  # fmt: skip
        facts = await Tau2Facts(shop).gather(action, case or {}, every)
        return {path: fact.value for path, fact in facts.items()}

    back = {"order_id": "#D", "item_ids": ["a", "c"]}
    card = await told("return_delivered_order_items", {"user_id": "zoe_1"}, **back, payment_method_id="card_1")
    assert card["change.refund"] == Money.of("710.10", "USD")
    assert (card["change.other_method"], card["order.owned_by_user"]) == (False, True)
    gift = await told("return_delivered_order_items", {"user_id": "max_2"}, **back, payment_method_id="gift_1")
    assert (gift["change.other_method"], gift["order.owned_by_user"]) == (True, False)
    swap = {"order_id": "#P", "item_ids": ["a"], "new_item_ids": ["c"], "payment_method_id": "card_1"}
    dearer = await told("modify_pending_order_items", None, **swap)
    assert (dearer["change.charge"], dearer["change.refund"]) == (Money.of("689.90", "USD"), Money.zero("USD"))
    assert "order.owned_by_user" not in dearer
    paid = await told("cancel_pending_order", None, order_id="#P", reason="no longer needed")
    assert paid["change.refund"] == paid["order.paid"] == paid["order.total"] == Money.of("40.40", "USD")
    assert (await told("modify_pending_order_payment", None, order_id="#P", payment_method_id="gift_1"))[
        "change.payment"
    ]
    assert not (await told("modify_user_address", None, user_id="zoe_1", **HOME | {"zip": "10001"}))["change.address"]
    assert (await told("modify_user_address", None, user_id="zoe_1", **HOME | {"zip": "9"}))["change.address"]
    assert await told("get_order_details", None, order_id="#?") == {}
    assert "change.refund" not in await told("return_delivered_order_items", None, **back | {"item_ids": ["?"]})


@pytest.mark.parametrize(
    ("text", "value"),
    [("2 + 2", "4"), ("155.33 - 147.05 + 268.77 - 235.13", "41.92"), ("-(1+2)*3/4", "-2.25"), ("1/3", "0.33")],
)
def test_sums(text: str, value: str) -> None:
    assert calculate(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "2 +", "(1", "1)", "1/0", "2 ** 3", "__import__('os')", "1e9", "(" * 400, "9 9"])
def test_no_sum(text: str) -> None:
    with pytest.raises(ProviderRefused):
        calculate(text)


def test_the_worlds_file_is_read_both_ways_and_refused_when_broken(tmp_path: Path) -> None:
    db = load_db(FIXTURE / "db.json")
    assert read_world(FIXTURE / "db.json", choose(["tau2_retail"])) == records_of(db)
    assert delta(db, db) == {}
    with pytest.raises(SetupError):
        load_db(tmp_path / "absent.json")
    for text in ("{", "[]", '{"users": {}}', '{"users": {"a": {"user_id": "b"}}, "orders": {}, "products": {}}'):
        (tmp_path / "db.json").write_text(text)
        with pytest.raises(InvalidInput):
            load_db(tmp_path / "db.json")
